// docs/library.md lists every error code, with its cause and what to do.

import assert from "node:assert/strict";
import { test } from "node:test";
import { ERROR_CODES } from "#dist/errors.js";
import { readPage } from "./pages.js";

test("each error code is listed once, with a cause and what to do, and no other", () => {
  const [, section = ""] = readPage("docs/library.md").split(/^## Error codes$/m);
  const [table = ""] = section.split(/^## /m);
  const rows = [...table.matchAll(/^\| `(SPIPED_[A-Z_]+)` *\|([^|\n]+)\|([^|\n]+)\|$/gm)];
  assert.deepEqual(rows.map(([, code]) => code).sort(), [...ERROR_CODES].sort());
  for (const [, code, cause = "", remedy = ""] of rows) assert.ok(cause.trim() !== "" && remedy.trim() !== "", code);
});
