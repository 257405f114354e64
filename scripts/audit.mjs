// Fails if the registry knows of a vulnerability in a package of package-lock.json. A registry that does not answer is
// reported and is no failure: CI must not depend on it being up.

import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";

process.chdir(fileURLToPath(new URL("..", import.meta.url)));

const shell = process.platform === "win32";
const { stdout, error } = spawnSync("npm", ["audit", "--package-lock-only", "--json"], { encoding: "utf8", shell });
const report = error === undefined ? parse(stdout) : undefined;
if (report?.vulnerabilities === undefined) {
  const reason = error?.message ?? report?.message ?? report?.error?.summary ?? "npm audit printed no report";
  console.log(`npm audit: SKIPPED, the registry did not answer: ${reason}`);
} else {
  const found = Object.values(report.vulnerabilities);
  for (const { name, severity, via, fixAvailable } of found) {
    const titles = via.map((one) => (typeof one === "string" ? `through ${one}` : `${one.title} (${one.url})`));
    console.error(`${name}: ${severity}: ${titles.join("; ")}${fixAvailable ? "; npm audit fix mends it" : ""}`);
  }
  console.log(`npm audit: ${found.length} vulnerable packages`);
  if (found.length > 0) process.exitCode = 1;
}

function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
