// Tests that change users, make mount and process namespaces, and so need the superuser and a Linux.

import { test } from "node:test";
import { commandOnPath } from "./programs.js";

/** Declares tests that need the superuser and these commands; else one test stands for all of them, skipped loudly. */
export function asRoot(names: readonly string[], declare: () => void): void {
  const missing = names.filter((name) => commandOnPath(name) === undefined);
  const wants: string[] = [];
  if (process.platform !== "linux") wants.push("Linux");
  if (process.getuid?.() !== 0) wants.push("the superuser");
  if (missing.length > 0) wants.push(missing.join(", "));
  if (wants.length === 0) {
    declare();
    return;
  }
  const reason = `needs ${wants.join(" and ")}: NONE of the tests that do ran`;
  process.stderr.write(`SKIPPED: ${reason}\n`);
  test("runs as the superuser", { skip: reason }, () => undefined);
}
