// The difference between two configurations, for a reload.

import assert from "node:assert/strict";
import { test } from "node:test";
import { changesBetween } from "#dist/flags/config-changes.js";
import { checkTexts, type FileConfig } from "#dist/flags/config-file.js";
import { textOf } from "#dist/flags/mistakes.js";

function config(text: string): FileConfig {
  const checked = checkTexts("t.toml", { texts: [{ path: "t.toml", text }], mistakes: [] });
  if (checked.kind === "right") return checked.config;
  assert.fail(checked.mistakes.map(textOf).join("\n"));
}

function tunnel(name: string, port: number, more = ""): string {
  return `[decrypt.${name}]\nsource = "[::1]:${port}"\ntarget = "/run/${name}"\nkey = "k"\n${more}\n`;
}

/** The changes by name. */
function changes(before: string, after: string) {
  const { unchanged, ending, starting, needRestart } = changesBetween(config(before), config(after));
  return {
    unchanged,
    ending,
    starting: starting.map(({ config }) => config.name),
    needRestart,
  };
}

const [a, b, c] = [tunnel("a", 1), tunnel("b", 2), tunnel("c", 3)];
const none = { unchanged: [], ending: [], starting: [], needRestart: [] };

for (const [name, before, after, expected] of [
  ["the same text", a + b, a + b, { unchanged: ["a", "b"] }],
  ["another order, comments and spellings", a + b, `# new\n${b}\ntimeout = 5.0\n${a}`, { unchanged: ["b", "a"] }],
  ["a new tunnel", a, a + b, { unchanged: ["a"], starting: ["b"] }],
  ["one tunnel less", a + b, b, { unchanged: ["b"], ending: ["a"] }],
  [
    "a changed tunnel whose source stays",
    a + b,
    tunnel("a", 1, "timeout = 1") + b,
    { unchanged: ["b"], ending: ["a"], starting: ["a"] },
  ],
  ["a changed source", a, tunnel("a", 9), { ending: ["a"], starting: ["a"] }],
  ["another key file", a, a.replace('"k"', '"l"'), { ending: ["a"], starting: ["a"] }],
  ["another name", a + c, tunnel("b", 1) + c, { unchanged: ["c"], ending: ["a"], starting: ["b"] }],
  [
    "sources that are swapped",
    a + b,
    tunnel("a", 2) + tunnel("b", 1),
    {
      ending: ["a", "b"],
      starting: ["a", "b"],
    },
  ],
  ["another role", a, a.replace("decrypt", "encrypt"), { ending: ["a"], starting: ["a"] }],
  [
    "other defaults",
    a + b,
    `${a}${b}[defaults]\nkeep-alive = false`,
    {
      ending: ["a", "b"],
      starting: ["a", "b"],
    },
  ],
  ["defaults that say what the tunnels say", a, `${a}[defaults]\ntimeout = 5`, { unchanged: ["a"] }],
  [
    "keys of the process",
    a,
    `user = "nobody"\nthreads = 2\n${a}`,
    { unchanged: ["a"], needRestart: ["user", "threads"] },
  ],
  [
    "fewer keys of the process",
    `syslog = true\ncoalescing = false\n${a}`,
    a,
    { unchanged: ["a"], needRestart: ["coalescing", "syslog"] },
  ],
] as const) {
  test(`a reload with ${name}`, () => {
    assert.deepEqual(changes(before, after), { ...none, ...expected });
  });
}
