// Key files: read whole, whatever their size and kind, and refused if they are not keys. Reading does not block the event
// loop.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import {
  chmodSync,
  closeSync,
  constants,
  fstatSync,
  openSync,
  readSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { type TestContext, test } from "node:test";
import { KeyFileReader, openKeyFile, type ReadOptions, readKeyFile } from "#dist/config/key-file.js";
import { SpipedError } from "#dist/errors.js";
import { addon, type KeyFile } from "#dist/native/native.js";
import type { SharedKey } from "#dist/protocol/secret.js";
import { textOf } from "../../support/addresses.js";
import { afterwards, failsafeMs, temporaryFolder, until } from "../../support/cleanup.js";
import { Listener } from "../../support/listener.js";
import { namedPipe, openForReader, writeToReader } from "../../support/pipes.js";
import { randomData } from "../../support/random-data.js";
import { dhMacKeysOf, macPublicValue } from "../../support/reference-protocol.js";
import { sameBytes } from "../support/bytes.js";
import { runModule } from "../support/children.js";
import { keyedClient, someNonces } from "../support/handshakes.js";
import { asNobody } from "../support/unprivileged.js";

const key32 = randomData("a key", 32);
const mebibyte = 1_024 * 1_024;

/** What a client with this key sends in the handshake: it identifies the key without revealing it. */
function shownBy(key: SharedKey): Uint8Array {
  return keyedClient(key, "off", someNonces).macedPublic(addon.KeyPair.withoutForwardSecrecy());
}

function expectedOf(contents: Uint8Array): Uint8Array {
  const K = createHash("sha256").update(contents).digest();
  return macPublicValue(dhMacKeysOf(K, someNonces.nonceC, someNonces.nonceS).client, 1n);
}

async function keyFileOf(t: TestContext, contents: Uint8Array, mode = 0o600): Promise<string> {
  const path = join(await temporaryFolder(t), "key");
  writeFileSync(path, contents);
  chmodSync(path, mode);
  return path;
}

async function gives(path: string, contents: Uint8Array, options: ReadOptions = {}): Promise<readonly string[]> {
  const { key, warnings } = await readKeyFile(path, options);
  sameBytes(shownBy(key), expectedOf(contents), path);
  key.destroy();
  return warnings;
}

async function refuses(reading: Promise<unknown>, message: RegExp, hint?: RegExp): Promise<void> {
  await assert.rejects(reading, (error) => {
    assert.ok(error instanceof SpipedError, String(error));
    assert.equal(error.code, "SPIPED_KEY_FILE");
    assert.match(error.message, message);
    if (hint !== undefined) assert.match(error.hint ?? "", hint);
    return true;
  });
}

for (const size of [1, 31, 32, 33, 1_024, 65_535, 65_536, 65_537, 131_072, 300_001]) {
  test(`a key file of ${size} bytes gives the SHA-256 of all of them`, async (t) => {
    const contents = randomData("key", size);
    const warnings = await gives(await keyFileOf(t, contents), contents);
    assert.equal(warnings.length, size < 32 ? 1 : 0, warnings.join());
  });
}

test("a key file is not trimmed: line breaks, spaces and zero bytes count", async (t) => {
  for (const text of ["secret", "secret\n", "secret\r\n", " secret", "secret\0", "\ufeffsecret"]) {
    const contents = Buffer.from(text);
    await gives(await keyFileOf(t, contents), contents);
  }
});

test("a key file is read through a symbolic link", async (t) => {
  const path = await keyFileOf(t, key32);
  symlinkSync(path, `${path}.link`);
  await gives(`${path}.link`, key32);
});

test("an empty key file is refused, and so is anything else without a byte", async (t) => {
  const path = await keyFileOf(t, new Uint8Array(0));
  for (const empty of [path, "/dev/null"]) {
    await refuses(readKeyFile(empty), /^cannot read key file .*: it is empty, so everybody knows this key$/, /keygen/);
  }
});

test("a key file of 64 MiB is read; one byte more, or an endless device, is refused", async (t) => {
  const path = await keyFileOf(t, new Uint8Array(0));
  truncateSync(path, 64 * mebibyte);
  await gives(path, new Uint8Array(64 * mebibyte));
  truncateSync(path, 64 * mebibyte + 1);
  for (const long of [path, "/dev/zero"]) await refuses(readKeyFile(long), /: it is longer than 64 MiB$/);
});

