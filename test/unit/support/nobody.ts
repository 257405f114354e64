// What a process without the administrator's rights meets.

import assert from "node:assert/strict";

/** Does something without the rights of the administrator, to whom no file is forbidden. */
export async function asNobody(act: () => unknown): Promise<void> {
  if (process.getuid?.() !== 0) {
    await act();
    return;
  }
  assert.ok(process.seteuid !== undefined);
  process.seteuid(65_534);
  try {
    await act();
  } finally {
    process.seteuid(0);
  }
}
