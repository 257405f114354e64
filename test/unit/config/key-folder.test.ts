// Folders of keys: at the start all must be good; later each is judged for itself, and what is gone is gone.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import {
  chmodSync,
  closeSync,
  mkdirSync,
  openSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { type TestContext, test } from "node:test";
import { type FolderKey, KeyFolder, MAX_KEYS } from "#dist/config/key-folder.js";
import { UnclearKeys } from "#dist/config/key-folder-messages.js";
import { SpipedError } from "#dist/errors.js";
import { pathBytes, textOfBytes } from "#dist/paths.js";
import type { SharedKey } from "#dist/protocol/secret.js";
import { temporaryFolder } from "../../support/cleanup.js";
import { Listener } from "../../support/listener.js";
import { randomData } from "../../support/random-data.js";
import { sharedKeyOf } from "../support/handshakes.js";
import { asNobody } from "../support/nobody.js";

const keys = { alice: randomData("alice", 32), bob: randomData("bob", 32), carol: randomData("carol", 32) };
const onLinux = { skip: process.platform !== "linux" && "paths of any bytes, and /dev/fd as it is on Linux" };

interface Place {
  readonly folder: string;
  readonly path: (name: string) => string;
  write(name: string, contents?: Uint8Array | string): void;
}

async function folderOf(t: TestContext, files: Readonly<Record<string, Uint8Array | string>> = {}): Promise<Place> {
  const folder = join(await temporaryFolder(t), "keys");
  mkdirSync(folder);
  const path = (name: string) => join(folder, name);
  const place = {
    folder,
    path,
    write: (name: string, contents: Uint8Array | string = randomData(name, 32)) =>
      writeFileSync(pathBytes(path(name)), contents, { mode: 0o600 }),
  };
  for (const [name, contents] of Object.entries(files)) place.write(name, contents);
  return place;
}

function names(found: { readonly keys: readonly FolderKey[] }): readonly string[] {
  return found.keys.map(({ name }) => name);
}

function keyOf(found: { readonly keys: readonly FolderKey[] }, name: string): SharedKey {
  const key = found.keys.find((one) => one.name === name)?.key;
  assert.ok(key !== undefined, `${name} is one of ${names(found)}`);
  return key;
}

function is(key: SharedKey, contents: Uint8Array): boolean {
  return key.isSame(sharedKeyOf(contents));
}

async function refuses(reading: Promise<unknown>, message: RegExp, hint?: RegExp): Promise<void> {
  await assert.rejects(reading, (error) => {
    assert.ok(error instanceof SpipedError, String(error));
    assert.equal(error.code, "SPIPED_KEY_FILE");
    assert.match(error.message, message);
    assert.doesNotMatch(error.message, /\n/);
    if (hint !== undefined) assert.match(error.hint ?? "", hint);
    return true;
  });
}

test("each file is a key, and its name without .key the client's", async (t) => {
  const { folder } = await folderOf(t, { "bob.key": keys.bob, alice: keys.alice, "carol.old.key": keys.carol });
  const found = await new KeyFolder(folder).read();
  assert.deepEqual(names(found), ["alice", "bob", "carol.old"]);
  assert.ok(is(keyOf(found, "alice"), keys.alice) && is(keyOf(found, "bob"), keys.bob));
  assert.ok(is(keyOf(found, "carol.old"), keys.carol));
  assert.deepEqual(found.warnings, []);
});

test("names that begin with a dot are left out, and links are followed as Kubernetes makes them", async (t) => {
  const { folder, path, write } = await folderOf(t, { ".hidden": "x", ".key": "x", ".alice.swp": "x" });
  mkdirSync(path("..2026_01"));
  write("..2026_01/alice", keys.alice);
  symlinkSync("..2026_01", path("..data"));
  symlinkSync("..data/alice", path("alice"));
  const reader = new KeyFolder(folder);
  const found = await reader.read();
  assert.deepEqual(names(found), ["alice"]);
  assert.deepEqual(found.warnings, []);
  mkdirSync(path("..2026_02"));
  write("..2026_02/bob", keys.bob);
  symlinkSync("..2026_02", path("..data_tmp"));
  renameSync(path("..data_tmp"), path("..data"));
  symlinkSync("..data/bob", path("bob"));
  // alice is a link that leads nowhere by now; a new reader does not mind.
  const next = await reader.reload(found.keys);
  assert.deepEqual(names(next), ["alice", "bob"]);
  assert.match(next.problems.join("\n"), /^key file .*alice leads nowhere; its old key stays$/);
  const other = await new KeyFolder(folder).read();
  assert.deepEqual(names(other), ["bob"]);
  assert.match(other.warnings.join("\n"), /^key file .*alice leads nowhere, and is left out$/);
  rmSync(path("alice"));
  assert.deepEqual(names(await reader.reload(next.keys)), ["bob"]);
});