for (const [mode, ...warned] of [
  [0o600],
  [0o400],
  [0o640],
  [0o604, /can be read by everybody on this machine; chmod 600 it$/],
  [0o644, /can be read by everybody/],
  [0o620, /can be changed by its group; chmod go-w it$/],
  [0o602, /can be changed by everybody on this machine; chmod go-w it$/],
  [0o660, /can be changed by its group/],
  [0o666, /can be read by everybody/, /can be changed by everybody/],
] as const) {
  test(`a key file of mode 0${mode.toString(8)} has ${warned.length} warnings`, async (t) => {
    const path = await keyFileOf(t, key32, mode);
    const { warnings } = await readKeyFile(path);
    assert.equal(warnings.length, warned.length, warnings.join());
    warned.forEach((pattern, index) => {
      assert.ok(warnings[index]?.startsWith(`key file ${path} can`));
      assert.match(warnings[index] ?? "", pattern);
    });
  });
}

for (const [what, contents, warned] of [
  [
    "31 random bytes",
    key32.subarray(1),
    /has only 31 bytes, so the key can be guessed; make one with spiped keygen FILE/,
  ],
  ["a word", Buffer.from("secret\n"), /has only 7 bytes/],
  [
    "words",
    Buffer.from("correct horse battery staple, and more of them\n"),
    /is printable text, and a passphrase can be guessed/,
  ],
  ["words of another language", Buffer.from("Правильная лошадь батарейка скрепка"), /is printable text/],
  ["one long word", Buffer.from("correcthorsebatterystaplecorrecthorse"), /is printable text/],
  ["random bytes as hexadecimal digits", Buffer.from(`${Buffer.from(key32).toString("hex")}\n`), undefined],
  ["random bytes as base64", Buffer.from(`${Buffer.from(key32).toString("base64")}\n`), undefined],
  ["random bytes as base64url", Buffer.from(randomData("64", 64)).toString("base64url"), undefined],
  ["text behind a zero", Buffer.from("\0correct horse battery staple, and more"), undefined],
] as const) {
  test(`a key file of ${what} causes ${warned === undefined ? "no " : "a "}warning`, async (t) => {
    const { warnings } = await readKeyFile(await keyFileOf(t, Buffer.from(contents)));
    assert.equal(warnings.length, warned === undefined ? 0 : 1, warnings.join());
    if (warned !== undefined) assert.match(warnings[0] ?? "", warned);
  });
}

test("a missing key file is an error that says how to make one", async (t) => {
  const path = join(await temporaryFolder(t), "nowhere");
  await refuses(readKeyFile(path), /^cannot read key file .*nowhere: there is no such file$/, /spiped keygen FILE/);
  await refuses(openKeyFile(path), /nowhere: there is no such file$/, /spiped keygen FILE/);
  await refuses(
    readKeyFile("~/none/key"),
    /there is no such file$/,
    /^only a shell expands ~.*; write \S+\/none\/key$/,
  );
});

test("a folder is refused as a key file", async (t) => {
  const path = await temporaryFolder(t);
  const hint =
    /^name a key file in it, since only the decrypting end takes a folder; Docker makes a folder where a mounted file is missing on the host$/;
  await refuses(readKeyFile(path), /it is a folder$/, hint);
  // Opening it works; reading the descriptor fails.
  const descriptor = await openKeyFile(path);
  await refuses(readKeyFile(path, { descriptor }), /it is a folder$/, hint);
  closeSync(descriptor);
  await refuses(readKeyFile(join(path, "key", "key")), /there is no such file$/);
});

test("a path through a file is refused", async (t) => {
  const path = await keyFileOf(t, key32);
  await refuses(readKeyFile(join(path, "key")), /part of its path is not a folder$/);
});

test("a socket is refused as a key file", async (t) => {
  const { address } = await Listener.listen(t, "unix");
  await refuses(readKeyFile(textOf(address)), /it is a socket, or a device that is not there$/);
});

test("an unreadable key file is an error that names its owner and the user of the process", async (t) => {
  const path = await keyFileOf(t, key32, 0o000);
  const { uid } = statSync(path);
  // Everybody can enter the folder, so the file itself is refused.
  chmodSync(dirname(path), 0o711);
  await asNobody(async () => {
    const hint = `^it belongs to user ${uid}, with mode 0000; spiped runs as user ${process.geteuid?.()} and must`;
    await refuses(readKeyFile(path), /permission denied$/, new RegExp(hint));
  });
});

test("a key file in a folder that cannot be entered is an error that says so", async (t) => {
  const path = await keyFileOf(t, key32);
  chmodSync(dirname(path), 0o600);
  await asNobody(async () => {
    const hint = /^a folder above it denies access; spiped runs as user \d+/;
    await refuses(readKeyFile(path), /permission denied$/, hint);
  });
  chmodSync(dirname(path), 0o700);
});

