// Who may know whom. Arrows go down only, as DESIGN.md, "Import rules", has them.

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join, posix, relative, sep } from "node:path";
import { test } from "node:test";
import { root } from "./support/paths.js";

/** What a part may import; `types of` a part: only its types. */
const arrows: Readonly<Record<string, readonly string[]>> = {
  clock: [],
  errors: [],
  paths: [],
  platform: [],
  "system-reason": ["errors"],
  native: ["errors"],
  net: ["native", "clock", "errors", "system-reason", "platform", "paths"],
  protocol: ["native", "clock", "errors"],
  config: ["protocol", "native", "types of net", "errors", "system-reason", "platform", "paths"],
  tunnel: ["protocol", "net", "clock", "errors", "system-reason", "platform", "types of config"],
  probe: ["tunnel", "protocol", "net", "errors"],
  flags: ["config", "net", "errors", "system-reason", "platform", "paths", "types of protocol", "smol-toml"],
  observe: ["native", "net", "clock", "errors", "system-reason", "platform", "paths", "types of tunnel"],
  status: ["net", "protocol", "clock", "errors", "platform", "paths", "types of config", "types of tunnel"],
  service: ["types of flags", "status", "observe", "tunnel", "config", "protocol", "net", "clock", "errors"],
  library: ["tunnel", "config", "protocol", "net", "clock", "errors"],
  index: ["library", "errors", "types of protocol", "types of tunnel"],
  cli: [
    "flags",
    "service",
    "probe",
    "observe",
    "tunnel",
    "config",
    "protocol",
    "net",
    "native",
    "clock",
    "errors",
    "system-reason",
    "paths",
    "platform",
    "commander",
  ],
};

interface Source {
  /** Below `src`, with slashes. */
  readonly path: string;
  /** The first part of the path, without an ending. */
  readonly part: string;
  /** Without comments. */
  readonly code: string;
}

interface Import {
  readonly from: Source;
  readonly specifier: string;
  readonly isType: boolean;
}

const sources: readonly Source[] = filesBelow("src", ".ts").map((path) => ({
  path,
  part: path.split("/")[0]?.replace(/\.ts$/, "") ?? "",
  code: withoutComments(readFileSync(join(root, "src", path), "utf8")),
}));

const imports: readonly Import[] = sources.flatMap((from) => importsOf(from));

test("the search finds sources and imports of every form", () => {
  assert.ok(sources.length > 20);
  assert.ok(imports.length > 50);
  const from: Source = {
    path: "x.ts",
    part: "x",
    code: withoutComments(`
      // import { no } from "comment-of-a-line";
      /* import { no } from "comment";
      */
      import { a } from "./a.js";
      import type { B } from "./b.js";
      import { type C, type D } from "./c.js";
      import { type E, f } from "./e.js";
      import * as g from "g";
      import {
        h,
        i,
      } from "./h.js";
      import "./side-effect.js";
      export { j } from "./j.js";
      export type { K } from "./k.js";
      const l = await import("./l.js");
      const url = "https://example.org/not-a-comment";
    `),
  };
  assert.deepEqual(
    importsOf(from).map(({ specifier, isType }) => [specifier, isType]),
    [
      ["./a.js", false],
      ["./b.js", true],
      ["./c.js", true],
      ["./e.js", false],
      ["g", false],
      ["./h.js", false],
      ["./side-effect.js", false],
      ["./j.js", false],
      ["./k.js", true],
      ["./l.js", false],
    ],
  );
  assert.match(from.code, /example\.org\/not-a-comment/);
});

for (const part of [...new Set(sources.map((source) => source.part))].sort()) {
  test(`src/${part} imports only what it may know`, () => {
    const allowed = arrows[part];
    assert.ok(allowed !== undefined, `src/${part} has no place in the arrows`);
    const wrong = imports
      .filter(({ from }) => from.part === part)
      .filter((one) => !isAllowed(one, part, allowed))
      .map(({ from, specifier }) => `${from.path} imports ${specifier}`);
    assert.deepEqual(wrong, []);
  });
}

test("src/net does not mention handshakes", () => {
  const net = sources.filter(({ part }) => part === "net");
  assert.ok(net.length > 10);
  assert.deepEqual(
    net.filter(({ code }) => /handshake/i.test(code)).map(({ path }) => path),
    [],
  );
});

