/**
 * Loads the addon, the Rust half of this program; no other file names it.
 *
 * The addon is one file for each platform. It is looked for where a build from source puts it, then in the package
 * that holds the prebuilt one.
 */

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { messageOf, SpipedError } from "../errors.js";
import type * as Addon from "./addon.js";

export type {
  ClientHandshake,
  KeyFile,
  KeyFileRequest,
  KeyFolder,
  KeyHasher,
  KeyPair,
  KeySet,
  LookupResult,
  Opener,
  RelayEnd,
  Sealer,
  ServerHandshake,
  SessionKeys,
  SharedKey,
  Sockets,
} from "./addon.js";

/** What the addon exports. */
export type AddonExports = typeof Addon;

/** The platforms that have a package with a prebuilt addon, as {@link platformName} names them. */
export const PREBUILT_PLATFORMS: readonly string[] = [
  "linux-x64-gnu",
  "linux-arm64-gnu",
  "linux-x64-musl",
  "linux-arm64-musl",
  "darwin-x64",
  "darwin-arm64",
  "freebsd-x64",
  "win32-x64-msvc",
  "win32-arm64-msvc",
];

const require = createRequire(import.meta.filename);

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
    { hint: hintFor(platformName()) },
  );
}

/** What to do where there is no addon for a platform. */
export function hintFor(platform: string): string {
  if (!PREBUILT_PLATFORMS.includes(platform)) {
    return `there is no prebuilt package for ${platform}; build in a checkout, with Rust: npm run build`;
  }
  return (
    `the package ${packageOf(platform)} belongs here; npm leaves it out with --omit=optional, and where node_modules ` +
    "comes from another platform: install again here, without it (in a checkout: npm run build)"
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
  return [join(import.meta.dirname, `../../native/spiped.${name}.node`), packageOf(name)];
}

function packageOf(platform: string): string {
  return `@spiped/${platform}`;
}

/** Alpine and its kin run Node against musl, whose loader does not load what was linked against glibc. */
function isMusl(): boolean {
  try {
    return readFileSync("/usr/bin/ldd", "latin1").includes("musl");
  } catch {
    // An image without it. The report takes longer to make, and tells what Node itself was started with.
    const { header } = process.report.getReport() as { readonly header: object };
    return !("glibcVersionRuntime" in header);
  }
}
