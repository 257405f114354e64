// The licenses of the crates in an addon, which must be distributed with it.

import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";

const FILES = /^(licen[cs]e|copying|notice|copyright)/i;

/**
 * One text with the licenses of everything that spiped-napi links for a target.
 *
 * @param target - A target as cargo names it, `x86_64-unknown-linux-gnu` say.
 */
export function thirdPartyLicenses(target) {
  const crates = linkedCrates(target);
  const texts = new Map();
  for (const crate of crates) {
    for (const text of licenseTexts(crate)) texts.set(text, [...(texts.get(text) ?? []), crate]);
  }
  const parts = [...texts].map(([text, users]) => {
    const names = users.map(({ name, version, license }) => `${name} ${version} (${license ?? "see below"})`);
    return `${names.join("\n")}\n\n${text}`;
  });
  const head =
    "The binary in this package contains the following crates under the following licenses, and the Rust standard\n" +
    "library under the MIT license or the Apache license 2.0, at your option.";
  return `${[head, ...parts].join(`\n\n${"-".repeat(80)}\n\n`)}\n`;
}

/** The third-party crates in the addon, by name. */
function linkedCrates(target) {
  const args = ["metadata", "--format-version", "1", "--locked", "--filter-platform", target];
  const metadata = JSON.parse(execFileSync("cargo", args, { encoding: "utf8", maxBuffer: 2 ** 28 }));
  const packages = new Map(metadata.packages.map((one) => [one.id, one]));
  const nodes = new Map(metadata.resolve.nodes.map((node) => [node.id, node]));
  const linked = new Set();
  const follow = (id) => {
    if (linked.has(id)) return;
    linked.add(id);
    for (const dependency of nodes.get(id).deps) {
      // No build or test dependencies, and no macros.
      const isLinked = dependency.dep_kinds.some(({ kind }) => kind === null);
      if (isLinked && !isMacro(packages.get(dependency.pkg))) follow(dependency.pkg);
    }
  };
  follow(metadata.packages.find(({ name }) => name === "spiped-napi").id);
  return [...linked]
    .map((id) => packages.get(id))
    .filter(({ source }) => source !== null)
    .sort((one, other) => one.name.localeCompare(other.name));
}

function isMacro({ targets }) {
  return targets.some(({ kind }) => kind.includes("proc-macro"));
}

function licenseTexts({ name, license, manifest_path: manifest }) {
  const folder = dirname(manifest);
  const files = readdirSync(folder).filter((file) => FILES.test(file));
  // If there is a choice, MIT.
  const mit =
    /\bMIT\b/.test(license ?? "") && /\bOR\b|\//.test(license) ? files.filter((file) => /mit/i.test(file)) : [];
  const chosen = (mit.length > 0 ? mit : files).map((file) => join(folder, file));
  // The C library in this crate has its own license.
  if (name === "aws-lc-sys") chosen.push(join(folder, "aws-lc/LICENSE"));
  const texts = chosen.map((file) => readFileSync(file, "utf8").replaceAll("\r", "").trim());
  return texts.length > 0 ? texts : [`(${license}; the crate comes without the text)`];
}