test("reading key files leaves no descriptor open, whether it succeeds or fails", async (t) => {
  const path = await keyFileOf(t, key32);
  const folder = await temporaryFolder(t);
  const next = () => {
    const descriptor = openSync(path, "r");
    closeSync(descriptor);
    return descriptor;
  };
  const before = next();
  for (let times = 0; times < 10; times += 1) {
    await readKeyFile(path);
    await new KeyFileReader(path).read();
    await assert.rejects(readKeyFile(folder));
    await assert.rejects(readKeyFile(`${path}.nowhere`));
    closeSync(await openKeyFile(path));
  }
  assert.equal(next(), before);
});

test("the addon reads a path that is not UTF-8", { skip: process.platform !== "linux" }, async (t) => {
  const path = Buffer.concat([Buffer.from(`${await temporaryFolder(t)}/`), Buffer.of(0xe9, 0xff)]);
  writeFileSync(path, key32);
  const request = { limitBytes: mebibyte, regularOnly: true, exceptStandardInput: false };
  const alive = setInterval(() => undefined, failsafeMs);
  afterwards(t, () => clearInterval(alive));
  const file = await new Promise<KeyFile>((resolve) => addon.readKeyFile(path, request, resolve));
  assert.deepEqual([file.state, file.lengthBytes, file.kind], ["read", 32, "file"]);
});

// Slow files.

test("a named pipe is read to its end without blocking the process", async (t) => {
  const pipe = await namedPipe(t);
  let isOver = false;
  const reading = gives(pipe, key32).finally(() => {
    isOver = true;
  });
  const writer = await until(() => openForReader(pipe), "a reader");
  // Neither the event loop nor any thread of the pool is blocked.
  await Promise.all(Array.from({ length: 8 }, () => addon.KeyPair.generate()));
  assert.equal(isOver, false);
  closeSync(writer);
  // Nothing was written, so the key is empty.
  await assert.rejects(reading, /it is empty/);
  const again = gives(pipe, key32);
  await writeToReader(pipe, key32);
  await again;
});

test("a named pipe without a writer fails after 30 s at startup and after 10 s on a reload", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const instead = "there is a better way";
  for (const [limitMs, read, hint] of [
    [30_000, (pipe: string) => readKeyFile(pipe, { instead }), /^there is a better way, and waits as long/],
    [30_000, (pipe: string) => openKeyFile(pipe, { instead }), /^there is a better way, and waits as long/],
    [10_000, (pipe: string) => hangingReader(t, pipe).read(), undefined],
  ] as const) {
    const reading = read(await namedPipe(t));
    let isOver = false;
    reading.then(
      () => undefined,
      () => {
        isOver = true;
      },
    );
    t.mock.timers.tick(limitMs - 1);
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(isOver, false);
    t.mock.timers.tick(1);
    await refuses(reading, new RegExp(`: it did not come to its end within ${limitMs / 1_000} s$`), hint);
  }
});

/** A reader for which a named pipe looks like a file on a mount that does not respond. */
function hangingReader(t: TestContext, pipe: string): KeyFileReader {
  const { readKeyFile: original } = addon;
  t.mock.method(addon, "readKeyFile", (path: string, request: object, done: (file: KeyFile) => void) =>
    original(path, { ...request, limitBytes: 1, regularOnly: false, exceptStandardInput: false }, done),
  );
  return new KeyFileReader(pipe);
}

test("after a timeout, no second read starts until the first has ended, and its key is discarded", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const pipe = await namedPipe(t);
  const reader = hangingReader(t, pipe);
  const late = reader.read();
  t.mock.timers.tick(10_000);
  await refuses(late, /within 10 s$/);
  await refuses(reader.read(), /: an earlier attempt has not come to its end yet$/);
  t.mock.timers.reset();
  await writeToReader(pipe, Buffer.from("k"));
  t.mock.restoreAll();
  await until(async () => {
    const error: unknown = await reader.read().catch((reason: unknown) => reason);
    return /only a file is read again/.test(String(error)) ? true : undefined;
  }, "the late thread's end");
});

// Changing files.

