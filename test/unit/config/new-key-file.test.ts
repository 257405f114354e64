// New key files: never overwritten, and readable by their owner only.

import assert from "node:assert/strict";
import { randomFillSync } from "node:crypto";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { GENERATED_KEY_BYTES, generateKeyFile } from "#dist/config/new-key-file.js";
import { SpipedError } from "#dist/errors.js";
import { temporaryFolder } from "../../support/cleanup.js";
import { sameBytes } from "../support/bytes.js";
import { throwsSpipedError } from "../support/errors.js";
import { asNobody } from "../support/unprivileged.js";

test("a new key file has 32 random bytes, and only its owner can read it", async (t) => {
  const folder = await temporaryFolder(t);
  const [one, other] = [join(folder, "one"), join(folder, "other")];
  for (const path of [one, other]) generateKeyFile(path, randomFillSync);
  assert.equal(GENERATED_KEY_BYTES, 32);
  for (const path of [one, other]) {
    assert.equal(statSync(path).size, 32);
    assert.equal(statSync(path).mode & 0o7777, 0o600);
  }
  assert.notDeepEqual(readFileSync(one), readFileSync(other));
});

test("only the owner can read a new key file, whatever the umask", async (t) => {
  const before = process.umask(0);
  try {
    const path = join(await temporaryFolder(t), "key");
    generateKeyFile(path, randomFillSync);
    assert.equal(statSync(path).mode & 0o7777, 0o600);
  } finally {
    process.umask(before);
  }
});

test("a new key file contains the bytes from the random source, and that memory is wiped", async (t) => {
  const path = join(await temporaryFolder(t), "key");
  let given: Uint8Array = new Uint8Array(0);
  generateKeyFile(path, (memory) => {
    memory.forEach((_, index) => {
      memory[index] = index + 1;
    });
    given = memory;
  });
  sameBytes(
    readFileSync(path),
    Uint8Array.from({ length: 32 }, (_, index) => index + 1),
  );
  assert.ok(given.length === 32 && given.every((byte) => byte === 0));
});

test("an existing file is never overwritten; the message names it and says what to do", async (t) => {
  const path = join(await temporaryFolder(t), "key");
  writeFileSync(path, "precious");
  assert.throws(
    () => generateKeyFile(path, randomFillSync),
    (error) => {
      assert.ok(error instanceof SpipedError);
      assert.equal(error.code, "SPIPED_KEY_FILE");
      assert.equal(error.message, `cannot write key file ${path}: it exists already`);
      assert.match(error.hint ?? "", /never overwritten/);
      return true;
    },
  );
  assert.equal(readFileSync(path, "utf8"), "precious");
});

test("neither a folder nor a link, even a broken one, is overwritten", async (t) => {
  const folder = await temporaryFolder(t);
  mkdirSync(join(folder, "folder"));
  symlinkSync(join(folder, "nowhere"), join(folder, "link"));
  for (const name of ["folder", "link"]) {
    throwsSpipedError(() => generateKeyFile(join(folder, name), randomFillSync), "SPIPED_KEY_FILE", /exists already/);
  }
  assert.ok(!existsSync(join(folder, "nowhere")));
});

test("a missing folder is named as the reason", async (t) => {
  const path = join(await temporaryFolder(t), "nowhere", "key");
  throwsSpipedError(() => generateKeyFile(path, randomFillSync), "SPIPED_KEY_FILE", /there is no folder /);
});

test("a folder that is not writable is named as the reason", async (t) => {
  const folder = await temporaryFolder(t);
  chmodSync(folder, 0o500);
  await asNobody(() => {
    throwsSpipedError(
      () => generateKeyFile(join(folder, "key"), randomFillSync),
      "SPIPED_KEY_FILE",
      /permission denied/,
    );
  });
  chmodSync(folder, 0o700);
});

test("an incompletely written key leaves no file behind", async (t) => {
  const folder = await temporaryFolder(t);
  const noRandomness = () => {
    throw new Error("no random bytes");
  };
  throwsSpipedError(() => generateKeyFile(join(folder, "key"), noRandomness), "SPIPED_KEY_FILE", /no random bytes/);
  assert.deepEqual(readdirSync(folder), []);
});

test("after a failed write, the same name works", async (t) => {
  const path = join(await temporaryFolder(t), "key");
  assert.throws(() =>
    generateKeyFile(path, () => {
      throw new Error("no random bytes");
    }),
  );
  generateKeyFile(path, randomFillSync);
  assert.equal(statSync(path).size, 32);
});
