// Links between the pages are not broken.

import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { test } from "node:test";
import { root } from "../support/programs.js";
import { pages, readPage } from "./pages.js";

for (const page of [
  ...pages,
  "DESIGN.md",
  "CONTRIBUTING.md",
  "RELEASING.md",
  "SECURITY.md",
  "STYLE.md",
  "CHANGELOG.md",
]) {
  test(`the links of ${page} lead to files and headings that exist`, () => {
    for (const [, target = ""] of readPage(page).matchAll(/\]\(([^)\s]+)(?: "(?:[^"\\]|\\.)*")?\)/g)) {
      if (/^[a-z]+:/.test(target)) continue;
      const [path = "", heading] = target.split("#");
      const file = path === "" ? page : normalize(join(dirname(page), path));
      assert.ok(existsSync(join(root, file)), target);
      if (heading !== undefined) assert.ok(headingsOf(file).includes(heading), target);
    }
  });
}

test("docs/README.md leads to every page", () => {
  const index = readPage("docs/README.md");
  const others = ["DESIGN.md", "CONTRIBUTING.md", "RELEASING.md", "SECURITY.md", "STYLE.md", "CHANGELOG.md"];
  const wanted = [...pages.filter((page) => page !== "docs/README.md"), ...others];
  const missing = wanted.filter(
    (page) => !index.includes(`](${page.startsWith("docs/") ? page.slice(5) : `../${page}`})`),
  );
  assert.deepEqual(missing, []);
});

/** The headings of a page as links name them. */
function headingsOf(page: string): readonly string[] {
  return [...readPage(page).matchAll(/^#{1,4} (.+)$/gm)].map(([, text = ""]) =>
    text
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N} _-]/gu, "")
      .replaceAll(" ", "-"),
  );
}