test("names can have blanks and letters of any language, and be as long as the system allows", async (t) => {
  const all = ["a b", "ключ", "k".repeat(255), "%s{}\"'\\", "-k"];
  const { folder } = await folderOf(t, Object.fromEntries(all.map((name) => [name, randomData(name, 32)])));
  assert.deepEqual(names(await new KeyFolder(folder).read()), [...all].sort());
});

for (const [what, name] of [
  ["a line break", "a\nb"],
  ["an escape", "a\x1b[31m"],
  ["a sign that turns the line around", "a\u202eb"],
  ["bytes that are not UTF-8", textOfBytes(Uint8Array.of(0x61, 0xe9))],
] as const) {
  test(`a name with ${what} is refused`, onLinux, async (t) => {
    const { folder, write } = await folderOf(t, { bob: keys.bob });
    const reader = new KeyFolder(folder);
    const { keys: held } = await reader.read();
    write(name);
    await refuses(new KeyFolder(folder).read(), /^the name of key file .* has control characters, or is not UTF-8/);
    const found = await reader.reload(held);
    assert.deepEqual(names(found), ["bob"]);
    assert.match(found.problems.join(), /; it is left out$/);
  });
}

test("what editors leave, and folders, are left out with a warning each", async (t) => {
  const { folder, path } = await folderOf(t, { alice: keys.alice, "bob~": "x", "#bob#": "x", ".bob.swp": "x" });
  mkdirSync(path("lost+found"));
  const reader = new KeyFolder(folder);
  const found = await reader.read();
  assert.deepEqual(names(found), ["alice"]);
  assert.deepEqual([...found.warnings].sort(), [
    `${path("lost+found")} is a folder, and is left out`,
    `key file ${path("#bob#")} looks like a backup, or like a key that was taken away, and is left out`,
    `key file ${path("bob~")} looks like a backup, or like a key that was taken away, and is left out`,
  ]);
  assert.deepEqual((await reader.reload(found.keys)).warnings, [], "it is not said again");
});

for (const end of ["key.revoked", "key.bak", "bak", "orig", "swp", "old", "tmp", "dpkg-old", "dpkg-new", "rpmsave"]) {
  test(`a key that is moved to NAME.${end} is taken away`, async (t) => {
    const { folder, path } = await folderOf(t, { "alice.key": keys.alice, "bob.key": keys.bob });
    const reader = new KeyFolder(folder);
    const { keys: held } = await reader.read();
    renameSync(path("bob.key"), path(`bob.${end}`));
    const found = await reader.reload(held);
    assert.deepEqual(names(found), ["alice"]);
    assert.deepEqual(found.warnings, [
      `key file ${path(`bob.${end}`)} looks like a backup, or like a key that was taken away, and is left out`,
    ]);
  });
}

test("a link that leads nowhere, and a folder, take no key away", async (t) => {
  const { folder, path, write } = await folderOf(t, { bob: keys.bob, carol: keys.carol });
  mkdirSync(join(dirname(folder), "mount"));
  writeFileSync(join(dirname(folder), "mount", "alice"), keys.alice, { mode: 0o600 });
  symlinkSync("../mount/alice", path("alice"));
  const reader = new KeyFolder(folder);
  const { keys: held } = await reader.read();
  rmSync(join(dirname(folder), "mount"), { recursive: true });
  rmSync(path("bob"));
  mkdirSync(path("bob"));
  const found = await reader.reload(held);
  assert.deepEqual(names(found), ["alice", "bob", "carol"]);
  assert.deepEqual(found.problems, [
    `key file ${path("alice")} leads nowhere; its old key stays`,
    `${path("bob")} is a folder; its old key stays`,
  ]);
  // Another that is gone is gone all the same.
  rmSync(path("carol"));
  write("dora");
  assert.deepEqual(names(await reader.reload(found.keys)), ["alice", "bob", "dora"]);
});

