// The implementations that tests start: ours from this checkout, and the C original if installed.

import { spawnSync } from "node:child_process";
import { accessSync, constants, existsSync, readdirSync } from "node:fs";
import { delimiter, join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { limits } from "./cleanup.js";

/** An implementation; each command is an argument list without flags. */
export interface Program {
  readonly name: "ours" | "C";
  readonly spiped: readonly [string, ...string[]];
  readonly spipe: readonly [string, ...string[]];
}

/** The root of the checkout. */
export const root = fileURLToPath(new URL("../../../", import.meta.url));

export const ours: Program = {
  name: "ours",
  spiped: [process.execPath, join(root, "bin/spiped.js")],
  spipe: [process.execPath, join(root, "bin/spipe.js")],
};

/** The path of an installed command, or undefined. */
export function commandOnPath(name: string): string | undefined {
  for (const folder of [...(process.env["PATH"] ?? "").split(delimiter), ...serverFolders()]) {
    const file = join(folder, name);
    try {
      accessSync(file, constants.X_OK);
      return file;
    } catch {
      // Not in this folder.
    }
  }
  return undefined;
}

/** Folders of servers that are not on the PATH; Debian has one for each version of PostgreSQL. */
function serverFolders(): readonly string[] {
  const postgresql = "/usr/lib/postgresql";
  const versions = existsSync(postgresql) ? readdirSync(postgresql) : [];
  return ["/usr/sbin", "/usr/local/sbin", ...versions.map((version) => `${postgresql}/${version}/bin`)];
}

function findCOriginal(): Program | undefined {
  const spiped = commandOnPath("spiped");
  const spipe = commandOnPath("spipe");
  if (spiped === undefined || spipe === undefined) return undefined;
  // The original prints its version on standard error and ours on standard output, so ours on the PATH is not mistaken
  // for it.
  const { stderr } = spawnSync(spiped, ["-v"], { encoding: "utf8" });
  return /^spiped 1\./.test(stderr) ? { name: "C", spiped: [spiped], spipe: [spipe] } : undefined;
}

/** The C original, if installed. */
export const cOriginal: Program | undefined = findCOriginal();

const allRequired = process.env["SPIPED_REQUIRE_INTEROP"] === "1";

/**
 * Runs `declare` if `found`. Otherwise one test stands for all of them, which is skipped, or fails if skipping is not
 * allowed.
 *
 * @param isRequired - Whether skipping is not allowed. Outside Linux, much of what tests need does not exist.
 */
export function declareIf<T>(
  found: T | undefined,
  what: string,
  declare: (found: T) => void,
  isRequired = allRequired && process.platform === "linux",
): void {
  if (found !== undefined) {
    declare(found);
    return;
  }
  const missing = `missing: ${what}`;
  if (!isRequired) process.stderr.write(`SKIPPED: ${missing}; NONE of the tests that need it ran\n`);
  test(`finds ${what}`, {
    ...limits,
    skip: isRequired ? false : `${missing}; NONE of the tests that need it ran`,
  }, () => {
    throw new Error(`${missing}; and SPIPED_REQUIRE_INTEROP=1 says that it must be`);
  });
}

/** Declares tests that need the C original. */
export function withCOriginal(declare: (c: Program) => void): void {
  declareIf(cOriginal, "the C original (spiped, spipe)", declare, allRequired);
}

/** Declares tests that need other commands; `declare` gets their paths in the order of `names`. */
export function withCommands(names: readonly string[], declare: (paths: readonly string[]) => void): void {
  const missing = names.filter((name) => commandOnPath(name) === undefined);
  const paths = missing.length > 0 ? undefined : names.map((name) => commandOnPath(name) ?? name);
  declareIf(paths, missing.join(", "), declare);
}

/** Which implementation is the client, and which the server. */
export interface Pair {
  readonly client: Program;
  readonly server: Program;
  readonly name: string;
}

export function pairOf(client: Program, server: Program): Pair {
  return { client, server, name: `${client.name} → ${server.name}` };
}

/** Every pair with the C original; C with C shows that the scenario asks for nothing unusual. */
export function pairsWith(c: Program): readonly Pair[] {
  return [pairOf(ours, c), pairOf(c, ours), pairOf(c, c)];
}
