// Key files and key folders, with any names and contents.

import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { readKeyFile } from "#dist/config/key-file.js";
import { KeyFolder } from "#dist/config/key-folder.js";
import { printable } from "#dist/observe/format.js";
import { pathBytes } from "#dist/paths.js";
import { temporaryRoot } from "../../support/environment.js";
import { sharedKeyOf } from "../../unit/support/handshakes.js";
import { Choices, isClearLine, isUnpolluted, spipedError, type Target } from "../target.js";

export const keys: Target = {
  name: "keys",
  words: [
    ..."\xff|.key|.key.bak|~|#|.|..|.old|.rpmsave|.dpkg-dist|a.key\xff|b\xff|__proto__\xff|web1.key\xff|é\xff|\n|\u202e|\u0000".split(
      "|",
    ),
    "a key of thirty-two bytes or more\xff",
  ],
  async run(input) {
    // Other systems change names.
    if (process.platform !== "linux") return;
    const choices = new Choices(Buffer.from(input));
    const folder = mkdtempSync(join(temporaryRoot, "spiped-fuzz-"));
    try {
      const files = new Map<string, Uint8Array>();
      while (!choices.isEmpty && files.size < 6) {
        const name = choices.text(80).replaceAll(/[/\0]/g, "_");
        if (name === "" || name === "." || name === "..") continue;
        files.set(name, choices.bytes(100));
      }
      for (const [name, contents] of files) writeFileSync(pathBytes(join(folder, name)), contents, { mode: 0o600 });
      mkdirSync(join(folder, "a folder"), { recursive: true });
      await wholeFolder(folder, files);
      const [first] = files;
      if (first !== undefined) await oneFile(join(folder, first[0]), first[1]);
      isUnpolluted();
    } finally {
      rmSync(folder, { recursive: true });
    }
  },
};

async function oneFile(path: string, contents: Uint8Array): Promise<void> {
  try {
    const { key, warnings } = await readKeyFile(path);
    assert.ok(key.isSame(sharedKeyOf(contents)));
    assert.equal(warnings.some((one) => one.includes("bytes")) || contents.length >= 32, true, warnings.join());
  } catch (error) {
    spiped(error);
    assert.equal(contents.length, 0);
  }
}

async function wholeFolder(folder: string, files: ReadonlyMap<string, Uint8Array>): Promise<void> {
  const expected = expectedKeys(files);
  const reading = new KeyFolder(folder);
  try {
    const { keys: found, warnings } = await reading.read();
    assert.ok(expected !== undefined, `read: ${JSON.stringify([...files.keys()])}`);
    assert.deepEqual(
      found.map(({ name }) => name),
      [...expected.keys()],
    );
    for (const { name, key } of found) assert.ok(key.isSame(sharedKeyOf(expected.get(name) ?? new Uint8Array())));
    for (const warning of warnings) isClearLine(printable(warning));
    const again = await reading.reload(found);
    assert.deepEqual(
      again.keys.map(({ name }) => name),
      [...expected.keys()],
    );
  } catch (error) {
    spiped(error);
    assert.equal(expected, undefined, String(error));
  }
}

/** By name; undefined if the start must fail. */
function expectedKeys(files: ReadonlyMap<string, Uint8Array>): ReadonlyMap<string, Uint8Array> | undefined {
  const found = new Map<string, Uint8Array>();
  for (const file of [...files.keys()].sort()) {
    if (file.startsWith(".") || isBackup(file) || file === "a folder") continue;
    const name = file.endsWith(".key") ? file.slice(0, -4) : file;
    const contents = files.get(file) ?? new Uint8Array();
    const isFit = [...name].every((one) => !/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/u.test(one));
    if (found.has(name) || !isFit || contents.length === 0) return undefined;
    found.set(name, contents);
  }
  const names = [...found.keys()].sort();
  const kept = new Map<string, Uint8Array>();
  for (const name of names) {
    const contents = found.get(name) ?? new Uint8Array();
    if ([...kept.values()].every((other) => Buffer.compare(other, contents) !== 0)) kept.set(name, contents);
  }
  return kept.size === 0 ? undefined : kept;
}

function isBackup(file: string): boolean {
  const ends = "~ .bak .orig .swp .old .tmp .dpkg-old .dpkg-new .dpkg-dist .rpmsave .rpmnew .rpmorig".split(" ");
  if (ends.some((end) => file.endsWith(end))) return true;
  if (file.length > 1 && file.startsWith("#") && file.endsWith("#")) return true;
  const at = file.indexOf(".key.");
  return at >= 0 && at + 5 < file.length;
}

function spiped(error: unknown): void {
  const { code } = error as { code?: string };
  if (code === "ERR_ASSERTION") throw error;
  spipedError(error, "SPIPED_KEY_FILE");
}
