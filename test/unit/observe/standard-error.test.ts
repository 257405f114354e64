// Writing to a standard error that is shared, slow, full or closed; in child processes.

import assert from "node:assert/strict";
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { closeSync, constants, openSync, readFileSync, readSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { afterwards, failsafeMs, temporaryFolder, until, within } from "../../support/cleanup.js";
import { runModule } from "../support/children.js";
import { root } from "../support/paths.js";

const options = {
  skip: process.platform === "win32" ? "there are no such pipes on Windows" : false,
  timeout: 3 * failsafeMs,
};

const start = `
  const { standardErrorSink, flushStandardError, replaceStandardError } = await import(dist("observe/standard-error.js"));
  const { writeSync } = await import("node:fs");
  const sink = standardErrorSink("prog");
  const write = (message) => sink.write({ event: "note", level: "info", message });
`;

test("lines are written in order, each with the program's name", options, () => {
  const result = runModule(`${start}
    for (let count = 0; count < 10_000; count += 1) write("line " + count);
    flushStandardError(${failsafeMs});
    process.exit(0);
  `);
  const expected = Array.from({ length: 10_000 }, (_, count) => `prog: line ${count}\n`).join("");
  assert.equal(result.stderr.toString(), expected);
});

/** A pipe that only the test reads. */
async function pipe(t: TestContext): Promise<{ readonly reading: number; readonly writing: number }> {
  const path = join(await temporaryFolder(t), "pipe");
  assert.equal(spawnSync("mkfifo", [path]).status, 0);
  const reading = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  const writing = openSync(path, constants.O_WRONLY);
  afterwards(t, () => closeSync(reading));
  afterwards(t, () => closeSync(writing));
  return { reading, writing };
}

/** Everything in the pipe now. */
function contentOf(reading: number): string {
  const pieces: Buffer[] = [];
  for (;;) {
    const piece = Buffer.alloc(65_536);
    try {
      const length = readSync(reading, piece);
      if (length === 0) break;
      pieces.push(piece.subarray(0, length));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EAGAIN") throw error;
      break;
    }
  }
  return Buffer.concat(pieces).toString();
}

/** Starts a module whose standard error is `stderr`; the test synchronizes through its standard input and output. */
function startModule(t: TestContext, source: string, stderr: number): ChildProcess {
  const dist = JSON.stringify(new URL("../../../../dist/", import.meta.url).href);
  const module = `const dist = (path) => new URL(path, ${dist}).href;\n${start}\n${source}`;
  const child = spawn(process.execPath, ["--input-type=module", "--eval", module], {
    cwd: root,
    stdio: ["pipe", "pipe", stderr],
  });
  afterwards(t, () => child.kill("SIGKILL"));
  return child;
}

function nextOutput(child: ChildProcess): Promise<string> {
  return within(
    new Promise((resolve) => child.stdout?.once("data", (text: Buffer) => resolve(String(text)))),
    "output",
  );
}

test(
  "a full pipe blocks nothing; lines beyond 1 MiB are dropped, and their number is written when there is room",
  options,
  async (t) => {
    const { reading, writing } = await pipe(t);
    const child = startModule(
      t,
      `
    for (let count = 0; count < 3_000; count += 1) write("x".repeat(1_000));
    writeSync(1, "written");
    process.stdin.once("data", () => {
      flushStandardError(${failsafeMs});
      write("the last line");
      flushStandardError(${failsafeMs});
      process.exit(0);
    });
    `,
      writing,
    );
    const ended = new Promise((resolve) => child.once("exit", resolve));
    assert.equal(await nextOutput(child), "written");
    let text = "";
    child.stdin?.write("go on\n");
    const read = setInterval(() => (text += contentOf(reading)), 1);
    afterwards(t, () => clearInterval(read));
    assert.equal(await within(ended, "the end"), 0);
    text += contentOf(reading);
    const lines = text.split("\n");
    assert.deepEqual([lines.at(-1), lines.at(-2)], ["", "prog: the last line"]);
    const lost = Number(
      /^prog: log messages dropped: (\d+) \(standard error is not read fast enough\)$/.exec(lines.at(-3) ?? "")?.[1],
    );
    const whole = lines.filter((line) => line === `prog: ${"x".repeat(1_000)}`).length;
    assert.equal(whole + lost, 3_000);
    assert.ok(whole >= 1_000 && whole <= 1_200, `${whole} lines`);
  },
);

test("the number of dropped lines is written when there is room, even if no other line follows", options, async (t) => {
  const { reading, writing } = await pipe(t);
  const source = `
    for (let count = 0; count < 3_000; count += 1) write("x".repeat(1_000));
    writeSync(1, "written");
    process.stdin.resume();
  `;
  assert.equal(await nextOutput(startModule(t, source, writing)), "written");
  let text = "";
  // Those that find room while the pipe takes a few tell how many were dropped before them.
  const told = () =>
    [...text.matchAll(/^prog: log messages dropped: (\d+) \(standard error is not read fast enough\)\n/gm)]
      .map(([, count]) => Number(count))
      .reduce((sum, count) => sum + count, 0);
  const whole = () => text.split("\n").filter((line) => line === `prog: ${"x".repeat(1_000)}`).length;
  await until(
    () => {
      text += contentOf(reading);
      return whole() + told() >= 3_000 ? true : undefined;
    },
    () => `${whole()} lines and ${told()} dropped of 3000`,
  );
  assert.equal(whole() + told(), 3_000);
});

test("flushing waits for a full pipe no longer than its timeout", options, async (t) => {
  const { writing } = await pipe(t);
  const source = `write("x".repeat(200_000)); flushStandardError(10); process.exit(7);`;
  const child = startModule(t, source, writing);
  assert.equal(await within(new Promise((resolve) => child.once("exit", resolve)), "the end"), 7);
});

test("a pipe that another process made non-blocking loses nothing and stays non-blocking", options, async (t) => {
  const { reading, writing } = await pipe(t);
  const nonBlocking = openSync(`/dev/fd/${writing}`, constants.O_WRONLY | constants.O_NONBLOCK);
  afterwards(t, () => closeSync(nonBlocking));
  const source = `for (let count = 0; count < 20_000; count += 1) write("line " + count);
    writeSync(1, "written"); flushStandardError(${failsafeMs}); process.exit(0);`;
  const child = startModule(t, source, nonBlocking);
  const ended = new Promise((resolve) => child.once("exit", resolve));
  assert.equal(await nextOutput(child), "written");
  let text = "";
  const read = setInterval(() => (text += contentOf(reading)), 1);
  afterwards(t, () => clearInterval(read));
  assert.equal(await within(ended, "the end"), 0);
  text += contentOf(reading);
  assert.equal(text, Array.from({ length: 20_000 }, (_, count) => `prog: line ${count}\n`).join(""));
});

test("the process survives when the reader is gone", options, async (t) => {
  const path = join(await temporaryFolder(t), "pipe");
  assert.equal(spawnSync("mkfifo", [path]).status, 0);
  const reading = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  const writing = openSync(path, constants.O_WRONLY);
  closeSync(reading);
  afterwards(t, () => closeSync(writing));
  const child = startModule(
    t,
    `for (let count = 0; count < 100; count += 1) { write("nobody reads this"); flushStandardError(${failsafeMs}); }
    writeSync(1, "alive");`,
    writing,
  );
  assert.equal(await nextOutput(child), "alive");
  assert.equal(await within(new Promise((resolve) => child.once("exit", resolve)), "the end"), 0);
});

test("process.stderr and Node's warnings use the same writer", options, () => {
  const result = runModule(`${start}
    const { createLog } = await import(dist("observe/log.js"));
    replaceStandardError(createLog(sink));
    console.error("from elsewhere");
    process.emitWarning("mind this", "SomeWarning");
    await new Promise((resolve) => setImmediate(resolve));
    flushStandardError(${failsafeMs});
  `);
  assert.deepEqual([result.status, result.stderr.toString()], [0, "from elsewhere\nprog: SomeWarning: mind this\n"]);
});

test("a full disk drops lines, and the next line that fits is preceded by their number", options, async (t) => {
  // A file size limit stands in for the full disk; Node.js ignores the signal that comes with it.
  const path = join(await temporaryFolder(t), "log");
  const module = `
    const dist = (path) => new URL(path, ${JSON.stringify(new URL("../../../../dist/", import.meta.url).href)}).href;
    ${start}
    const { truncateSync } = await import("node:fs");
    for (let count = 0; count < 20; count += 1) { write("x".repeat(1_000)); flushStandardError(${failsafeMs}); }
    truncateSync(${JSON.stringify(path)}, 0);
    write("there is room again");
    flushStandardError(${failsafeMs});
  `;
  const shell = `ulimit -f 8 && exec "$@" 2>> "$LOG"`;
  const result = spawnSync("sh", ["-c", shell, "sh", process.execPath, "--input-type=module", "--eval", module], {
    cwd: root,
    env: { ...process.env, LOG: path },
    timeout: failsafeMs,
  });
  assert.equal(result.status, 0, result.stderr.toString());
  const text = readFileSync(path, "latin1");
  assert.match(
    text,
    /^\n?prog: log messages dropped: \d+ \(cannot write to standard error: file too large\)\nprog: there is room again\n$/,
  );
});