test("a folder that others can change gets a warning", {
  skip: process.platform === "win32" && "modes",
}, async (t) => {
  const { folder } = await folderOf(t, { alice: keys.alice });
  for (const [mode, who] of [
    [0o777, "everybody on this machine"],
    [0o1777, "everybody on this machine"],
    [0o770, "its group"],
  ] as const) {
    chmodSync(folder, mode);
    const { warnings } = await new KeyFolder(folder).read();
    assert.deepEqual(warnings, [
      `key folder ${folder} can be changed by ${who}, who can let himself in; chmod go-w it`,
    ]);
  }
  chmodSync(folder, 0o750);
  assert.deepEqual((await new KeyFolder(folder).read()).warnings, []);
});

test("a key in two files counts once, under the first name, and a warning names both", async (t) => {
  const { folder, path } = await folderOf(t, { "bob.key": keys.alice, alice: keys.alice, carol: keys.carol });
  const found = await new KeyFolder(folder).read();
  assert.deepEqual(names(found), ["alice", "carol"]);
  assert.ok(is(keyOf(found, "alice"), keys.alice));
  assert.deepEqual(found.warnings, [
    `key files ${path("alice")} and ${path("bob.key")} are the same key; whoever has it is alice`,
  ]);
});

test("a and a.key cannot both be there", async (t) => {
  const { folder, write } = await folderOf(t, { "alice.key": keys.alice, bob: keys.bob });
  const reader = new KeyFolder(folder);
  const { keys: held } = await reader.read();
  write("alice", keys.carol);
  await refuses(new KeyFolder(folder).read(), /^key files .*alice and .*alice\.key both name a client alice; rename/);
  const found = await reader.reload(held);
  assert.ok(is(keyOf(found, "alice"), keys.alice), "the old key stays");
  assert.match(found.problems.join(), /both name a client alice; rename one; its old key stays$/);
});

test("weak keys get the warnings that single files get", async (t) => {
  const { folder, path } = await folderOf(t, {
    short: "secret",
    text: "correct horse battery staple, and more of them",
  });
  writeFileSync(path("open"), keys.alice);
  chmodSync(path("open"), 0o644);
  const { warnings } = await new KeyFolder(folder).read();
  assert.equal(warnings.length, process.platform === "win32" ? 2 : 3);
  for (const pattern of [/short has only 6 bytes/, /text is printable text/])
    assert.match(warnings.join("\n"), pattern);
});

/** What is no key, how it comes to be there, and what is said. */
const broken: ReadonlyArray<readonly [what: string, make: (path: string, t: TestContext) => unknown, reason: RegExp]> =
  [
    ["an empty file", (path) => writeFileSync(path, ""), /it is empty, so everybody knows this key/],
    [
      "a file of more than 64 MiB",
      (path) => {
        writeFileSync(path, "");
        truncateSync(path, 2 ** 26 + 1);
      },
      /longer than 64 MiB/,
    ],
    ["a pipe", (path) => execFileSync("mkfifo", [path]), /it is a pipe, and only files are keys in a folder/],
    ["a device", (path) => symlinkSync("/dev/zero", path), /it is a device, and only files are keys in a folder/],
    [
      "standard input",
      (path) => symlinkSync("/dev/stdin", path),
      /it is a descriptor of spiped's own, and only files are keys in a folder/,
    ],
    ["a link to itself", (path) => symlinkSync(path, path), /cannot read key file .*broken: /],
    [
      "a socket",
      async (path, t) => {
        const { address } = await Listener.listen(t, "unix");
        if (address.kind === "unix") symlinkSync(address.path, path);
      },
      /it is a socket, and only files are keys in a folder/,
    ],
  ];

