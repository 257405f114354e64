/**
 * Loads the addon, the Rust half of this program; no other file names it.
 *
 * The addon is one file for each platform. It is looked for where a build from source puts it, then in the package
 * that holds the prebuilt one.
 */

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
import { messageOf, SpipedError } from "../errors.js";
import type * as Addon from "./addon.js";

export type {
  ClientHandshake,
  KeyHasher,
  KeyPair,
  Opener,
  Sealer,
  ServerHandshake,
  SessionKeys,
  SharedKey,
} from "./addon.js";

/** What the addon exports. */
export type AddonExports = typeof Addon;

const require = createRequire(import.meta.url);

/** The addon; loading happens once, when the first module asks for it. */
export const addon: AddonExports = loadAddon(candidates(), (path) => require(path) as AddonExports);

/**
 * Loads the first candidate that can be loaded.
 *
 * @param paths - Files or packages, in the order to try.
 * @param load - Loads one of them, or throws.
 * @throws SpipedError `SPIPED_ADDON` that says what was tried and why each failed.
 */
export function loadAddon(paths: readonly string[], load: (path: string) => AddonExports): AddonExports {
  const failures: string[] = [];
  for (const path of paths) {
    try {
      return load(path);
    } catch (cause) {
      failures.push(`  ${path}: ${messageOf(cause).split("\n", 1)[0]}`);
    }
  }
  throw new SpipedError(
    "SPIPED_ADDON",
    `cannot load the native part for ${platformName()} (Node ${process.version}); tried\n${failures.join("\n")}`,
    { hint: "install again without --omit=optional; in a checkout, run npm run build" },
  );
}

/** The platform's name as the addon's file and package carry it, `linux-x64-gnu` say. */
export function platformName(): string {
  const { platform, arch } = process;
  if (platform === "linux") return `linux-${arch}-${isMusl() ? "musl" : "gnu"}`;
  if (platform === "win32") return `win32-${arch}-msvc`;
  return `${platform}-${arch}`;
}

function candidates(): string[] {
  const name = platformName();
  return [fileURLToPath(new URL(`../../native/spiped.${name}.node`, import.meta.url)), `@spiped/${name}`];
}

function isMusl(): boolean {
  // Alpine and its kin run Node against musl, whose loader does not load what was linked against glibc.
  try {
    return readFileSync("/usr/bin/ldd", "latin1").includes("musl");
  } catch {
    return false;
  }
}
