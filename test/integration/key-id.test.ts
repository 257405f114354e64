// spiped key-id: prints IDs that distinguish keys and do not reveal them.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { openSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { limits, temporaryFolder } from "../support/cleanup.js";
import { Command } from "../support/command.js";
import { ours } from "../support/programs.js";
import { randomData } from "../support/random-data.js";
import { keyIdOf, secretOf } from "../support/reference-protocol.js";

function idOf(contents: Uint8Array): string {
  const digits = Buffer.from(keyIdOf(secretOf(contents))).toString("hex");
  return [0, 4, 8, 12].map((at) => digits.slice(at, at + 4)).join("-");
}

function run(t: TestContext, files: readonly string[], cwd: string) {
  return Command.run(t, [...ours.spiped, "key-id", ...files], { stdin: "ignore", cwd });
}

test("key-id prints a line for each file, with the ID that node:crypto computes", limits, async (t) => {
  const folder = await temporaryFolder(t);
  const [one, other] = [randomData("one", 32), randomData("other", 100_000)];
  await writeFile(join(folder, "one"), one, { mode: 0o600 });
  await writeFile(join(folder, "same"), one, { mode: 0o600 });
  await writeFile(join(folder, "other"), other, { mode: 0o600 });
  const { status, stdout, stderr } = await run(t, ["one", "same", "other"], folder);
  assert.equal(stdout, `${idOf(one)}  one\n${idOf(one)}  same\n${idOf(other)}  other\n`);
  assert.equal(stderr, "");
  assert.equal(status, 0);
  // The SHA-256 is K: no two bytes of it side by side.
  const K = createHash("sha256").update(one).digest("hex");
  for (const group of idOf(one).split("-")) assert.ok(!K.startsWith(group));
});

test("key-id reads standard input as -, and a file of that name by its path", limits, async (t) => {
  const folder = await temporaryFolder(t);
  const [input, dash] = [randomData("input", 33), randomData("dash", 34)];
  await writeFile(join(folder, "input"), input);
  await writeFile(join(folder, "-"), dash, { mode: 0o600 });
  const stdin = openSync(join(folder, "input"), "r");
  const { status, stdout } = await Command.run(t, [...ours.spiped, "key-id", "-", "./-"], { stdin, cwd: folder });
  assert.equal(status, 0);
  assert.equal(stdout, `${idOf(input)}  -\n${idOf(dash)}  ./-\n`);
});

test("key-id reports each invalid key with a hint, continues with the others, and exits 1", limits, async (t) => {
  const folder = await temporaryFolder(t);
  await writeFile(join(folder, "empty"), "");
  await writeFile(join(folder, "key"), randomData("key", 32), { mode: 0o600 });
  const { status, stdout, stderr } = await run(t, ["empty", "none", "-", "key", "/dev/zero"], folder);
  assert.equal(status, 1);
  assert.equal(stdout, `${idOf(randomData("key", 32))}  key\n`);
  const [messages, hints] = [false, true].map((isHint) =>
    stderr.split("\n").filter((line) => line !== "" && line.startsWith("spiped: hint: ") === isHint),
  );
  assert.equal(hints?.length, 4, stderr);
  assert.deepEqual(messages, [
    "spiped: cannot read key file empty: it is empty, so everybody knows this key",
    "spiped: cannot read key file none: there is no such file",
    "spiped: cannot read key file standard input: it is empty, so everybody knows this key",
    "spiped: cannot read key file /dev/zero: it is longer than 64 MiB",
  ]);
});

test("key-id prints a line for each key in a folder, and reports files that are not keys", limits, async (t) => {
  const folder = await temporaryFolder(t);
  await mkdir(join(folder, "keys"));
  const [alice, bob] = [randomData("alice", 32), randomData("bob", 32)];
  await writeFile(join(folder, "keys", "bob.key"), bob, { mode: 0o600 });
  await writeFile(join(folder, "keys", "alice"), alice, { mode: 0o600 });
  await writeFile(join(folder, "keys", ".hidden"), "x", { mode: 0o600 });
  const right = await run(t, ["keys/"], folder);
  assert.equal(right.stdout, `${idOf(alice)}  keys/alice\n${idOf(bob)}  keys/bob.key\n`);
  assert.equal(right.stderr, "");
  assert.equal(right.status, 0);
  await writeFile(join(folder, "keys", "carol"), "", { mode: 0o600 });
  const wrong = await run(t, ["keys"], folder);
  assert.equal(wrong.stdout, right.stdout);
  assert.equal(
    wrong.stderr,
    "spiped: cannot read key file keys/carol: it is empty, so everybody knows this key\n" +
      "spiped: hint: keys is a folder, so every file in it must be the key of one client; move carol out of it, or replace it with a key\n",
  );
  assert.equal(wrong.status, 1);
  await mkdir(join(folder, "none"));
  const none = await run(t, ["none"], folder);
  assert.match(
    none.stderr,
    /^spiped: cannot read key folder none: there is no key in it\nspiped: hint: each file in it is /,
  );
  assert.equal(none.status, 1);
});

test("key-id warns of a guessable key, because its ID allows offline guessing", limits, async (t) => {
  const folder = await temporaryFolder(t);
  await writeFile(join(folder, "word"), "secret", { mode: 0o600 });
  const { status, stdout, stderr } = await run(t, ["word"], folder);
  assert.equal(status, 0);
  assert.equal(stdout, `${idOf(Buffer.from("secret"))}  word\n`);
  assert.match(stderr, /^spiped: key file word has only 6 bytes, so the key can be guessed; .*\n$/);
});

test("key-id prints control characters in file names as question marks", limits, async (t) => {
  const folder = await temporaryFolder(t);
  const name = "key\x1b[31m\nnext";
  await writeFile(join(folder, name), randomData("key", 32), { mode: 0o600 });
  const { stdout } = await run(t, [name], folder);
  assert.equal(stdout, `${idOf(randomData("key", 32))}  key?[31m?next\n`);
});

test("key-id needs a file, and shows an example", limits, async (t) => {
  const folder = await temporaryFolder(t);
  const { status, stderr } = await run(t, [], folder);
  assert.equal(status, 1);
  assert.match(stderr, /^spiped: spiped key-id needs a file name\nspiped: hint: for example: spiped key-id keyfile\n$/);
  const help = await run(t, ["--help"], folder);
  assert.equal(help.status, 0);
  assert.match(help.stdout, /Usage: spiped key-id FILE\.\.\./);
});
