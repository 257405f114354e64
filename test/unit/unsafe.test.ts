// Where the crates are trusted to keep the rules of memory by themselves: each place is counted here, and is named in
// DESIGN.md, "Where `unsafe` is". Clippy sees to it that each has its proof beside it.

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { root } from "./support/paths.js";

interface Exception {
  /** How often the word `unsafe` is in the file's code. */
  readonly count: number;
  /** How often the lint is allowed in it; 0 where whoever declares the module allows it. */
  readonly allowed: number;
  readonly why: string;
  /** What DESIGN.md says of it. */
  readonly said: string;
}

/** The files that may have some, below `crates`. */
const exceptions: Readonly<Record<string, Exception>> = {
  "spiped-core/src/dh.rs": { count: 0, allowed: 1, why: "declares aws_lc", said: "`dh/aws_lc.rs`" },
  "spiped-core/src/dh/aws_lc.rs": { count: 10, allowed: 0, why: "calls C", said: "`dh/aws_lc.rs`" },
  "spiped-core/src/mac/mod.rs": { count: 0, allowed: 2, why: "declares sha_ni and arm_sha2", said: "`mac/sha_ni.rs`" },
  "spiped-core/src/mac/arm_sha2.rs": { count: 6, allowed: 0, why: "processor instructions", said: "`mac/arm_sha2.rs`" },
  "spiped-core/src/mac/portable.rs": { count: 1, allowed: 1, why: "calls C", said: "one line of `mac/portable.rs`" },
  "spiped-core/src/mac/sha_ni.rs": { count: 6, allowed: 0, why: "processor instructions", said: "`mac/sha_ni.rs`" },
  "spiped-core/src/wipe.rs": {
    count: 2,
    allowed: 2,
    why: "clears registers",
    said: "`wipe.rs`, which clears registers",
  },
  "spiped-napi/src/buffers.rs": {
    count: 1,
    allowed: 1,
    why: "an array of JavaScript's to write",
    said: "two lines that take an output buffer as a slice",
  },
  "spiped-napi/src/loop_watch.rs": {
    count: 30,
    allowed: 6,
    why: "calls libuv",
    said: "`loop_watch.rs`, which calls libuv",
  },
  "spiped-napi/src/relay.rs": {
    count: 1,
    allowed: 1,
    why: "a descriptor that is owned",
    said: "two for descriptors, borrowed and owned",
  },
  "spiped-napi/src/sockets.rs": {
    count: 1,
    allowed: 1,
    why: "an array of JavaScript's to write",
    said: "two lines that take an output buffer as a slice",
  },
  "spiped-napi/src/system/descriptors.rs": {
    count: 1,
    allowed: 1,
    why: "a descriptor that is borrowed",
    said: "two for descriptors, borrowed and owned",
  },
  "spiped-napi/src/system/process.rs": { count: 1, allowed: 1, why: "no library has it", said: "`procctl`" },
  "spiped-napi/src/system/sockets.rs": { count: 2, allowed: 2, why: "no library has it", said: "`SO_PEERNAME`" },
  "spiped-napi/src/system/standard_streams.rs": { count: 1, allowed: 1, why: "no library has it", said: "`kcmp`" },
  "spiped-relay/src/silence.rs": { count: 1, allowed: 1, why: "no library has it", said: "`silence.rs`" },
};

const files = readdirSync(join(root, "crates"), { recursive: true, encoding: "utf8" })
  .map((path) => path.replaceAll("\\", "/"))
  .filter((path) => path.endsWith(".rs") && !/^[^/]+\/(fuzz|target)\//.test(path))
  .sort();

function linesOf(path: string): readonly string[] {
  return readFileSync(join(root, "crates", path), "utf8").split("\n");
}

/** A line without its comment; texts do not matter, since none has the word. */
function codeOf(line: string): string {
  return line.replace(/\/\/.*/, "");
}

function countIn(path: string, pattern: RegExp): number {
  return linesOf(path).reduce((count, line) => count + (codeOf(line).match(pattern)?.length ?? 0), 0);
}

const isUnsafe = /\bunsafe\b/g;
const isAllowed = /\ballow\([^)]*\bunsafe_code\b/g;

test("the crates have `unsafe` in the places that are listed, and in no other", () => {
  assert.ok(files.length > 40, `${files.length} files`);
  const found = files
    .map((path) => ({ path, count: countIn(path, isUnsafe), allowed: countIn(path, isAllowed) }))
    .filter(({ count, allowed }) => count > 0 || allowed > 0);
  const listed = Object.entries(exceptions)
    .sort(([path], [other]) => (path < other ? -1 : 1))
    .map(([path, { count, allowed }]) => ({ path, count, allowed }));
  assert.deepEqual(found, listed);
});

test("each is named where DESIGN.md says where `unsafe` is", () => {
  const design = readFileSync(join(root, "DESIGN.md"), "utf8").replace(/\s+/g, " ");
  const section = design.split("## Where `unsafe` is ")[1]?.split(" ## ")[0] ?? "";
  for (const [path, { said }] of Object.entries(exceptions)) assert.ok(section.includes(said), `${path}: ${said}`);
});

test("every crate denies it, wants a proof of each exception, and none allows it as a whole", () => {
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
