// Loaded into a spiped that is tried (`node --expose-gc --require probe.cjs`): tells what cannot be seen from outside. On
// SIGPWR it writes the figures to the file that SOAK_PROBE names; with a file of that name and ".collect", after all that
// can be collected has been, and with one and ".snapshot", the heap beside it. It keeps no descriptor and no timer.

const { existsSync, renameSync, writeFileSync } = require("node:fs");
const { getHeapStatistics, writeHeapSnapshot } = require("node:v8");
const { performance } = require("node:perf_hooks");

const file = process.env.SOAK_PROBE;
delete process.env.SOAK_PROBE;

process.on("SIGPWR", () => {
  const isCollected = existsSync(`${file}.collect`);
  // Twice: what a first one finalizes, the second one frees.
  for (let times = 0; isCollected && times < 2; times += 1) global.gc();
  if (existsSync(`${file}.snapshot`)) writeHeapSnapshot(`${file}.${Date.now()}.heapsnapshot`);
  const { heapUsed, heapTotal, external, arrayBuffers } = process.memoryUsage();
  const figures = {
    heapUsed,
    heapTotal,
    external,
    arrayBuffers,
    contexts: getHeapStatistics().number_of_native_contexts,
    // An immediate is something that is just under way.
    resources: process
      .getActiveResourcesInfo()
      .filter((kind) => kind !== "Immediate")
      .sort(),
    turns: performance.nodeTiming.uvMetricsInfo?.loopCount,
  };
  writeFileSync(`${file}.new`, JSON.stringify(figures));
  renameSync(`${file}.new`, file);
});