test("no files import each other in a circle, by types neither", () => {
  const next = new Map(sources.map(({ path }) => [path, new Set<string>()]));
  for (const one of imports) {
    if (one.specifier.startsWith(".")) next.get(one.from.path)?.add(pathOf(one).replace(/\.js$/, ".ts"));
  }
  // What imports nothing that is left is taken away, again and again; what stays is in a circle, or leads into one.
  const left = new Set(next.keys());
  for (let before = -1; before !== left.size; ) {
    before = left.size;
    for (const path of [...left]) {
      if ([...(next.get(path) ?? [])].every((to) => !left.has(to))) left.delete(path);
    }
  }
  assert.deepEqual([...left].sort(), []);
});

test("nothing imports src/cli but src/cli", () => {
  const wrong = imports.filter((one) => targetOf(one) === "cli" && one.from.part !== "cli");
  assert.deepEqual(
    wrong.map(({ from }) => from.path),
    [],
  );
});

test("of src/cli and src/observe, a few files use the addon", () => {
  const using = imports.filter((one) => ["cli", "observe"].includes(one.from.part) && targetOf(one) === "native");
  assert.deepEqual([...new Set(using.map(({ from }) => from.path))].sort(), [
    "cli/daemon-preflight.ts",
    "cli/own-process.ts",
    "cli/pid-file.ts",
    "cli/user.ts",
    "observe/service-manager.ts",
    "observe/standard-error.ts",
    "observe/syslog.ts",
  ]);
});

test("the table in DESIGN.md says the same", () => {
  const design = readFileSync(join(root, "DESIGN.md"), "utf8");
  const [, table = ""] = /\| folder +\| may import[^\n]*\n[^\n]*\n((?:\|[^\n]*\n)+)/.exec(design) ?? [];
  const rows = [...table.matchAll(/^\| `(\w+)` +\| ([^|]*)\|$/gm)].map(([, part = "", words = ""]) => [
    part,
    [...words.matchAll(/(types of )?`(\w+)`/g)].map(([, types = "", name]) => `${types}${name}`).sort(),
  ]);
  const everywhere = ["clock", "errors", "system-reason", "paths", "platform", "commander", "smol-toml"];
  const expected = Object.entries(arrows)
    .filter(([part]) => !everywhere.includes(part))
    .map(([part, allowed]) => [part, allowed.filter((one) => !everywhere.includes(one)).sort()]);
  assert.deepEqual(Object.fromEntries(rows), Object.fromEntries(expected));
});

test("src/observe imports of src/net nothing but addresses", () => {
  const wrong = imports.filter((one) => one.from.part === "observe" && targetOf(one) === "net");
  assert.deepEqual(
    wrong.filter(({ specifier }) => !specifier.endsWith("/net/address.js")),
    [],
  );
});

test("what the type checker forgets, an import says: an import of types is written as one", () => {
  const tsconfig: unknown = JSON.parse(readFileSync(join(root, "tsconfig.base.json"), "utf8"));
  assert.equal(Object(tsconfig).compilerOptions.verbatimModuleSyntax, true);
});

