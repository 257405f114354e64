// Running a command and exiting, in child processes.

import assert from "node:assert/strict";
import { test } from "node:test";
import { runModule } from "../support/children.js";

const start = `
  const { run } = await import(dist("cli/run.js"));
  const { SpipedError } = await import(dist("errors.js"));
`;

for (const status of [0, 1, 3]) {
  test(`a command that returns ${status} exits with it and writes nothing`, () => {
    const result = runModule(`${start} await run("prog", async () => ({ main: async () => ${status} }));`);
    assert.deepEqual([result.status, result.stdout.toString(), result.stderr.toString()], [status, "", ""]);
  });
}

test("a command that throws exits with status 1, the message and the hint", () => {
  const result = runModule(`${start}
    const error = new SpipedError("SPIPED_USAGE", "that is wrong", { hint: "do this" });
    await run("prog", async () => ({ main: async () => { throw error; } }));
  `);
  assert.deepEqual([result.status, result.stderr.toString()], [1, "prog: that is wrong\nprog: hint: do this\n"]);
});

test("a command that cannot be loaded is reported like any other error", () => {
  const result = runModule(`${start}
    await run("prog", () => Promise.reject(new SpipedError("SPIPED_ADDON", "cannot load")));
  `);
  assert.deepEqual([result.status, result.stderr.toString()], [1, "prog: cannot load\n"]);
});

test("an internal error is reported in one line, with status 1", () => {
  const result = runModule(`${start} await run("prog", async () => ({ main: async () => null.x }));`);
  assert.equal(result.status, 1);
  assert.match(result.stderr.toString(), /^prog: internal error: TypeError: .*\n$/);
});

test("all output is written before the process exits", () => {
  const result = runModule(`${start}
    const { writeOutput } = await import(dist("cli/output.js"));
    const main = async () => { writeOutput("x".repeat(3_000_000)); return 0; };
    await run("prog", async () => ({ main }));
  `);
  assert.equal(result.status, 0);
  assert.equal(result.stdout.length, 3_000_000);
});

test("a pending timer does not keep the process alive after its command has returned", () => {
  const result = runModule(`${start}
    setInterval(() => undefined, 1_000);
    await run("prog", async () => ({ main: async () => 0 }));
  `);
  assert.deepEqual([result.status, result.signal], [0, null]);
});

for (const [what, fault] of [
  ["thrown", "setImmediate(() => { throw new TypeError('nobody\\nexpects this'); });"],
  ["rejected", "Promise.reject(new TypeError('nobody\\nexpects this'));"],
  ["an error for the operator, thrown", "setImmediate(() => { throw new SpipedError('SPIPED_KEY_FILE', 'nobody'); });"],
  ["no error at all, thrown", "setImmediate(() => { throw 'nobody'; });"],
] as const) {
  test(`${what} and uncaught: one line that calls it an internal error, with its stack, and status 1`, () => {
    const result = runModule(`${start}
      process.on("exit", (status) => process.stdout.write("end " + status));
      await run("prog", async () => ({ main: () => { ${fault} return new Promise(() => setInterval(() => 0, 1_000)); } }));
    `);
    assert.deepEqual([result.status, result.stdout.toString()], [1, "end 1"]);
    const expected = what.startsWith("no error")
      ? /^prog: internal error: nobody\n$/
      : /^prog: internal error: .*nobody.* at .*\n$/;
    assert.match(result.stderr.toString(), expected);
  });
}
