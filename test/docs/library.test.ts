// docs/library.md lists every error code, with its cause and what to do.

import assert from "node:assert/strict";
import { test } from "node:test";
import { ERROR_CODES } from "#dist/errors.js";
import { readPage } from "./pages.js";

test("exactly the existing error codes are listed, each once, with a cause and what to do", () => {
  const [, section = ""] = readPage("docs/library.md").split(/^## Error codes$/m);
  const [table = ""] = section.split(/^## /m);
  const rows = [...table.matchAll(/^\| `(SPIPED_[A-Z_]+)` *\|([^|\n]+)\|([^|\n]+)\|$/gm)];
  assert.deepEqual(rows.map(([, code]) => code).sort(), [...ERROR_CODES].sort());
  for (const [, code, cause = "", remedy = ""] of rows) assert.ok(cause.trim() !== "" && remedy.trim() !== "", code);
});
