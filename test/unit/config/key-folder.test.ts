// Key folders: at startup all keys must be valid; a reload handles each file on its own.

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
import { asNobody } from "../support/unprivileged.js";

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

test("each file is a key, and its name without .key is the client's name", async (t) => {
  const { folder } = await folderOf(t, { "bob.key": keys.bob, alice: keys.alice, "carol.old.key": keys.carol });
  const found = await new KeyFolder(folder).read();
  assert.deepEqual(names(found), ["alice", "bob", "carol.old"]);
  assert.ok(is(keyOf(found, "alice"), keys.alice) && is(keyOf(found, "bob"), keys.bob));
  assert.ok(is(keyOf(found, "carol.old"), keys.carol));
  assert.deepEqual(found.warnings, []);
});

test("hidden files are ignored, and links are followed as Kubernetes makes them", async (t) => {
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
  // alice is now a broken link. A reload keeps its key; a new start ignores it.
  const next = await reader.reload(found.keys);
  assert.deepEqual(names(next), ["alice", "bob"]);
  assert.match(next.problems.join("\n"), /^key file .*alice leads nowhere; its old key stays$/);
  const other = await new KeyFolder(folder).read();
  assert.deepEqual(names(other), ["bob"]);
  assert.match(other.warnings.join("\n"), /^key file .*alice leads nowhere, and is left out$/);
  rmSync(path("alice"));
  assert.deepEqual(names(await reader.reload(next.keys)), ["bob"]);
});

test("names can contain spaces and letters of any script, and be as long as the system allows", async (t) => {
  const all = ["a b", "ключ", "k".repeat(255), "%s{}\"'\\", "-k"];
  const { folder } = await folderOf(t, Object.fromEntries(all.map((name) => [name, randomData(name, 32)])));
  assert.deepEqual(names(await new KeyFolder(folder).read()), [...all].sort());
});

for (const [what, name] of [
  ["a line break", "a\nb"],
  ["an escape", "a\x1b[31m"],
  ["a character that reverses the text direction", "a\u202eb"],
  ["bytes that are not UTF-8", textOfBytes(Uint8Array.of(0x61, 0xe9))],
] as const) {
  test(`a name with ${what} is refused`, onLinux, async (t) => {
    const { folder, write } = await folderOf(t, { bob: keys.bob });
    const reader = new KeyFolder(folder);
    const { keys: current } = await reader.read();
    write(name);
    await refuses(new KeyFolder(folder).read(), /^the name of key file .* has control characters, or is not UTF-8/);
    const found = await reader.reload(current);
    assert.deepEqual(names(found), ["bob"]);
    assert.match(found.problems.join(), /; it is left out$/);
  });
}

test("backup files and folders are ignored, each with a warning", async (t) => {
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
  assert.deepEqual((await reader.reload(found.keys)).warnings, [], "a reload does not repeat it");
});

for (const end of ["key.revoked", "key.bak", "bak", "orig", "swp", "old", "tmp", "dpkg-old", "dpkg-new", "rpmsave"]) {
  test(`renaming a key to NAME.${end} removes it`, async (t) => {
    const { folder, path } = await folderOf(t, { "alice.key": keys.alice, "bob.key": keys.bob });
    const reader = new KeyFolder(folder);
    const { keys: current } = await reader.read();
    renameSync(path("bob.key"), path(`bob.${end}`));
    const found = await reader.reload(current);
    assert.deepEqual(names(found), ["alice"]);
    assert.deepEqual(found.warnings, [
      `key file ${path(`bob.${end}`)} looks like a backup, or like a key that was taken away, and is left out`,
    ]);
  });
}

test("a reload keeps the key of a file that became a broken link or a folder", async (t) => {
  const { folder, path, write } = await folderOf(t, { bob: keys.bob, carol: keys.carol });
  mkdirSync(join(dirname(folder), "mount"));
  writeFileSync(join(dirname(folder), "mount", "alice"), keys.alice, { mode: 0o600 });
  symlinkSync("../mount/alice", path("alice"));
  const reader = new KeyFolder(folder);
  const { keys: current } = await reader.read();
  rmSync(join(dirname(folder), "mount"), { recursive: true });
  rmSync(path("bob"));
  mkdirSync(path("bob"));
  const found = await reader.reload(current);
  assert.deepEqual(names(found), ["alice", "bob", "carol"]);
  assert.deepEqual(found.problems, [
    `key file ${path("alice")} leads nowhere; its old key stays`,
    `${path("bob")} is a folder; its old key stays`,
  ]);
  // A removed file still removes its key.
  rmSync(path("carol"));
  write("dora");
  assert.deepEqual(names(await reader.reload(found.keys)), ["alice", "bob", "dora"]);
});

