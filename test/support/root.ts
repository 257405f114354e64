// Tests that change users, make mount and process namespaces, and so need the superuser and a Linux.

import { test } from "node:test";
import { type Right, refused, skipLoudly } from "./machine.js";
import { commandOnPath } from "./programs.js";

/** What commands ask for that a superuser may lack. */
const rightsFor: Readonly<Record<string, readonly Right[]>> = {
  unshare: ["mounts", "processes"],
  ip: ["networks"],
  setpriv: ["users"],
};

/**
 * Declares tests that need the superuser, these commands with the rights that they take, and further rights; else one
 * test stands for all of them, skipped loudly.
 */
export function asRoot(names: readonly string[], declare: () => void, rights: readonly Right[] = []): void {
  const missing = names.filter((name) => commandOnPath(name) === undefined);
  const wants: string[] = [];
  if (process.platform !== "linux") wants.push("Linux");
  if (process.getuid?.() !== 0) wants.push("the superuser");
  if (missing.length > 0) wants.push(missing.join(", "));
  if (wants.length === 0) wants.push(...refused([...names.flatMap((name) => rightsFor[name] ?? []), ...rights]));
  if (wants.length === 0) {
    declare();
    return;
  }
  const reason = skipLoudly(`needs ${wants.join(" and ")}: NONE of the tests that do ran`);
  test("runs as the superuser", { skip: reason }, () => undefined);
}
