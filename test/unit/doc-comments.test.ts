// A class's contract is in its own doc comment, where an editor shows it.

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { root } from "./support/paths.js";

const folders = ["library", "native", "net", "protocol", "tunnel"];

test("no doc comment sends its reader to the head of the file", () => {
  const files = folders.flatMap((folder) =>
    readdirSync(join(root, "src", folder)).map((name) => join("src", folder, name)),
  );
  assert.ok(files.length > 50);
  const found = files.filter((file) => /see the head of this file/i.test(readFileSync(join(root, file), "utf8")));
  assert.deepEqual(found, []);
});
