// The licences of the crates that an addon is made of, for the package that holds it: they ask to go with the binary.

import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";

const FILES = /^(licen[cs]e|copying|notice|copyright)/i;

/**
 * One text with the licences of everything that spiped-napi links for a target.
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
    "The binary in this package contains the following crates under the following licences, and the Rust standard\n" +
    "library under the MIT licence or the Apache licence 2.0, as you choose.";
  return `${[head, ...parts].join(`\n\n${"-".repeat(80)}\n\n`)}\n`;
}

/** The crates from elsewhere that end up in the addon, by name. */
function linkedCrates(target) {
  const words = ["metadata", "--format-version", "1", "--locked", "--filter-platform", target];
  const metadata = JSON.parse(execFileSync("cargo", words, { encoding: "utf8", maxBuffer: 2 ** 28 }));
  const packages = new Map(metadata.packages.map((one) => [one.id, one]));
  const nodes = new Map(metadata.resolve.nodes.map((node) => [node.id, node]));
  const linked = new Set();
  const follow = (id) => {
    if (linked.has(id)) return;
    linked.add(id);
    for (const dependency of nodes.get(id).deps) {
      // Neither what only the build or the tests run, nor macros.
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
  // Where MIT is one of several to choose from, it is the one chosen.
  const mit =
    /\bMIT\b/.test(license ?? "") && /\bOR\b|\//.test(license) ? files.filter((file) => /mit/i.test(file)) : [];
  const chosen = (mit.length > 0 ? mit : files).map((file) => join(folder, file));
  // The C library inside this crate has a licence of its own.
  if (name === "aws-lc-sys") chosen.push(join(folder, "aws-lc/LICENSE"));
  const texts = chosen.map((file) => readFileSync(file, "utf8").replaceAll("\r", "").trim());
  return texts.length > 0 ? texts : [`(${license}; the crate comes without the text)`];
}
