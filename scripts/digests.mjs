// Carries SHA-256 digests from the jobs of release.yml that build to those that use what was built.
//
//   node scripts/digests.mjs PATH...           prints NAME=DIGEST for each file or folder, as $GITHUB_OUTPUT takes it
//   node scripts/digests.mjs --check PATH...   fails unless DIGESTS, a JSON array of {NAME: DIGEST}, has exactly these
//
// An addon's name is its platform's; the digest of a folder is that of its files' names and digests.

import { createHash } from "node:crypto";
import { readdirSync, readFileSync, statSync } from "node:fs";
import { basename, join, relative, sep } from "node:path";
import { parseArguments } from "./support/arguments.mjs";

const { values, positionals: paths } = parseArguments({
  allowPositionals: true,
  options: { check: { type: "boolean", default: false } },
});
if (paths.length === 0) {
  console.error("usage: node scripts/digests.mjs [--check] PATH...");
  process.exit(2);
}

if (values.check) check(Object.assign({}, ...JSON.parse(process.env.DIGESTS ?? "[]")));
else for (const path of paths) console.log(`${nameOf(path)}=${digestOf(path)}`);

function check(expected) {
  const problems = paths
    .filter((path) => expected[nameOf(path)] !== digestOf(path))
    .map(
      (path) => `${path} is not what was built: ${digestOf(path)} instead of ${expected[nameOf(path)] ?? "nothing"}`,
    );
  const names = paths.map(nameOf);
  problems.push(...Object.keys(expected).flatMap((name) => (names.includes(name) ? [] : [`${name} is missing`])));
  for (const problem of problems) console.error(`digests: ${problem}`);
  if (problems.length > 0) process.exit(1);
  console.log(`digests: ${names.join(", ")} are as built`);
}

function nameOf(path) {
  return basename(path)
    .replace(/^spiped\./, "")
    .replace(/\.(node|tar\.gz)$/, "");
}

function digestOf(path) {
  if (!statSync(path).isDirectory()) return sha256(readFileSync(path));
  const files = readdirSync(path, { recursive: true, withFileTypes: true })
    .filter((entry) => !entry.isDirectory())
    .map((entry) => join(entry.parentPath, entry.name));
  const lines = files.map((file) => `${relative(path, file).replaceAll(sep, "/")} ${sha256(readFileSync(file))}\n`);
  return sha256(lines.sort().join(""));
}

function sha256(bytes) {
  return createHash("sha256").update(bytes).digest("hex");
}