test("only src/native/native.ts names the addon's file or its package", () => {
  const naming = sources
    .filter(({ code }) => /\.node["'`]|[`"']spiped-(\$\{|linux|darwin|freebsd|win32)/.test(code))
    .map(({ path }) => path);
  assert.deepEqual(naming, ["native/native.ts"]);
});

test("what a system offers is asked of src/platform.ts", () => {
  const asking = sources.filter(({ code }) => /\bprocess\.platform\s*[!=]==?|["'`]win32["'`]/.test(code));
  assert.deepEqual(asking.map(({ path }) => path).sort(), ["cli/early-signals.ts", "native/native.ts", "platform.ts"]);
});

test("only src/native/native.ts imports the addon's face", () => {
  const importing = imports.filter(({ specifier }) => /(^|\/)addon\.js$/.test(specifier));
  assert.deepEqual([...new Set(importing.map(({ from }) => from.path))], ["native/native.ts"]);
});

for (const [what, pattern, parts] of [
  ["ends the process", /\bprocess\s*\.\s*(exit|exitCode|abort|kill|reallyExit)\b/, ["cli"]],
  ["writes to standard error", /\bprocess\s*\.\s*stderr\b|\bconsole\s*\.|\bwriteSync\(2\b/, ["cli", "observe"]],
  ["touches standard input and output", /\bprocess\s*\.\s*(stdin|stdout)\b/, ["cli"]],
  ["listens to signals", /\bprocess\s*\.\s*(on|once|addListener)\s*\((?!"warning")/, ["cli"]],
  ["becomes another user", /\bprocess\s*\.\s*set(uid|gid|euid|egid|groups)\b/, ["cli"]],
  ["reads the command line or the environment", /\bprocess\s*\.\s*(argv|env)\b/, ["cli"]],
] as const) {
  test(`only src/${parts.join(" and src/")} ${what}`, () => {
    const doing = sources.filter(({ code }) => pattern.test(code));
    assert.ok(doing.length > 0, "the pattern finds nothing at all");
    const wrong = doing.filter(({ part }) => !parts.some((one) => one === part));
    assert.deepEqual(
      wrong.map(({ path }) => path),
      [],
    );
  });
}

test("src/protocol opens no sockets and sets no timers", () => {
  const wrong = sources.filter(
    ({ part, code }) =>
      part === "protocol" && /node:(net|tls|dgram|dns|timers|fs)|\bset(Timeout|Interval)\b/.test(code),
  );
  assert.deepEqual(
    wrong.map(({ path }) => path),
    [],
  );
});

test("no other packages are used than commander and, in one file, smol-toml", () => {
  const others = imports.filter(({ specifier }) => !/^(\.|node:)/.test(specifier));
  assert.deepEqual([...new Set(others.map(({ specifier }) => specifier))].sort(), ["commander", "smol-toml"]);
  const parsing = others.filter(({ specifier }) => specifier === "smol-toml");
  assert.deepEqual(
    parsing.map(({ from }) => from.path),
    ["flags/toml.ts"],
  );
});

test("src/flags/toml.ts, which the commands have in a file of its own, imports nothing of ours", () => {
  const own = imports.filter(({ from, specifier }) => from.path === "flags/toml.ts" && specifier.startsWith("."));
  assert.deepEqual(own, []);
});

test("spiped-core, its tests aside, knows neither Node.js nor sockets nor the clock nor files", () => {
  const core = filesBelow("crates/spiped-core/src", ".rs");
  assert.ok(core.length > 5);
  const wrong = core.filter((path) => {
    const [code = ""] = withoutComments(readFileSync(join(root, "crates/spiped-core/src", path), "utf8")).split(
      /^#\[cfg\((?:test|all\(test,.*\))\)\]$/m,
    );
    return /\bnapi\b|\bstd::(net|time|fs|process|thread|env)\b|\buse std::\{[^}]*\b(net|time|fs|process|env)\b/.test(
      code,
    );
  });
  assert.deepEqual(wrong, []);
});

test("spiped-core depends on nothing of Node.js", () => {
  const manifest = readFileSync(join(root, "crates/spiped-core/Cargo.toml"), "utf8");
  assert.match(manifest, /\[dependencies\]/);
  assert.doesNotMatch(manifest, /napi|tokio|socket2|mio/);
});

function isAllowed(one: Import, part: string, allowed: readonly string[]): boolean {
  const target = targetOf(one);
  if (target === part || target.startsWith("node:")) return true;
  return allowed.includes(target) || (one.isType && allowed.includes(`types of ${target}`));
}

/** The part of `src` that an import leads to, or the name of the package. */
function targetOf(one: Import): string {
  if (!one.specifier.startsWith(".")) return one.specifier;
  return pathOf(one).split("/")[0]?.replace(/\.js$/, "") ?? "";
}

/** Where an import leads, below `src`. */
function pathOf({ from, specifier }: Import): string {
  return posix.normalize(posix.join(posix.dirname(from.path), specifier));
}

function importsOf(from: Source): readonly Import[] {
  const found: Array<Import & { readonly at: number }> = [];
  const statement = /\b(import|export)\s+(type\s+)?((?:\*\s+as\s+)?[\w$]*\s*,?\s*(?:\{[^}]*\})?)\s*from\s*"([^"]+)"/g;
  for (const match of from.code.matchAll(statement)) {
    const [, , type, names = "", specifier = ""] = match;
    const named = /\{([^}]*)\}/
      .exec(names)?.[1]
      ?.split(",")
      .map((name) => name.trim())
      .filter((name) => name !== "");
    const onlyTypes = names.trimStart().startsWith("{") && named?.every((name) => name.startsWith("type ")) === true;
    found.push({ from, specifier, isType: type !== undefined || onlyTypes, at: match.index });
  }
  for (const match of from.code.matchAll(/\bimport\s*\(?\s*"([^"]+)"/g)) {
    found.push({ from, specifier: match[1] ?? "", isType: false, at: match.index });
  }
  return found.sort((one, other) => one.at - other.at);
}

function withoutComments(code: string): string {
  return code.replace(
    /("(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')|\/\*[\s\S]*?\*\/|\/\/[^\n]*/g,
    (_all, text) => text ?? "",
  );
}

function filesBelow(folder: string, ending: string): readonly string[] {
  return readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith(ending))
    .map((entry) => relative(join(root, folder), join(entry.parentPath, entry.name)).split(sep).join("/"))
    .sort();
}
