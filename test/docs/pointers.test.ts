// `Source: docs/protocol.md, "Packets"` in a comment names a section that exists, and the paths and npm scripts that the
// developers' pages name exist.

import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { root } from "../support/programs.js";
import { readPage } from "./pages.js";

const folders = ["bench", "bin", "crates", "scripts", "src", "test"];

const files: readonly string[] = folders.flatMap((folder) =>
  readdirSync(join(root, folder), { recursive: true, encoding: "utf8" })
    .map((file) => `${folder}/${file.replaceAll("\\", "/")}`)
    .filter((file) => /\.(ts|rs|mjs|js)$/.test(file) && !/\/(target|node_modules)\//.test(file)),
);

/** `docs/protocol.md, "Keys" and "Packets"`, also across a line break of a comment. */
const pointer = /((?:docs\/)?[\w-]+\.md), ("[^"\n]+"(?: and "[^"\n]+")*)/g;

test("comments point to sections that exist", () => {
  let found = 0;
  for (const file of files) {
    const text = readFileSync(join(root, file), "utf8").replaceAll(/\n *(?:\/\/[/!]?|\*) +/g, " ");
    for (const [, page = "", names = ""] of text.matchAll(pointer)) {
      if (!existsSync(join(root, page))) assert.fail(`${file} points to ${page}, which does not exist`);
      const headings = [...readPage(page).matchAll(/^#+ (.+)$/gm)].map(([, heading]) => heading);
      for (const [, name] of names.matchAll(/"([^"]+)"/g)) {
        found += 1;
        assert.ok(headings.includes(name), `${file} points to ${page}, "${name}", which does not exist`);
      }
    }
  }
  assert.ok(found > 20, `found ${found} pointers`);
});

for (const page of [
  "DESIGN.md",
  "CONTRIBUTING.md",
  "RELEASING.md",
  "STYLE.md",
  "docs/benchmarks.md",
  "docs/debugging.md",
  "docs/deployment.md",
  "docs/data-path.md",
  "docs/decisions.md",
  "docs/lifecycle.md",
  "docs/protocol.md",
]) {
  const named = [...readPage(page).matchAll(/`([^`\n]+)`/g)].map(([, name = ""]) => name);

  test(`the paths that ${page} names exist`, () => {
    const paths = named.filter(
      (name) =>
        /^[\w.-]+(\/[\w.-]+)*\/?$/.test(name) && (name.includes("/") || /\.(ts|rs|mjs|md|json|toml)$/.test(name)),
    );
    // A release makes packed.json.
    const missing = paths.filter((path) => path !== "packed.json" && !existsSync(join(root, path)));
    assert.deepEqual(missing, []);
  });

  test(`the npm scripts that ${page} names exist`, () => {
    const { scripts }: { scripts: Record<string, string> } = JSON.parse(
      readFileSync(join(root, "package.json"), "utf8"),
    );
    const wanted = [...readPage(page).matchAll(/\bnpm run ([\w:-]+)/g)].map(([, name = ""]) => name);
    assert.deepEqual(
      wanted.filter((name) => !(name in scripts)),
      [],
    );
  });
}
