// node scripts/publish.mjs DIR INTEGRITY [--provenance | --verify-only]: publishes the tarballs of DIR, the main package
// last.
//
// INTEGRITY is that of the record which `npm run pack:all` wrote and printed; it must not travel with the tarballs.
// Nothing is published unless DIR has exactly the tarballs of the record, byte for byte; they are the packages of this
// checkout's version; and what the registry already has of them, from an interrupted run, is the same. It can be run
// again at any time. --verify-only stops after checking the tarballs, and asks no registry.
//
// The registry is the one that npm is configured for.

import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { integrityOf, readRecord } from "./packed.mjs";
import { isPlatformPackage } from "./platform-packages.mjs";
import { parseArguments } from "./support/arguments.mjs";

/** How often to ask the registry again, and the pause in between: new packages show up after a while. */
const PATIENCE = { tries: 30, pauseMs: Number(process.env.SPIPED_PUBLISH_PAUSE_MS ?? 10_000) };

const { values, positionals } = parseArguments({
  allowPositionals: true,
  options: {
    provenance: { type: "boolean", default: false },
    "verify-only": { type: "boolean", default: false },
  },
});
const [folder, integrity, ...others] = positionals;
if (folder === undefined || integrity === undefined || others.length > 0) {
  console.error("usage: node scripts/publish.mjs DIR INTEGRITY [--provenance | --verify-only]");
  process.exit(2);
}

try {
  await publishAll(folder, integrity);
} catch (error) {
  console.error(`publish: ${error.message}`);
  process.exit(1);
}

async function publishAll() {
  const tarballs = verifiedTarballs();
  if (values["verify-only"]) {
    for (const tarball of tarballs) console.log(`${nameOf(tarball)}  is what was packed`);
    return;
  }
  const registry = npm(["config", "get", "registry"]).stdout.trim().replace(/\/*$/, "/");
  const missing = [];
  for (const tarball of tarballs) {
    if (await isThere(registry, tarball)) console.log(`${nameOf(tarball)}  is there already, and the same`);
    else missing.push(tarball);
  }
  for (const tarball of missing) {
    const { status, stderr } = publish(tarball);
    // It can be there even after a failure: the registry did not list it yet, or the answer was lost.
    const tries = status === 0 ? PATIENCE.tries : 3;
    if (!(await isThereSoon(registry, tarball, tries))) {
      throw new Error(
        status === 0
          ? `the registry accepted ${nameOf(tarball)} but does not list it yet; run this again later`
          : `npm did not publish ${nameOf(tarball)}: ${stderr.trim()}`,
      );
    }
    console.log(`${nameOf(tarball)}  ${status === 0 ? "published" : "is there already, and the same"}`);
  }
}

/** The tarballs with their bytes, in the order to publish them in. @throws Error unless they match the record. */
function verifiedTarballs() {
  const packed = readRecord(folder, integrity);
  const files = readdirSync(folder).filter((name) => name.endsWith(".tgz"));
  const unknown = files.filter((name) => !packed.some(({ file }) => file === name));
  if (unknown.length > 0) throw new Error(`not in the record: ${unknown.join(", ")}`);
  const tarballs = packed.map((one) => ({ ...one, bytes: readFileSync(join(folder, one.file)) }));
  for (const { file, bytes, integrity } of tarballs) {
    if (integrityOf(bytes) !== integrity) throw new Error(`${file} is not what was packed`);
  }

  const { name: main, version, napi } = JSON.parse(readFileSync("package.json", "utf8"));
  const foreign = packed.filter(
    (one) => one.version !== version || !(one.name === main || isPlatformPackage(one.name)),
  );
  if (foreign.length > 0) throw new Error(`${foreign.map(nameOf).join(", ")}: not of ${main} ${version}`);
  const names = new Set(packed.map(({ name }) => name));
  if (!names.has(main) || names.size !== packed.length || names.size !== napi.targets.length + 1) {
    throw new Error(`${[...names].join(", ")}: not ${main} and a package for each of its platforms`);
  }
  return tarballs.sort((one, other) => Number(one.name === main) - Number(other.name === main));
}

/**
 * Whether the registry has a tarball's version.
 *
 * @throws Error if it has another one under that name, or does not answer.
 */
async function isThere(registry, tarball) {
  const { name, version } = tarball;
  const there = (await askFor(registry, name))?.versions?.[version];
  if (there === undefined) return false;
  if (there.dist?.integrity === tarball.integrity) return true;
  throw new Error(
    `the registry has another ${nameOf(tarball)}: its integrity is ${there.dist?.integrity}, not ${tarball.integrity}`,
  );
}

async function isThereSoon(registry, tarball, tries) {
  for (let left = tries; left > 0; left -= 1) {
    if (await isThere(registry, tarball)) return true;
    if (left > 1) await sleep(PATIENCE.pauseMs);
  }
  return false;
}

/** What the registry has under a name; undefined if it says that there is nothing. */
async function askFor(registry, name) {
  let problem;
  for (let left = 3; left > 0; left -= 1) {
    try {
      const response = await fetch(`${registry}${name.replace("/", "%2f")}`, {
        headers: { accept: "application/json", "cache-control": "no-cache" },
        signal: AbortSignal.timeout(30_000),
      });
      if (response.status === 404) return undefined;
      if (response.ok) return await response.json();
      problem = `status ${response.status}`;
    } catch (error) {
      problem = error.cause?.message || error.message;
    }
    if (left > 1) await sleep(PATIENCE.pauseMs);
  }
  throw new Error(`the registry does not say whether it has ${name}: ${problem}`);
}

/** Gives npm a copy of exactly the bytes that were verified. */
function publish({ file, bytes }) {
  const own = mkdtempSync(join(tmpdir(), "spiped-publish-"));
  try {
    writeFileSync(join(own, file), bytes);
    const provenance = values.provenance ? ["--provenance"] : [];
    return npm(["publish", `./${file}`, "--ignore-scripts", "--access", "public", ...provenance], own);
  } finally {
    rmSync(own, { recursive: true, force: true });
  }
}

function npm(args, cwd = process.cwd()) {
  const shell = process.platform === "win32";
  const result = spawnSync("npm", args, { cwd, encoding: "utf8", shell, stdio: ["ignore", "pipe", "pipe"] });
  if (result.error !== undefined) throw new Error(`cannot run npm: ${result.error.message}`);
  return result;
}

function nameOf({ name, version }) {
  return `${name}@${version}`;
}