for (const [what, make, reason] of broken) {
  test(`${what} in it is an error at the start; later the key that had its name stays`, async (t) => {
    const { folder, path, write } = await folderOf(t, { alice: keys.alice, broken: keys.bob });
    const reader = new KeyFolder(folder);
    const { keys: held } = await reader.read();
    rmSync(path("broken"));
    await make(path("broken"), t);
    await refuses(new KeyFolder(folder).read(), reason);
    // Meanwhile another is taken away, and a third comes: neither waits until everything is in order.
    rmSync(path("alice"));
    write("carol", keys.carol);
    const found = await reader.reload(held);
    assert.deepEqual(names(found), ["broken", "carol"]);
    assert.equal(keyOf(found, "broken"), held[1]?.key);
    assert.equal(found.problems.length, 1, found.problems.join());
    assert.match(found.problems[0] ?? "", new RegExp(`${reason.source}.*; its old key stays$`));
    // One that was none before is none now.
    const other = await new KeyFolder(folder).reload([]);
    assert.deepEqual(names(other), ["carol"]);
    assert.match(other.problems.join(), /; it is left out$/);
  });
}

test("a file that may not be read is an error at the start, and keeps its key later", async (t) => {
  const { folder, path } = await folderOf(t, { alice: keys.alice, bob: keys.bob });
  chmodSync(dirname(folder), 0o755);
  chmodSync(folder, 0o755);
  for (const name of ["alice", "bob"]) chmodSync(path(name), 0o644);
  const reader = new KeyFolder(folder);
  const { keys: held } = await reader.read();
  chmodSync(path("bob"), 0);
  await asNobody(async () => {
    await refuses(new KeyFolder(folder).read(), /cannot read key file .*bob: permission denied/);
    const found = await reader.reload(held);
    assert.deepEqual(names(found), ["alice", "bob"]);
    assert.match(found.problems.join(), /bob: permission denied; its old key stays$/);
  });
});

/** Removes a file in the middle of {@link asNobody}. */
function removeAsOwner(path: string): void {
  const user = process.geteuid?.() ?? 0;
  if (process.getuid?.() === 0) process.seteuid?.(0);
  rmSync(path);
  if (process.getuid?.() === 0) process.seteuid?.(user);
}

/** A folder whose owner alone may read the files in it, and what was read by him. */
async function shutFolder(t: TestContext) {
  const place = await folderOf(t, { "web-1.key": keys.alice, "web-1-new.key": keys.bob, "web-2.key": keys.carol });
  for (const folder of [dirname(place.folder), place.folder]) chmodSync(folder, 0o755);
  const reader = new KeyFolder(place.folder);
  const { keys: held } = await reader.read();
  // Who is not the administrator can keep himself out.
  const shut = (name: string) => chmodSync(place.path(name), 0);
  for (const { file } of held) shut(file);
  return { ...place, reader, held, shut };
}

test(
  "a file that is moved to another's name has its own key, though it may not be read any more",
  onLinux,
  async (t) => {
    const { path, reader, held } = await shutFolder(t);
    renameSync(path("web-1-new.key"), path("web-1.key"));
    await asNobody(async () => {
      const found = await reader.reload(held);
      assert.deepEqual(names(found), ["web-1", "web-2"]);
      assert.ok(is(keyOf(found, "web-1"), keys.bob), "the new key, and not the old one");
      assert.match(
        found.problems.join("\n"),
        /web-1\.key: permission denied; it is the file that was web-1-new\.key, and/,
      );
      // Nor does it become another's later.
      removeAsOwner(path("web-2.key"));
      const next = await reader.reload(found.keys);
      assert.deepEqual(names(next), ["web-1"]);
      assert.ok(is(keyOf(next, "web-1"), keys.bob));
    });
  },
);

test("where a shut file may be one that is gone, nothing is changed", async (t) => {
  const { path, write, reader, held, shut } = await shutFolder(t);
  rmSync(path("web-1-new.key"));
  rmSync(path("web-1.key"));
  write("web-1.key", keys.bob);
  shut("web-1.key");
  await asNobody(async () => {
    await assert.rejects(reader.reload(held), (error) => {
      assert.ok(error instanceof UnclearKeys);
      assert.match(
        error.message,
        /web-1\.key: permission denied, and .*web-1-new\.key is gone, which may have been moved/,
      );
      return true;
    });
  });
  chmodSync(path("web-1.key"), 0o644);
  for (const { key } of held) assert.ok(key.isSame(key), "all are still there");
  const found = await reader.reload(held);
  assert.ok(is(keyOf(found, "web-1"), keys.bob));
});

