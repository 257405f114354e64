// The values of spiped's options: numbers, their bounds, and what 0 means.

import assert from "node:assert/strict";
import { test } from "node:test";
import { limits } from "../support/cleanup.js";
import { Command } from "../support/command.js";
import { startServerEnd } from "../support/one-end.js";
import { ours } from "../support/programs.js";

const right = ["-F", "-d", "-s", "/nowhere/source", "-t", "/nowhere/target", "-k", "/nowhere/no-key"] as const;

/** The first message of a spiped that does not start. */
async function firstLine(t: Parameters<typeof Command.run>[0], args: readonly string[]): Promise<string> {
  const { status, stdout, stderr } = await Command.run(t, [...ours.spiped, ...args]);
  assert.deepEqual([status, stdout], [1, ""], stderr);
  return stderr.split("\n")[0] ?? "";
}

const wasTaken = /^spiped: cannot read key file \/nowhere\/no-key/;

for (const [flag, values] of [
  ["-n", ["1", "007", "1000000"]],
  ["-o", ["0.0005", "604800", "2.5e-1"]],
  ["-r", ["1", "604800", "0.1"]],
] as const) {
  test(`${flag} accepts ${values.join(", ")}`, limits, async (t) => {
    for (const value of values) assert.match(await firstLine(t, [...right, flag, value]), wasTaken);
  });
}

for (const [flag, values] of [
  ["-n", ["1000001", "1e3", " 1", "1 ", "Infinity", "five"]],
  ["-o", ["604801", "inf", "NaN", "1,5", "1_000", "-.5"]],
  ["-r", ["604800.1", "inf", "NaN", "1m", "--1", "."]],
] as const) {
  for (const value of values) {
    test(`${flag} refuses ${JSON.stringify(value)} and names both`, limits, async (t) => {
      const line = await firstLine(t, [...right, flag, value]);
      assert.match(line, /^spiped: bad number/);
      assert.ok(line.endsWith(` for ${flag}: ${JSON.stringify(value)}`), line);
    });
  }
}

test("-o 0 is the default of 5 seconds, and fractions are accepted", limits, async (t) => {
  const givesUpAfter = async (flags: readonly string[], seconds: number): Promise<void> => {
    const end = await startServerEnd(t, { kind: "unix", flags });
    const silent = await end.dial();
    await silent.end();
    await end.spiped.command.line(new RegExp(`handshake not finished after ${seconds} s`));
  };
  await Promise.all([givesUpAfter(["-o", "0"], 5), givesUpAfter([], 5), givesUpAfter(["-o", "0.05"], 0.05)]);
});