test("a folder that others can change causes a warning", {
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

test("a key in two files is used once, under the first name, and a warning names both files", async (t) => {
  const { folder, path } = await folderOf(t, { "bob.key": keys.alice, alice: keys.alice, carol: keys.carol });
  const found = await new KeyFolder(folder).read();
  assert.deepEqual(names(found), ["alice", "carol"]);
  assert.ok(is(keyOf(found, "alice"), keys.alice));
  assert.deepEqual(found.warnings, [
    `key files ${path("alice")} and ${path("bob.key")} are the same key; its clients are named alice`,
  ]);
});

test("a and a.key in one folder are an error", async (t) => {
  const { folder, write } = await folderOf(t, { "alice.key": keys.alice, bob: keys.bob });
  const reader = new KeyFolder(folder);
  const { keys: current } = await reader.read();
  write("alice", keys.carol);
  await refuses(new KeyFolder(folder).read(), /^key files .*alice and .*alice\.key both name a client alice; rename/);
  const found = await reader.reload(current);
  assert.ok(is(keyOf(found, "alice"), keys.alice), "the old key stays");
  assert.match(found.problems.join(), /both name a client alice; rename one; its old key stays$/);
});

test("weak keys cause the same warnings as single key files", async (t) => {
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

/** Things that are not keys, how to make them, and the message. */
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
  test(`${what} in a key folder is an error at startup; a reload keeps the key of that name`, async (t) => {
    const { folder, path, write } = await folderOf(t, { alice: keys.alice, broken: keys.bob });
    const reader = new KeyFolder(folder);
    const { keys: current } = await reader.read();
    rmSync(path("broken"));
    await make(path("broken"), t);
    await refuses(new KeyFolder(folder).read(), reason);
    // Other keys are still removed and added.
    rmSync(path("alice"));
    write("carol", keys.carol);
    const found = await reader.reload(current);
    assert.deepEqual(names(found), ["broken", "carol"]);
    assert.equal(keyOf(found, "broken"), current[1]?.key);
    assert.equal(found.problems.length, 1, found.problems.join());
    assert.match(found.problems[0] ?? "", new RegExp(`${reason.source}.*; its old key stays$`));
    // Without a previous key it is ignored.
    const other = await new KeyFolder(folder).reload([]);
    assert.deepEqual(names(other), ["carol"]);
    assert.match(other.problems.join(), /; it is left out$/);
  });
}

test("an unreadable file is an error at startup; a reload keeps its key", async (t) => {
  const { folder, path } = await folderOf(t, { alice: keys.alice, bob: keys.bob });
  chmodSync(dirname(folder), 0o755);
  chmodSync(folder, 0o755);
  for (const name of ["alice", "bob"]) chmodSync(path(name), 0o644);
  const reader = new KeyFolder(folder);
  const { keys: current } = await reader.read();
  chmodSync(path("bob"), 0);
  await asNobody(async () => {
    await refuses(new KeyFolder(folder).read(), /cannot read key file .*bob: permission denied/);
    const found = await reader.reload(current);
    assert.deepEqual(names(found), ["alice", "bob"]);
    assert.match(found.problems.join(), /bob: permission denied; its old key stays$/);
  });
});

/** Removes a file as the owner, within {@link asNobody}. */
function removeAsOwner(path: string): void {
  const user = process.geteuid?.() ?? 0;
  if (process.getuid?.() === 0) process.seteuid?.(0);
  rmSync(path);
  if (process.getuid?.() === 0) process.seteuid?.(user);
}

/** A folder whose files only the owner can read, and the keys that the owner read. */
async function unreadableFolder(t: TestContext) {
  const place = await folderOf(t, { "web-1.key": keys.alice, "web-1-new.key": keys.bob, "web-2.key": keys.carol });
  for (const folder of [dirname(place.folder), place.folder]) chmodSync(folder, 0o755);
  const reader = new KeyFolder(place.folder);
  const { keys: current } = await reader.read();
  // A user other than root cannot read these files any more either.
  const shut = (name: string) => chmodSync(place.path(name), 0);
  for (const { file } of current) shut(file);
  return { ...place, reader, current, shut };
}

test("an unreadable file that was moved to another file's name keeps its own key", onLinux, async (t) => {
  const { path, reader, current } = await unreadableFolder(t);
  renameSync(path("web-1-new.key"), path("web-1.key"));
  await asNobody(async () => {
    const found = await reader.reload(current);
    assert.deepEqual(names(found), ["web-1", "web-2"]);
    assert.ok(is(keyOf(found, "web-1"), keys.bob), "the new key, and not the old one");
    assert.match(
      found.problems.join("\n"),
      /web-1\.key: permission denied; it is the file that was web-1-new\.key, and/,
    );
    // A later reload does not change that.
    removeAsOwner(path("web-2.key"));
    const next = await reader.reload(found.keys);
    assert.deepEqual(names(next), ["web-1"]);
    assert.ok(is(keyOf(next, "web-1"), keys.bob));
  });
});

test("if an unreadable file may be one that has disappeared, nothing is changed", async (t) => {
  const { path, write, reader, current, shut } = await unreadableFolder(t);
  rmSync(path("web-1-new.key"));
  rmSync(path("web-1.key"));
  write("web-1.key", keys.bob);
  shut("web-1.key");
  await asNobody(async () => {
    await assert.rejects(reader.reload(current), (error) => {
      assert.ok(error instanceof UnclearKeys);
      assert.match(
        error.message,
        /web-1\.key: permission denied, and .*web-1-new\.key is gone, which may have been moved/,
      );
      return true;
    });
  });
  chmodSync(path("web-1.key"), 0o644);
  for (const { key } of current) assert.ok(key.isSame(key), "all are still there");
  const found = await reader.reload(current);
  assert.ok(is(keyOf(found, "web-1"), keys.bob));
});

test("an empty folder is an error at startup; a reload removes all keys", async (t) => {
  const { folder, path } = await folderOf(t, { alice: keys.alice });
  const reader = new KeyFolder(folder);
  const { keys: current } = await reader.read();
  rmSync(path("alice"));
  await refuses(new KeyFolder(folder).read(), /^cannot read key folder .*keys: there is no key in it$/, /Docker/);
  assert.deepEqual(names(await reader.reload(current)), []);
});

test("a folder that is missing, not a folder, or has too many names changes no keys", async (t) => {
  const { folder, path } = await folderOf(t, { alice: keys.alice });
  const reader = new KeyFolder(folder);
  const { keys: current } = await reader.read();
  for (let count = 0; count <= 10_000; count += 1) symlinkSync("nowhere", path(`.${count}`));
  await refuses(reader.reload(current), /^cannot read key folder .*keys: there are more than 10000 names in it$/);
  rmSync(folder, { recursive: true });
  await refuses(reader.reload(current), /^cannot read key folder .*keys: there is no such folder$/);
  writeFileSync(folder, keys.alice);
  await refuses(reader.reload(current), /^cannot read key folder .*keys: it is no folder$/);
});

test("a descriptor is refused as a key folder, because it cannot be read again", onLinux, async (t) => {
  const { folder } = await folderOf(t, { alice: keys.alice });
  const descriptor = openSync(folder, "r");
  await refuses(new KeyFolder(`/dev/fd/${descriptor}`).read(), /: it is a descriptor, which cannot be read again$/);
  closeSync(descriptor);
});

test("100 keys are accepted, and one more is an error; a reload keeps those that it has", async (t) => {
  const { folder, path, write } = await folderOf(t);
  const all = Array.from({ length: MAX_KEYS }, (_, index) => `client-${String(index).padStart(3, "0")}`);
  for (const name of all) write(`${name}.key`);
  const reader = new KeyFolder(folder);
  const { keys: current } = await reader.read();
  assert.deepEqual(names({ keys: current }), all);
  write("another");
  await refuses(
    new KeyFolder(folder).read(),
    /: there are 101 keys in it, and at most 100 are taken, without client-099$/,
  );
  const found = await reader.reload(current);
  assert.deepEqual(names(found), all);
  assert.match(found.problems.join(), /at most 100 are taken, without another$/);
  assert.equal(found.problems.length, 1);
  for (const file of all.map((name) => path(`${name}.key`))) {
    rmSync(file);
    symlinkSync(file, file);
  }
  const stayed = await reader.reload(current);
  assert.deepEqual(names(stayed), all);
  assert.equal(stayed.problems.length, 11, "ten of them, and the number of the others");
  assert.match(stayed.problems.join("\n"), /cannot read 91 more key files in .*keys; what was a key before stays one/);
  for (const name of all) {
    rmSync(path(`${name}.key`));
    write(`${name}.key`);
  }
  rmSync(path("client-050.key"));
  const next = await reader.reload(current);
  assert.deepEqual(names(next), ["another", ...all.filter((name) => name !== "client-050")]);
});

test("only ten warnings are logged, and the number of the others", {
  skip: process.platform === "win32" && "modes",
}, async (t) => {
  const { folder, path, write } = await folderOf(t);
  const all = Array.from({ length: 98 }, (_, index) => `client-${index}`);
  for (const name of all) {
    write(name);
    chmodSync(path(name), 0o644);
  }
  const reader = new KeyFolder(folder);
  const { keys: current, warnings } = await reader.read();
  assert.equal(warnings.length, 11);
  assert.match(warnings[10] ?? "", /^and 88 more warnings about files in .*keys, which come when these are mended$/);
  assert.deepEqual((await reader.reload(current)).warnings, []);
});

test("a file whose contents change is a new key under the same name", async (t) => {
  const { folder, write } = await folderOf(t, { alice: keys.alice });
  const reader = new KeyFolder(folder);
  const { keys: current } = await reader.read();
  write("alice", keys.bob);
  const found = await reader.reload(current);
  assert.deepEqual(names(found), ["alice"]);
  assert.ok(is(keyOf(found, "alice"), keys.bob));
});
