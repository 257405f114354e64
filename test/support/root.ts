// Tests that change users or create mount and process namespaces, and so need root on Linux.

import { test } from "node:test";
import { type Right, refused, skipLoudly } from "./environment.js";
import { commandOnPath } from "./programs.js";

/** Privileges that commands need and that root may lack. */
const rightsFor: Readonly<Record<string, readonly Right[]>> = {
  unshare: ["mounts", "processes"],
  ip: ["networks"],
  setpriv: ["users"],
};

/**
 * Declares tests that need root, these commands with their privileges, and further privileges; otherwise one skipped
 * test stands for all of them.
 */
export function asRoot(names: readonly string[], declare: () => void, rights: readonly Right[] = []): void {
  const missing = names.filter((name) => commandOnPath(name) === undefined);
  const wants: string[] = [];
  if (process.platform !== "linux") wants.push("Linux");
  if (process.getuid?.() !== 0) wants.push("root");
  if (missing.length > 0) wants.push(missing.join(", "));
  if (wants.length === 0) wants.push(...refused([...names.flatMap((name) => rightsFor[name] ?? []), ...rights]));
  if (wants.length === 0) {
    declare();
    return;
  }
  const reason = skipLoudly(`needs ${wants.join(" and ")}: NONE of the tests that do ran`);
  test("runs as root", { skip: reason }, () => undefined);
}
