// Key files: read whole, whatever their size and place; written once, for their owner only.

import assert from "node:assert/strict";
import { createHash, randomFillSync } from "node:crypto";
import {
  chmodSync,
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { type TestContext, test } from "node:test";
import { GENERATED_KEY_LENGTH, generateKeyFile, readKeyFile } from "#dist/config/key-file.js";
import { SpipedError } from "#dist/errors.js";
import { addon } from "#dist/native/native.js";
import type { SharedKey } from "#dist/protocol/secret.js";
import { temporaryFolder } from "../../support/cleanup.js";
import { randomData } from "../../support/random-data.js";
import { dhMacKeysOf, macPublicValue } from "../../support/reference-protocol.js";
import { sameBytes } from "../support/bytes.js";
import { runModule } from "../support/children.js";
import { throwsSpipedError } from "../support/errors.js";
import { keyedClient, someNonces } from "../support/handshakes.js";

/** What a client with this key sends in the handshake: it shows which K it is, without telling it. */
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

for (const size of [0, 1, 31, 32, 33, 1_024, 65_535, 65_536, 65_537, 131_072, 300_001]) {
  test(`a key file of ${size} bytes gives the SHA-256 of all of them`, async (t) => {
    const contents = randomData("key", size);
    const { key, warnings } = readKeyFile(await keyFileOf(t, contents));
    sameBytes(shownBy(key), expectedOf(contents));
    assert.equal(warnings.length, size === 0 ? 1 : 0);
  });
}

test("nothing of a key file is trimmed: neither line breaks nor blanks nor zeros", async (t) => {
  for (const text of ["secret", "secret\n", "secret\r\n", " secret", "secret\0", "\ufeffsecret"]) {
    const contents = Buffer.from(text);
    sameBytes(shownBy(readKeyFile(await keyFileOf(t, contents)).key), expectedOf(contents), JSON.stringify(text));
  }
});

test("a key file is read through a symbolic link", async (t) => {
  const path = await keyFileOf(t, Buffer.from("linked"));
  symlinkSync(path, `${path}.link`);
  sameBytes(shownBy(readKeyFile(`${path}.link`).key), expectedOf(Buffer.from("linked")));
});

test("an empty key file is warned of by its name", async (t) => {
  const path = await keyFileOf(t, new Uint8Array(0));
  assert.deepEqual(readKeyFile(path).warnings, [`key file ${path} is empty: everybody knows this key`]);
});

for (const [mode, warned] of [
  [0o600, false],
  [0o400, false],
  [0o640, false],
  [0o604, true],
  [0o644, true],
  [0o666, true],
] as const) {
  test(`a key file of mode 0${mode.toString(8)} is ${warned ? "" : "not "}warned of`, async (t) => {
    const { warnings } = readKeyFile(await keyFileOf(t, Buffer.from("key"), mode));
    assert.equal(warnings.length, warned ? 1 : 0);
    if (warned) assert.match(warnings[0] ?? "", /can be read by everybody on this machine; chmod 600 it$/);
  });
}

test("a key file that is not there is an error that says so and how to make one", async (t) => {
  const path = join(await temporaryFolder(t), "nowhere");
  assert.throws(
    () => readKeyFile(path),
    (error) => {
      assert.ok(error instanceof SpipedError);
      assert.equal(error.code, "SPIPED_KEY_FILE");
      assert.equal(error.message, `cannot read key file ${path}: there is no such file`);
      assert.match(error.hint ?? "", /spiped keygen FILE/);
      return true;
    },
  );
});

test("a folder is no key file", async (t) => {
  const path = await temporaryFolder(t);
  const hint = /^name the file in it; of a mounted file that is missing outside, Docker makes a folder$/;
  throwsSpipedError(() => readKeyFile(path), "SPIPED_KEY_FILE", /it is a folder$/, hint);
  throwsSpipedError(() => readKeyFile(join(path, "key", "key")), "SPIPED_KEY_FILE", /there is no such file$/);
});

test("a path through a file is no key file", async (t) => {
  const path = await keyFileOf(t, Buffer.from("key"));
  throwsSpipedError(() => readKeyFile(join(path, "key")), "SPIPED_KEY_FILE", /a part of its path is no folder$/);
});

test("a key file that may not be read is an error that says whose it is, and who wants to read it", async (t) => {
  const path = await keyFileOf(t, Buffer.from("key"), 0o000);
  const { uid } = statSync(path);
  // The folder lets everybody through, or it would be what is refused.
  chmodSync(dirname(path), 0o711);
  asNobody(() => {
    const hint = `^it belongs to user ${uid}, with mode 0000; spiped runs as user ${process.geteuid?.()}, who must`;
    throwsSpipedError(() => readKeyFile(path), "SPIPED_KEY_FILE", /permission denied$/, new RegExp(hint));
  });
});

test("a key file in a folder that may not be entered is an error that says so", async (t) => {
  const path = await keyFileOf(t, Buffer.from("key"));
  chmodSync(dirname(path), 0o600);
  asNobody(() => {
    const hint = /^a folder on the way to it lets nobody else in; spiped runs as user \d+/;
    throwsSpipedError(() => readKeyFile(path), "SPIPED_KEY_FILE", /permission denied$/, hint);
  });
  chmodSync(dirname(path), 0o700);
});

test("reading key files leaves no descriptor open, whether it works or not", async (t) => {
  const path = await keyFileOf(t, Buffer.from("key"));
  const folder = await temporaryFolder(t);
  const next = () => {
    const descriptor = openSync(path, "r");
    closeSync(descriptor);
    return descriptor;
  };
  const before = next();
  for (let times = 0; times < 10; times += 1) {
    readKeyFile(path);
    assert.throws(() => readKeyFile(folder));
    assert.throws(() => readKeyFile(`${path}.nowhere`));
  }
  assert.equal(next(), before);
});

const readStandardInput = `
  const { readKeyFile } = await import(dist("config/key-file.js"));
  const { addon } = await import(dist("native/native.js"));
  const { key, warnings } = readKeyFile("-");
  const client = new addon.ClientHandshake(key, "off", new Uint8Array(32).fill(0xc1));
  client.receiveNonce(new Uint8Array(32).fill(0x5e));
  process.stdout.write(client.macedPublic(addon.KeyPair.withoutForwardSecrecy()));
  process.stderr.write(warnings.join("\\n"));
`;

for (const size of [0, 1, 65_536, 300_001]) {
  test(`standard input of ${size} bytes from a pipe is read to its end`, () => {
    const contents = randomData("standard input", size);
    const { stdout, stderr, status } = runModule(readStandardInput, { input: contents });
    assert.equal(status, 0, stderr.toString());
    sameBytes(stdout, expectedOf(contents));
    assert.equal(stderr.toString(), size === 0 ? "key file standard input is empty: everybody knows this key" : "");
  });
}

test("standard input may be a file, of any mode its owner likes", async (t) => {
  const contents = randomData("a file", 100_000);
  const descriptor = openSync(await keyFileOf(t, contents), "r");
  const { stdout, stderr, status } = runModule(readStandardInput, { stdio: [descriptor, "pipe", "pipe"] });
  closeSync(descriptor);
  assert.equal(status, 0, stderr.toString());
  sameBytes(stdout, expectedOf(contents));
  assert.equal(stderr.toString(), "");
});

test("standard input that is closed gives an error or the empty key with its warning, and no crash", () => {
  const { stderr, signal } = runModule(readStandardInput, { stdio: ["ignore", "pipe", "pipe"] });
  assert.equal(signal, null);
  assert.match(stderr.toString(), /standard input is empty/);
});

test("a file whose name is a dash is read when its path says so", async (t) => {
  const folder = await temporaryFolder(t);
  writeFileSync(join(folder, "-"), "dash");
  sameBytes(shownBy(readKeyFile(`${folder}/-`).key), expectedOf(Buffer.from("dash")));
});

// Writing.

test("a new key file has 32 random bytes and is for its owner only", async (t) => {
  const folder = await temporaryFolder(t);
  const [one, other] = [join(folder, "one"), join(folder, "other")];
  for (const path of [one, other]) generateKeyFile(path, randomFillSync);
  assert.equal(GENERATED_KEY_LENGTH, 32);
  for (const path of [one, other]) {
    assert.equal(statSync(path).size, 32);
    assert.equal(statSync(path).mode & 0o7777, 0o600);
  }
  assert.notDeepEqual(readFileSync(one), readFileSync(other));
});

test("a new key file is for its owner only whatever the umask says", async (t) => {
  const before = process.umask(0);
  try {
    const path = join(await temporaryFolder(t), "key");
    generateKeyFile(path, randomFillSync);
    assert.equal(statSync(path).mode & 0o7777, 0o600);
  } finally {
    process.umask(before);
  }
});

test("a new key file holds what the source of randomness gave, and that memory is wiped", async (t) => {
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

test("an existing file is never overwritten, and is named with what to do", async (t) => {
  const path = await keyFileOf(t, Buffer.from("precious"));
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

test("neither a folder nor a link, even to nowhere, is overwritten", async (t) => {
  const folder = await temporaryFolder(t);
  mkdirSync(join(folder, "folder"));
  symlinkSync(join(folder, "nowhere"), join(folder, "link"));
  for (const name of ["folder", "link"]) {
    throwsSpipedError(() => generateKeyFile(join(folder, name), randomFillSync), "SPIPED_KEY_FILE", /exists already/);
  }
  assert.ok(!existsSync(join(folder, "nowhere")));
});

test("a folder that does not exist is the reason that is given", async (t) => {
  const path = join(await temporaryFolder(t), "nowhere", "key");
  throwsSpipedError(() => generateKeyFile(path, randomFillSync), "SPIPED_KEY_FILE", /there is no such file/);
});

test("a folder that may not be written to is the reason that is given", async (t) => {
  const folder = await temporaryFolder(t);
  chmodSync(folder, 0o500);
  asNobody(() => {
    throwsSpipedError(
      () => generateKeyFile(join(folder, "key"), randomFillSync),
      "SPIPED_KEY_FILE",
      /permission denied/,
    );
  });
  chmodSync(folder, 0o700);
});

test("a key that could not be written whole leaves no file behind", async (t) => {
  const folder = await temporaryFolder(t);
  const noRandomness = () => {
    throw new Error("no random bytes");
  };
  throwsSpipedError(() => generateKeyFile(join(folder, "key"), noRandomness), "SPIPED_KEY_FILE", /no random bytes/);
  assert.deepEqual(readdirSync(folder), []);
});

test("after a key that could not be written, the same name works", async (t) => {
  const path = join(await temporaryFolder(t), "key");
  assert.throws(() =>
    generateKeyFile(path, () => {
      throw new Error("no random bytes");
    }),
  );
  generateKeyFile(path, randomFillSync);
  assert.equal(statSync(path).size, 32);
});

/** Does something without the rights of the administrator, to whom no file is forbidden. */
function asNobody(act: () => void): void {
  if (process.getuid?.() !== 0) {
    act();
    return;
  }
  assert.ok(process.seteuid !== undefined);
  process.seteuid(65_534);
  try {
    act();
  } finally {
    process.seteuid(0);
  }
}