test("the addon reports that a file was written to while it was read", async (t) => {
  const path = await keyFileOf(t, new Uint8Array(0));
  truncateSync(path, 32 * mebibyte);
  const request = { limitBytes: 64 * mebibyte, regularOnly: true, exceptStandardInput: false };
  // The addon's thread does not keep the process alive.
  const alive = setInterval(() => undefined, failsafeMs);
  afterwards(t, () => clearInterval(alive));
  const hasChanged = (write: () => void) =>
    new Promise<boolean>((resolve) => {
      addon.readKeyFile(path, request, (file) => resolve(file.hasChanged));
      write();
    });
  assert.equal(await hasChanged(() => undefined), false);
  // The thread may start late or finish early, so this is repeated until a write falls into a read.
  await until(
    async () =>
      (await hasChanged(() => {
        for (let times = 0; times < 500; times += 1) writeFileSync(path, "x", { flag: "r+" });
      }))
        ? true
        : undefined,
    "a change during a reading",
  );
});

/** Makes the first `times` reads of a file report a change. */
function changesAtFirst(t: TestContext, times: number, then: () => void = () => undefined): void {
  const { readKeyFile: original } = addon;
  let count = 0;
  t.mock.method(addon, "readKeyFile", (path: string, request: never, done: (file: KeyFile) => void) =>
    original(path, request, (file) => {
      count += 1;
      const hasChanged = count <= times;
      if (hasChanged) then();
      done(new Proxy(file, { get: (target, name) => (name === "hasChanged" ? hasChanged : bound(target, name)) }));
    }),
  );
}

function bound(target: object, name: string | symbol): unknown {
  const value: unknown = Reflect.get(target, name, target);
  return typeof value === "function" ? value.bind(target) : value;
}

for (const [when, read] of [
  ["at startup", (path: string) => readKeyFile(path)],
  ["on a reload", (path: string) => new KeyFileReader(path).read()],
] as const) {
  test(`a file that is being written ${when} is read again until it is complete`, async (t) => {
    const path = await keyFileOf(t, Buffer.from("half a key"));
    changesAtFirst(t, 2, () => writeFileSync(path, key32));
    sameBytes(shownBy((await read(path)).key), expectedOf(key32));
  });

  test(`a file that keeps changing ${when} is refused`, async (t) => {
    const path = await keyFileOf(t, key32);
    changesAtFirst(t, Number.POSITIVE_INFINITY);
    await refuses(read(path), /: it is being written$/, /move it to this name when it is whole/);
  });
}

test("a file that is empty for a moment on a reload is read again", async (t) => {
  const path = await keyFileOf(t, new Uint8Array(0));
  const { readKeyFile: original } = addon;
  t.mock.method(addon, "readKeyFile", (...[name, request, done]: Parameters<typeof original>) =>
    original(name, request, (file) => {
      writeFileSync(path, key32);
      done(file);
    }),
  );
  sameBytes(shownBy((await new KeyFileReader(path).read()).key), expectedOf(key32));
});

// Reloads.

test("a reload reads the new contents of the file", async (t) => {
  const path = await keyFileOf(t, key32);
  const reader = new KeyFileReader(path);
  await reader.read();
  const other = randomData("another key", 40);
  writeFileSync(path, other);
  sameBytes(shownBy((await reader.read()).key), expectedOf(other));
  truncateSync(path, 0);
  await refuses(reader.read(), /: it is empty, so everybody knows this key$/);
});

test("a reload does not even open anything but a file", async (t) => {
  const pipe = await namedPipe(t);
  const link = `${pipe}.link`;
  symlinkSync(pipe, link);
  for (const path of [pipe, link]) {
    await refuses(new KeyFileReader(path).read(), /: it is a pipe, and only a file is read again$/);
    assert.equal(openForReader(pipe), undefined);
  }
  await refuses(new KeyFileReader("/dev/zero").read(), /: it is a device, and only a file is read again$/);
  await refuses(new KeyFileReader("-").read(), /^the key came from standard input and cannot be read again$/);
});

test("a descriptor is not read again under any name, even if it is a file", async (t) => {
  const path = await keyFileOf(t, key32);
  const descriptor = openSync(path, "r");
  afterwards(t, () => closeSync(descriptor));
  const names = [`/dev/fd/${descriptor}`];
  if (process.platform === "linux") {
    names.push(`/proc/self/fd/${descriptor}`, `/proc/${process.pid}/fd/${descriptor}`, "/dev/stdin");
    names.push(`/proc/thread-self/fd/${descriptor}`, `/proc/self/task/${process.pid}/fd/${descriptor}`);
  }
  symlinkSync(`/dev/fd/${descriptor}`, `${path}.link`);
  symlinkSync(`${path}.link`, `${path}.link.link`);
  for (const name of [...names, `${path}.link`, `${path}.link.link`]) {
    await refuses(new KeyFileReader(name).read(), /^the key came from descriptor .* and cannot be read again$/);
  }
  await gives(`${path}.link.link`, key32);
});

