// Makes docs/compatibility.md from docs/compatibility.toml and the titles of the tests. With --check it only says whether
// the page is up to date. Fails if a row names a test that does not exist, so the page cannot claim what nothing checks.

import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { parse } from "smol-toml";
import { testTitles } from "./support/test-titles.mjs";

process.chdir(fileURLToPath(new URL("..", import.meta.url)));

const source = "docs/compatibility.toml";
const target = "docs/compatibility.md";
const titles = testTitles(".", "test");

const { section: sections } = parse(readFileSync(source, "utf8"));
const problems = [];

const page = `<!-- Generated from ${source} by scripts/build-compatibility.mjs. Do not edit. -->

# Compatibility with the C original

Either end of a tunnel can be this program or the C original, with the same key file and the same flags. On the wire they
do not differ in anything that a peer can notice ([protocol.md](protocol.md)). This page compares them point by point with
version 1.6.4 of the original. All differences are on purpose.

Each row links to the tests that pin it; those in \`test/interop\` run both programs. A row cannot outlive its test: the page
is generated, and generating it fails when a test is missing. Add a row in [${source.slice(5)}](${source.slice(5)}), then run
\`npm run build:docs\`.

With the original at one end, what is said about resets holds for our end only. The original closes its sockets after an
error, and to our end that looks like an orderly end.

## Differences

${sections.map(({ title, row }) => `### ${title}\n\n${table(row.filter(({ here }) => here !== undefined))}`).join("\n")}
## The same

| where | behavior | tests |
|-|-|-|
${sections
  .flatMap(({ row }) => row.filter(({ here }) => here === undefined))
  .map(({ what, original, tests }) => `| ${what} | ${original} | ${links(tests)} |`)
  .join("\n")}
`;

if (process.argv.includes("--check")) {
  if (readFileSync(target, "utf8") !== page) problems.push(`${target} is out of date; run npm run build:docs`);
} else if (problems.length === 0) {
  writeFileSync(target, page);
}
for (const problem of problems) console.error(problem);
if (problems.length > 0) process.exit(1);

function table(rows) {
  const lines = rows.map(
    ({ what, original, here, tests }) => `| ${what} | ${original} | ${here} | ${links(tests)} |\n`,
  );
  return `| where | C original | here | tests |\n|-|-|-|-|\n${lines.join("")}`;
}

/** A link for each file; the titles show when the pointer is over it. */
function links(tests) {
  const byFile = new Map();
  for (const one of tests) {
    const [, path, title] = /^([\w/-]+): (.*)$/.exec(one) ?? [];
    const file = `test/${path}.test.ts`;
    if (!titles.get(title)?.includes(file)) problems.push(missing(one, file, title));
    byFile.set(file, [...(byFile.get(file) ?? []), title]);
  }
  return [...byFile]
    .map(([file, named]) => {
      const short = file.slice("test/".length, -".test.ts".length).replace(/^(integration|unit)\//, "");
      const shown = named.join("; ").replaceAll(/["<>|`*\\]/g, "\\$&");
      return `[${short}](../${file} "${shown}")`;
    })
    .join(", ");
}

/** A message that says where the title is now, or which title of the same file has the most words in common. */
function missing(one, file, title) {
  const elsewhere = titles.get(title);
  if (elsewhere !== undefined) return `${source}: "${one}": the test is now in ${elsewhere.join(", ")}`;
  const words = new Set(one.split(/\W+/));
  const score = (other) => other.split(/\W+/).filter((word) => words.has(word)).length;
  const [best] = [...titles]
    .filter(([, files]) => files.includes(file))
    .map(([other]) => other)
    .sort((a, b) => score(b) - score(a));
  const hint = best === undefined ? `there are no tests in ${file}` : `perhaps it is now "${best}"`;
  return `${source} names a test that does not exist: "${one}"; ${hint}`;
}
