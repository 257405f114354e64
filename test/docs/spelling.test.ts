// American spelling everywhere, names in the log and in /status above all: they cannot change after a release.

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { root } from "../support/programs.js";

const folders = [
  ".github",
  "bench",
  "bin",
  "completions",
  "contrib",
  "crates",
  "docs",
  "man",
  "scripts",
  "src",
  "test",
];
const text = /\.(?:ts|mjs|js|rs|md|toml|ya?ml|json|fish|bash|1|service|plist)$/;
/** STYLE.md says what not to write. What others wrote, or programs, is not ours to spell. */
const others = /^STYLE\.md$|\/(?:target|node_modules|corpus)\/|spelling\.test\.ts$/;

const files: readonly string[] = [
  ...readdirSync(root).filter((file) => file.endsWith(".md")),
  ...folders.flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, encoding: "utf8" }).map((file) => `${folder}/${file}`),
  ),
].filter((file) => text.test(file) && !others.test(file));

/** "cancelled" stays, as Node.js and the error code have it. */
const british = new RegExp(
  [
    "(?:dial|label|model|signal|tunnel|channel|travel|spool|level)(?:led|ling|ler)\\b",
    "(?:recogn|organ|initial|serial|optim|normal|author|synchron|minim|maxim|summar|util|custom|real|final)is(?:e[ds]?|ing|ation)\\b",
    "(?:behavi|col|fav|hon|neighb|lab)our",
    "\\b(?:centre|licence|defence|catalogue|grey|judgement|acknowledgement|artefact|spelt|misspelt|towards|whilst|amongst)s?\\b",
    "look-up",
  ].join("|"),
  "i",
);

test("names and prose have American spelling", () => {
  assert.ok(files.length > 400, `${files.length} files`);
  const found = files.flatMap((file) =>
    readFileSync(join(root, file), "utf8")
      .split("\n")
      .flatMap((line, index) => (british.test(line) ? [`${file}:${index + 1}: ${british.exec(line)?.[0]}`] : [])),
  );
  assert.deepEqual(found, []);
});
