// Preloaded into the spiped under test (`node --expose-gc --require probe.cjs`): reports what cannot be seen from outside. On
// SIGPWR it writes its figures to the file that SOAK_PROBE names. If there is also a file of that name with ".collect", it
// collects garbage first and writes a heap snapshot beside it. It keeps no descriptor and no timer open.

const { existsSync, renameSync, writeFileSync } = require("node:fs");
const { getHeapStatistics, writeHeapSnapshot } = require("node:v8");
const { performance } = require("node:perf_hooks");

const file = process.env.SOAK_PROBE;
delete process.env.SOAK_PROBE;

process.on("SIGPWR", () => {
  const isCollected = existsSync(`${file}.collect`);
  // Twice: the second collection frees what the first one finalizes.
  for (let times = 0; isCollected && times < 2; times += 1) global.gc();
  if (isCollected) writeHeapSnapshot(`${file}.${Date.now()}.heapsnapshot`);
  const { heapUsed, heapTotal, external, arrayBuffers } = process.memoryUsage();
  const figures = {
    heapUsed,
    heapTotal,
    external,
    arrayBuffers,
    contexts: getHeapStatistics().number_of_native_contexts,
    // An immediate is work in progress.
    resources: process
      .getActiveResourcesInfo()
      .filter((kind) => kind !== "Immediate")
      .sort(),
    turns: performance.nodeTiming.uvMetricsInfo?.loopCount,
  };
  writeFileSync(`${file}.new`, JSON.stringify(figures));
  renameSync(`${file}.new`, file);
});