test("an empty folder is an error at the start; later it means that all keys were taken away", async (t) => {
  const { folder, path } = await folderOf(t, { alice: keys.alice });
  const reader = new KeyFolder(folder);
  const { keys: held } = await reader.read();
  rmSync(path("alice"));
  await refuses(new KeyFolder(folder).read(), /^cannot read key folder .*keys: there is no key in it$/, /Docker/);
  assert.deepEqual(names(await reader.reload(held)), []);
});

test("a folder that is gone, is no folder, or has no end of names tells nothing about keys", async (t) => {
  const { folder, path } = await folderOf(t, { alice: keys.alice });
  const reader = new KeyFolder(folder);
  const { keys: held } = await reader.read();
  for (let count = 0; count <= 10_000; count += 1) symlinkSync("nowhere", path(`.${count}`));
  await refuses(reader.reload(held), /^cannot read key folder .*keys: there are more than 10000 names in it$/);
  rmSync(folder, { recursive: true });
  await refuses(reader.reload(held), /^cannot read key folder .*keys: there is no such folder$/);
  writeFileSync(folder, keys.alice);
  await refuses(reader.reload(held), /^cannot read key folder .*keys: it is no folder$/);
});

test("a descriptor is no folder of keys, since it cannot be read again", onLinux, async (t) => {
  const { folder } = await folderOf(t, { alice: keys.alice });
  const descriptor = openSync(folder, "r");
  await refuses(new KeyFolder(`/dev/fd/${descriptor}`).read(), /: it is a descriptor, which cannot be read again$/);
  closeSync(descriptor);
});

test("100 keys are taken, and one more is an error; later those that were there stay", async (t) => {
  const { folder, path, write } = await folderOf(t);
  const all = Array.from({ length: MAX_KEYS }, (_, index) => `client-${String(index).padStart(3, "0")}`);
  for (const name of all) write(`${name}.key`);
  const reader = new KeyFolder(folder);
  const { keys: held } = await reader.read();
  assert.deepEqual(names({ keys: held }), all);
  write("another");
  await refuses(
    new KeyFolder(folder).read(),
    /: there are 101 keys in it, and at most 100 are taken, without client-099$/,
  );
  const found = await reader.reload(held);
  assert.deepEqual(names(found), all);
  assert.match(found.problems.join(), /at most 100 are taken, without another$/);
  assert.equal(found.problems.length, 1);
  for (const file of all.map((name) => path(`${name}.key`))) {
    rmSync(file);
    symlinkSync(file, file);
  }
  const stayed = await reader.reload(held);
  assert.deepEqual(names(stayed), all);
  assert.equal(stayed.problems.length, 11, "ten of them, and a sum");
  assert.match(stayed.problems.join("\n"), /cannot read 91 more key files in .*keys; what was a key before stays one/);
  for (const name of all) {
    rmSync(path(`${name}.key`));
    write(`${name}.key`);
  }
  rmSync(path("client-050.key"));
  const next = await reader.reload(held);
  assert.deepEqual(names(next), ["another", ...all.filter((name) => name !== "client-050")]);
});

test("of a hundred warnings ten are written out, and a sum", {
  skip: process.platform === "win32" && "modes",
}, async (t) => {
  const { folder, path, write } = await folderOf(t);
  const all = Array.from({ length: 98 }, (_, index) => `client-${index}`);
  for (const name of all) {
    write(name);
    chmodSync(path(name), 0o644);
  }
  const reader = new KeyFolder(folder);
  const { keys: held, warnings } = await reader.read();
  assert.equal(warnings.length, 11);
  assert.match(warnings[10] ?? "", /^and 88 more warnings about files in .*keys, which come when these are mended$/);
  assert.deepEqual((await reader.reload(held)).warnings, []);
});

test("a file whose contents change is another key under the same name", async (t) => {
  const { folder, write } = await folderOf(t, { alice: keys.alice });
  const reader = new KeyFolder(folder);
  const { keys: held } = await reader.read();
  write("alice", keys.bob);
  const found = await reader.reload(held);
  assert.deepEqual(names(found), ["alice"]);
  assert.ok(is(keyOf(found, "alice"), keys.bob));
});
