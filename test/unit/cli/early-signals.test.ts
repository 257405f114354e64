// Signals that come before their handler is set, in child processes.

import assert from "node:assert/strict";
import { test } from "node:test";
import { failsafeMs } from "../../support/cleanup.js";
import { runModule } from "../support/children.js";

const options = { skip: process.platform === "win32" ? "Windows has no signals" : false };

const start = `
  const { hearSignals, takeSignal, leaveSignal, isHangUpIgnored } = await import(dist("cli/early-signals.js"));
  const { writeSync } = await import("node:fs");
  const say = (text) => writeSync(1, text + "\\n");
  const send = async (signal) => {
    process.kill(process.pid, signal);
    await new Promise((resolve) => setTimeout(resolve, 1));
    // Node.js delivers a signal in a later turn of the event loop.
    for (let turn = 0; turn < 20; turn += 1) await new Promise((resolve) => setImmediate(resolve));
  };
  hearSignals();
`;

test("signals that come before their handler are kept for it, in number and order", options, () => {
  const result = runModule(`${start}
    for (const signal of ["SIGTERM", "SIGUSR1", "SIGHUP", "SIGTERM", "SIGUSR2", "SIGINT"]) await send(signal);
    say("alive");
    takeSignal("SIGTERM", say);
    takeSignal("SIGTERM", say);
    takeSignal("SIGHUP", say);
    await send("SIGTERM");
    process.exit(0);
  `);
  assert.equal(result.stdout.toString(), "alive\nSIGTERM\nSIGTERM\nSIGHUP\nSIGTERM\n");
  assert.deepEqual([result.status, result.stderr.toString()], [0, ""]);
});

for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"]) {
  test(`${signal} without a handler kills the process as usual, even if it came earlier`, options, () => {
    const late = runModule(`${start} leaveSignal("${signal}"); say("left"); await send("${signal}"); say("alive");`);
    assert.deepEqual([late.signal, late.stdout.toString()], [signal, "left\n"]);
    const early = runModule(`${start} await send("${signal}"); say("alive"); leaveSignal("${signal}");
      await new Promise((resolve) => setTimeout(resolve, 60_000));`);
    assert.deepEqual([early.signal, early.stdout.toString()], [signal, "alive\n"]);
  });
}

test("listening to signals does not keep the process alive", options, () => {
  assert.equal(runModule(start).status, 0);
});

test("a signal that is being delivered while its handler is set is not lost", options, () => {
  const result = runModule(`${start}
    setTimeout(() => undefined, ${failsafeMs});
    for (let count = 0; count < 100; count += 1) {
      // Received by the process, but not yet by JavaScript.
      process.kill(process.pid, "SIGTERM");
      await new Promise((resolve) => takeSignal("SIGTERM", resolve));
    }
    process.kill(process.pid, "SIGHUP");
    leaveSignal("SIGHUP");
  `);
  assert.equal(result.signal, "SIGHUP");
});
