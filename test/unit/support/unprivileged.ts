// Runs code as an unprivileged user.

import assert from "node:assert/strict";

/** Runs `act` without root's privileges, under which no file is forbidden. */
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
