// Reading a configuration: whatever its path leads to, reading ends, with one clear message if it fails.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { chmod, mkdir, rm, symlink, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { readConfigTexts } from "#dist/flags/config-text.js";
import { textOf } from "#dist/flags/mistakes.js";
import { afterwards, temporaryFolder } from "../../support/cleanup.js";

const unix = { skip: process.platform === "win32" ? "Windows has no such files" : false };

/** The result of reading a path: the texts, or the one mistake. */
async function read(path: string): Promise<readonly string[] | string> {
  const { texts, mistakes } = await readConfigTexts(path);
  if (mistakes.length === 0) return texts.map(({ text }) => text);
  assert.deepEqual([texts.length, mistakes.length], [0, 1]);
  return mistakes.map(textOf).join();
}

async function file(t: TestContext, content: string | Uint8Array): Promise<string> {
  const path = join(await temporaryFolder(t), "t.toml");
  await writeFile(path, content);
  return path;
}

test("a file gives its text, and an empty file an empty text", async (t) => {
  assert.deepEqual(await read(await file(t, "a = 1\n")), ["a = 1\n"]);
  assert.deepEqual(await read(await file(t, "")), [""]);
});

test("a byte order mark at the beginning is removed", async (t) => {
  assert.deepEqual(await read(await file(t, "\ufeffa = 1\n")), ["a = 1\n"]);
});

test("a file that is not UTF-8 is refused", async (t) => {
  for (const bytes of [Buffer.from([0x61, 0xe9, 0x0a]), Buffer.from("\ufeffa = 1\n", "utf16le")]) {
    const path = await file(t, bytes);
    assert.equal(await read(path), `${path}: it is not UTF-8`);
  }
});

test("a file of 256 KiB is read, and one byte more is refused", async (t) => {
  assert.deepEqual(await read(await file(t, "#".repeat(262_144))), ["#".repeat(262_144)]);
  const path = await file(t, "#".repeat(262_145));
  assert.equal(await read(path), `${path}: it is longer than 256 KiB`);
});

test("a missing file is reported", async (t) => {
  const folder = await temporaryFolder(t);
  const path = join(folder, "none");
  assert.equal(await read(path), `${path}: cannot be read: there is no such file`);
  assert.match(String(await read("~/none/t.toml")), /there is no such file; only a shell expands ~.*\/none\/t\.toml$/);
  const below = join(await file(t, ""), "t.toml");
  assert.match(
    String(await read(below)),
    /: cannot be read: (part of its path is not a folder|there is no such file)$/,
  );
});

test("pipes, devices, sockets and circular links are refused at once", unix, async (t) => {
  const folder = await temporaryFolder(t);
  const pipe = join(folder, "pipe");
  execFileSync("mkfifo", [pipe]);
  assert.equal(await read(pipe), `${pipe}: it is no file`);
  assert.equal(await read("/dev/zero"), "/dev/zero: it is no file");
  const circle = join(folder, "circle");
  await symlink(circle, circle);
  assert.equal(await read(circle), `${circle}: cannot be read: its links lead in a circle`);
  const socket = join(folder, "socket");
  const server = createServer();
  afterwards(t, () => server.close());
  await new Promise<void>((listening) => server.listen(socket, listening));
  assert.match(String(await read(socket)), /: cannot be read: it is a socket|: cannot be read: .*EOPNOTSUPP/);
});

test("an unreadable file is reported", {
  skip: process.getuid?.() === 0 ? "root may" : unix.skip,
}, async (t) => {
  const path = await file(t, "");
  await chmod(path, 0);
  assert.equal(await read(path), `${path}: cannot be read: permission denied (EACCES)`);
});

test("a folder gives its .toml files in the order of their names, without hidden ones", async (t) => {
  const folder = await temporaryFolder(t);
  for (const name of ["b.toml", "a.toml", "c.toml~", "d.toml.bak", "e.TOML", ".f.toml", "toml", ".toml"]) {
    await writeFile(join(folder, name), name);
  }
  await mkdir(join(folder, "folder"));
  assert.deepEqual(await read(folder), ["a.toml", "b.toml"]);
  const { texts } = await readConfigTexts(`${folder}/`);
  assert.deepEqual(
    texts.map(({ path }) => path),
    [`${folder}/a.toml`, `${folder}/b.toml`],
  );
});

test("links in a folder are followed, as in a mounted configuration", unix, async (t) => {
  const folder = await temporaryFolder(t);
  await mkdir(join(folder, "..data"));
  await writeFile(join(folder, "..data/a.toml"), "a");
  await symlink("..data/a.toml", join(folder, "a.toml"));
  assert.deepEqual(await read(folder), ["a"]);
});

test("a folder without a .toml file is reported", async (t) => {
  const folder = await temporaryFolder(t);
  await writeFile(join(folder, "t.conf"), "");
  assert.equal(await read(folder), `${folder}: the folder has no file whose name ends in .toml`);
});

test("unreadable files of a folder are reported, and the others are read", unix, async (t) => {
  const folder = await temporaryFolder(t);
  await writeFile(join(folder, "a.toml"), "a");
  await mkdir(join(folder, "b.toml"));
  await symlink("nowhere", join(folder, "c.toml"));
  const { texts, mistakes } = await readConfigTexts(folder);
  assert.deepEqual(texts, [{ path: join(folder, "a.toml"), text: "a" }]);
  assert.deepEqual(mistakes.map(textOf), [
    `${join(folder, "b.toml")}: it is a folder`,
    `${join(folder, "c.toml")}: cannot be read: there is no such file`,
  ]);
});

test("a file that has been removed before a second read is reported", async (t) => {
  const path = await file(t, "a");
  assert.deepEqual(await read(path), ["a"]);
  await rm(path);
  assert.match(String(await read(path)), /there is no such file$/);
});
