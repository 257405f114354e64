/**
 * Loads the addon, which is the Rust part of this program. All other files import it from here.
 *
 * There is one addon for each platform. It is loaded from where a source build puts it, or else from the platform's
 * package with a prebuilt addon.
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

/** The addon's exports. */
export type AddonExports = typeof Addon;

/** The platforms for which there is a package with a prebuilt addon, named like {@link platformName}. */
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

/** The addon, loaded once, when this module is first imported. */
export const addon: AddonExports = loadAddon(candidates(), (path) => require(path) as AddonExports);

/**
 * Loads the first candidate that can be loaded.
 *
 * @param paths - Files or packages, in order of preference.
 * @param load - Loads one of them, or throws.
 * @throws SpipedError `SPIPED_ADDON`, with what was tried and why each attempt failed.
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

/** The hint when the addon for a platform cannot be loaded. */
export function hintFor(platform: string): string {
  if (!PREBUILT_PLATFORMS.includes(platform)) {
    return `there is no prebuilt package for ${platform}; with Rust installed, build it from source: npm run build`;
  }
  return (
    `the package ${packageOf(platform)} is missing, as with --omit=optional or a node_modules folder from another ` +
    "platform; reinstall on this machine without --omit=optional (in a source checkout: npm run build)"
  );
}

/** The platform's name in the addon's file and package names, for example `linux-x64-gnu`. */
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

/** Whether Node runs on musl, as on Alpine: its loader cannot load an addon linked against glibc. */
function isMusl(): boolean {
  try {
    return readFileSync("/usr/bin/ldd", "latin1").includes("musl");
  } catch {
    // Minimal images lack ldd. The report is slower, but shows what Node itself is linked against.
    const { header } = process.report.getReport() as { readonly header: object };
    return !("glibcVersionRuntime" in header);
  }
}
