// Standard input and output as one side of a connection, for every kind of file, in child processes.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { closeSync, openSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { pathToFileURL } from "node:url";
import { failsafeMs, limits, temporaryFolder } from "../../support/cleanup.js";
import { Command } from "../../support/command.js";
import { randomData } from "../../support/random-data.js";
import { sameBytes } from "../support/bytes.js";
import { type ChildOptions, runModule } from "../support/children.js";
import { root } from "../support/paths.js";

/** Copies standard input to standard output, and ends when both have ended. */
const copy = `
  const { StdioChannel } = await import(dist("cli/stdio-channel.js"));
  const { createReadBuffer } = await import(dist("net/socket-reader.js"));
  const channel = new StdioChannel(createReadBuffer());
  channel.onFailure((error) => {
    process.stderr.write(error.code + ": " + error.message);
    process.exit(7);
  });
  channel.reader.flowInto({
    receive(bytes) {
      channel.writable.write(Uint8Array.from(bytes), () => channel.reader.resume());
      return false;
    },
    end() {
      channel.writable.end(() => {
        channel.close();
        process.exit(0);
      });
    },
  });
`;

const sizes = [0, 1, 1_024, 65_535, 65_536, 65_537, 1_000_000];

function copied(options: ChildOptions): Uint8Array {
  const { status, stdout, stderr, signal } = runModule(copy, options);
  assert.deepEqual([status, signal, stderr.toString()], [0, null, ""]);
  return stdout;
}

for (const size of sizes) {
  test(`${size} bytes go from one pipe to another`, limits, () => {
    const data = randomData("stdio", size);
    sameBytes(copied({ input: data }), data);
  });

  test(`${size} bytes go from one file to another`, limits, async (t) => {
    const folder = await temporaryFolder(t);
    const data = randomData("stdio", size);
    writeFileSync(join(folder, "in"), data);
    const [input, output] = [openSync(join(folder, "in"), "r"), openSync(join(folder, "out"), "w")];
    copied({ stdio: [input, output, "pipe"] });
    closeSync(input);
    closeSync(output);
    sameBytes(readFileSync(join(folder, "out")), data);
  });
}

test("output to a file that is open for appending keeps its contents", limits, async (t) => {
  const path = join(await temporaryFolder(t), "out");
  writeFileSync(path, "before ");
  const output = openSync(path, "a");
  runModule(copy, { input: Buffer.from("after"), stdio: ["pipe", output, "pipe"] });
  closeSync(output);
  assert.equal(readFileSync(path, "utf8"), "before after");
});

test("standard input from /dev/null ends at once", limits, () => {
  sameBytes(copied({ stdio: ["ignore", "pipe", "pipe"] }), new Uint8Array(0));
});

test("bytes go through the pipes of a shell", limits, () => {
  const data = randomData("shell", 1_000_000);
  const module = `const dist = (path) => new URL(path, ${JSON.stringify(distUrl)}).href;\n${copy}`;
  const { stdout, status } = spawnSync(
    "sh",
    ["-c", 'cat | "$0" --input-type=module --eval "$1" | cat', process.execPath, module],
    {
      input: data,
      timeout: failsafeMs,
      maxBuffer: Number.POSITIVE_INFINITY,
    },
  );
  assert.equal(status, 0);
  sameBytes(stdout, data);
});

test("a reader of standard output sees the end while the program keeps running", limits, async (t) => {
  const module = `
    const dist = (path) => new URL(path, ${JSON.stringify(distUrl)}).href;
    const { StdioChannel } = await import(dist("cli/stdio-channel.js"));
    const { createReadBuffer } = await import(dist("net/socket-reader.js"));
    const channel = new StdioChannel(createReadBuffer());
    channel.writable.end("all there is");
    channel.reader.flowInto({ mostBytes: 65_536, receive: () => true, end: () => process.exit(0) });
  `;
  const command = Command.start(t, [process.execPath, "--input-type=module", "--eval", module]);
  const stdout = command.takeStdout();
  let text = "";
  for await (const chunk of stdout) text += String(chunk);
  assert.equal(text, "all there is");
  assert.equal(command.isGone, false);
  command.stdin.end();
  assert.deepEqual(await command.exit(), { status: 0, signal: null });
});

test("a standard output without a reader is an error that names the stream", limits, async (t) => {
  const module = `const dist = (path) => new URL(path, ${JSON.stringify(distUrl)}).href;\n${copy}`;
  const command = Command.start(t, [process.execPath, "--input-type=module", "--eval", module]);
  const stdout = command.takeStdout();
  command.stdin.write("first");
  await new Promise((resolve) => stdout.once("data", resolve));
  stdout.destroy();
  command.stdin.write("second");
  const exit = command.exit();
  command.child.stdin?.on("error", () => undefined);
  command.stdin.write("third");
  assert.deepEqual(await exit, { status: 7, signal: null });
  assert.match(command.stderr, /^SPIPED_RESET: standard output: broken pipe/);
});

const distUrl = `${pathToFileURL(join(root, "dist")).href}/`;
