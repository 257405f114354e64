// The wall clock jumps: timeouts are not affected, only the log's timestamps follow. Needs libfaketime.

import assert from "node:assert/strict";
import { existsSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { dial, Service, visit } from "../../support/exact-traffic.mjs";
import { Lacking, scenario, until } from "../../support/scenarios.mjs";
import { cpuSeconds, newKey, PROGRAMS, startEnd } from "../../support/tunnel-ends.mjs";

const LIBRARY = `/usr/lib/${process.arch === "x64" ? "x86_64" : "aarch64"}-linux-gnu/faketime/libfaketimeMT.so.1`;
const JUMPS = ["+1d", "-1d", "+3650d", "-3650d", "+0"];
const DAY_MS = 86_400_000;

for (const program of PROGRAMS) {
  scenario(`clock/jumps ${program}`, async (trial) => {
    if (!existsSync(LIBRARY)) throw new Lacking("needs libfaketime (package faketime)");
    const file = join(trial.folder(), "offset");
    const jump = (offset) => {
      writeFileSync(`${file}.new`, `${offset}\n`);
      renameSync(`${file}.new`, file);
    };
    jump("+0");
    const before = [
      "env",
      `LD_PRELOAD=${LIBRARY}`,
      `FAKETIME_TIMESTAMP_FILE=${file}`,
      "FAKETIME_NO_CACHE=1",
      "FAKETIME_DONT_FAKE_MONOTONIC=1",
    ];
    const service = await Service.start(trial);
    const key = newKey(trial);
    const common = { program, key, before };
    const flags = ["-o", "2", "-r", "0.5", ...(program === "C" ? [] : ["--log-format", "json"])];
    const far = await startEnd(trial, "-d", { ...common, target: `localhost:${service.port}`, flags });
    const near = await startEnd(trial, "-e", { ...common, target: `localhost:${far.port}`, flags: ["-r", "0.5"] });
    const friend = dial(near.port);
    await friend.ask();
    const waits = [];
    const stamps = [];
    for (const [at, offset] of JUMPS.entries()) {
      // A silent client: it times out after 2 s, whatever the clock says meanwhile.
      const begun = performance.now();
      const silent = dial(far.port);
      await sleep(500);
      jump(offset);
      await friend.ask();
      assert.equal(await visit(near.port), "whole");
      await until(() => silent.end !== undefined, "the silent one's end");
      waits.push(performance.now() - begun);
      silent.destroy();
      if (program === "C") continue;
      const line = await far.said(/not finished after 2 s/, at + 1);
      stamps.push(Date.parse(JSON.parse(line).time) - Date.now());
    }
    const busy = cpuSeconds(far.pid) + cpuSeconds(near.pid);
    await sleep(3_000);
    const share = (cpuSeconds(far.pid) + cpuSeconds(near.pid) - busy) / 3;
    assert.ok(program === "C" || share < 0.2, `${share} of a CPU while nothing happens`);
    if (program === "C")
      return `jumps of ${JUMPS.join(", ")}: -o 2 came after ${waits.map((ms) => (ms / 1_000).toFixed(2)).join(", ")} s; a connection goes on; ${(share * 100).toFixed(1)} % of a CPU`;
    for (const ms of waits) assert.ok(ms > 1_900 && ms < 4_500, `-o 2 came after ${ms} ms`);
    for (const [at, days] of [1, -1, 3_650, -3_650, 0].entries())
      assert.ok(Math.abs(stamps[at] - days * DAY_MS) < 60_000, `stamp ${at} is off by ${stamps[at] / DAY_MS} days`);
    far.signal("SIGTERM");
    friend.socket.end();
    assert.equal(await far.ended(), 0);
    return `jumps of ${JUMPS.join(", ")}: -o 2 came after ${waits.map((ms) => (ms / 1_000).toFixed(2)).join(", ")} s; the stamps follow; a connection goes on; ${(share * 100).toFixed(1)} % of a CPU`;
  });
}
