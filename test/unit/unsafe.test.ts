// Every use of `unsafe` in the crates is counted here and listed in DESIGN.md, "Where `unsafe` is". Clippy checks that each
// has a SAFETY comment.

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { root } from "./support/paths.js";

interface Exception {
  /** How often the word `unsafe` is in the file's code. */
  readonly count: number;
  /** How often the lint is allowed in it; 0 where the file that declares the module allows it. */
  readonly allowed: number;
}

/** The files that may use it, below `crates`. Those with a count of 0 only allow it for a module that they declare. */
const exceptions: Readonly<Record<string, Exception>> = {
  "spiped-core/src/dh.rs": { count: 0, allowed: 1 },
  "spiped-core/src/dh/aws_lc.rs": { count: 10, allowed: 0 },
  "spiped-core/src/mac.rs": { count: 0, allowed: 2 },
  "spiped-core/src/mac/arm_sha2.rs": { count: 6, allowed: 0 },
  "spiped-core/src/mac/portable.rs": { count: 1, allowed: 1 },
  "spiped-core/src/mac/sha_ni.rs": { count: 6, allowed: 0 },
  "spiped-core/src/wipe.rs": { count: 2, allowed: 2 },
  "spiped-napi/src/buffers.rs": { count: 1, allowed: 1 },
  "spiped-napi/src/loop_watch.rs": { count: 30, allowed: 6 },
  "spiped-napi/src/platform/bsd.rs": { count: 1, allowed: 1 },
  "spiped-napi/src/platform/linux.rs": { count: 3, allowed: 3 },
  "spiped-napi/src/sockets.rs": { count: 1, allowed: 1 },
  "spiped-napi/src/system/descriptors.rs": { count: 2, allowed: 2 },
  "spiped-relay/src/platform.rs": { count: 1, allowed: 1 },
};

const files = readdirSync(join(root, "crates"), { recursive: true, encoding: "utf8" })
  .map((path) => path.replaceAll("\\", "/"))
  .filter((path) => path.endsWith(".rs") && !/^[^/]+\/(fuzz|target)\//.test(path))
  .sort();

function linesOf(path: string): readonly string[] {
  return readFileSync(join(root, "crates", path), "utf8").split("\n");
}

/** A line without its comment. String literals are not stripped: none contains the word. */
function codeOf(line: string): string {
  return line.replace(/\/\/.*/, "");
}

function countIn(path: string, pattern: RegExp): number {
  return linesOf(path).reduce((count, line) => count + (codeOf(line).match(pattern)?.length ?? 0), 0);
}

const isUnsafe = /\bunsafe\b/g;
const isAllowed = /\ballow\([^)]*\bunsafe_code\b/g;

test("the crates use `unsafe` only where it is listed", () => {
  assert.ok(files.length > 40, `${files.length} files`);
  const found = files
    .map((path) => ({ path, count: countIn(path, isUnsafe), allowed: countIn(path, isAllowed) }))
    .filter(({ count, allowed }) => count > 0 || allowed > 0);
  const listed = Object.entries(exceptions)
    .sort(([path], [other]) => (path < other ? -1 : 1))
    .map(([path, { count, allowed }]) => ({ path, count, allowed }));
  assert.deepEqual(found, listed);
});

test("the table in DESIGN.md names the same files", () => {
  const [, section = ""] = readFileSync(join(root, "DESIGN.md"), "utf8").split("\n## Where `unsafe` is\n");
  const named = [...section.matchAll(/^\| `crates\/([^`]+)` +\|/gm)].map(([, path]) => path);
  const using = Object.keys(exceptions).filter((path) => exceptions[path]?.count !== 0);
  assert.deepEqual(named.sort(), using.sort());
});

test("every crate denies `unsafe` and undocumented exceptions, and none allows it crate-wide", () => {
  const workspace = readFileSync(join(root, "Cargo.toml"), "utf8");
  assert.match(workspace, /\[workspace\.lints\.rust\]\nunsafe_code = "deny"\n/);
  assert.match(workspace, /\[workspace\.lints\.clippy\]\n(.+\n)*undocumented_unsafe_blocks = "warn"\n/);
  for (const crate of readdirSync(join(root, "crates"), { withFileTypes: true }).filter((entry) =>
    entry.isDirectory(),
  )) {
    const manifest = readFileSync(join(root, "crates", crate.name, "Cargo.toml"), "utf8");
    assert.match(manifest, /\n\[lints\]\nworkspace = true\n/, crate.name);
  }
  for (const path of files) assert.equal(countIn(path, /#!\[allow\([^)]*unsafe_code/g), 0, path);
});