// Opening for another process.

test("a descriptor from openKeyFile is read from the beginning of the file, and is left open", async (t) => {
  const path = await keyFileOf(t, key32);
  const descriptor = await openKeyFile(path);
  readSync(descriptor, new Uint8Array(10));
  for (let times = 0; times < 2; times += 1) await gives("/nowhere", key32, { descriptor });
  assert.ok(fstatSync(descriptor).isFile());
  closeSync(descriptor);
});

test("a named pipe that is already open is read to its end, even if it is non-blocking", async (t) => {
  const pipe = await namedPipe(t);
  for (const flags of [0, constants.O_NONBLOCK]) {
    const opening = flags === 0 ? openKeyFile(pipe) : openSync(pipe, constants.O_RDONLY | flags);
    const writer = await until(() => openForReader(pipe), "a reader");
    const descriptor = await opening;
    const reading = gives("/nowhere", key32, { descriptor });
    writeFileSync(writer, key32.subarray(0, 10));
    await new Promise((resolve) => setImmediate(resolve));
    writeFileSync(writer, key32.subarray(10));
    closeSync(writer);
    await reading;
    closeSync(descriptor);
    assert.equal(openForReader(pipe), undefined);
  }
});

// Standard input.

const readStandardInput = `
  const { readKeyFile } = await import(dist("config/key-file.js"));
  const { addon } = await import(dist("native/native.js"));
  const { key, warnings } = await readKeyFile("-");
  const client = new addon.ClientHandshake(key, "off", new Uint8Array(32).fill(0xc1));
  client.receiveNonce(new Uint8Array(32).fill(0x5e));
  process.stdout.write(client.macedPublic(addon.KeyPair.withoutForwardSecrecy()));
  process.stderr.write(warnings.join("\\n"));
`;

for (const size of [32, 65_536, 300_001]) {
  test(`standard input of ${size} bytes from a pipe is read to its end`, () => {
    const contents = randomData("standard input", size);
    const { stdout, stderr, status } = runModule(readStandardInput, { input: contents });
    assert.equal(status, 0, stderr.toString());
    sameBytes(stdout, expectedOf(contents));
    assert.equal(stderr.toString(), "");
  });
}

test("standard input may be a file of any mode", async (t) => {
  const contents = randomData("a file", 100_000);
  const descriptor = openSync(await keyFileOf(t, contents), "r");
  const { stdout, stderr, status } = runModule(readStandardInput, { stdio: [descriptor, "pipe", "pipe"] });
  closeSync(descriptor);
  assert.equal(status, 0, stderr.toString());
  sameBytes(stdout, expectedOf(contents));
  assert.equal(stderr.toString(), "");
});

test("empty standard input is refused", () => {
  for (const options of [{ input: new Uint8Array(0) }, { stdio: ["ignore", "pipe", "pipe"] }] as const) {
    const { status, stderr } = runModule(readStandardInput, options);
    assert.equal(status, 1);
    assert.match(stderr.toString(), /cannot read key file standard input: it is empty, so everybody knows this key/);
  }
});

test("any path that leads to standard input is refused if standard input is the data", async (t) => {
  const pipe = await namedPipe(t);
  const paths = ["/dev/stdin", "/dev/fd/0", ...(process.platform === "linux" ? ["/proc/self/fd/0", pipe] : [])];
  const script = `
    const { readKeyFile } = await import(dist("config/key-file.js"));
    const { openSync, readFileSync } = await import("node:fs");
    for (const path of ${JSON.stringify(paths)}) {
      try {
        await readKeyFile(path, { exceptStandardInput: true });
        console.log("taken");
      } catch (error) {
        console.log(error.message);
      }
    }
    process.stdout.write(readFileSync(0));
  `;
  // Opened for reading and writing, so that opening does not wait for a writer.
  const input = openSync(pipe, "r+");
  writeFileSync(input, "the data");
  const reader = openSync(pipe, "r");
  closeSync(input);
  const { stdout } = runModule(script, { stdio: [reader, "pipe", "pipe"] });
  closeSync(reader);
  const lines = paths.map((path) => `key file ${path} is standard input, which has the data; name a file\n`);
  assert.equal(stdout.toString(), `${lines.join("")}the data`);
  const file = await keyFileOf(t, key32);
  await gives(file, key32, { exceptStandardInput: true });
});

test("a file named - is read if its path has a folder", async (t) => {
  const folder = await temporaryFolder(t);
  writeFileSync(join(folder, "-"), key32);
  await gives(`${folder}/-`, key32);
});
