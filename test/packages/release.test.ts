// What .github/workflows/release.yml promises of itself: what was packed is what gets published.

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { root } from "../support/programs.js";

const folder = join(root, ".github/workflows");
const workflow = readFileSync(join(folder, "release.yml"), "utf8");

/** The jobs of the workflow, as text. */
const jobs = new Map(
  workflow
    .slice(workflow.indexOf("\njobs:\n"))
    .split(/^(?= {2}[\w-]+:$)/m)
    .slice(1)
    .map((text) => [/^ {2}([\w-]+):$/m.exec(text)?.[1] ?? "", text]),
);

function job(name: string): string {
  return jobs.get(name) ?? assert.fail(`there is a job ${name}`);
}

/** The commands of a job, a line each. */
function commandsOf(name: string): readonly string[] {
  const runs = job(name).matchAll(/^ +(?:- )?run: (?:\|\n((?: {10}.*\n)+)|(.+)\n)/gm);
  return [...runs].flatMap(([, block, line]) => (block ?? line ?? "").trim().split(/\n +/));
}

test("every action is named by the digest of what it does", () => {
  for (const file of readdirSync(folder)) {
    const uses = readFileSync(join(folder, file), "utf8").match(/\buses: .*/g) ?? [];
    assert.ok(uses.length > 0);
    for (const line of uses) assert.match(line, /^uses: [\w-]+\/[\w-]+@[\da-f]{40} # v[\d.]+$/);
  }
});

test("between packing and publishing nothing runs but this repository, and what its lock file has", () => {
  assert.deepEqual(commandsOf("pack"), [
    "npm ci --ignore-scripts",
    "node scripts/check-artifact.mjs native/*.node",
    "node scripts/pack-all.mjs tarballs --every-platform | tee pack.log",
    `sed -n 's/^record  /record=/p' pack.log >> "$GITHUB_OUTPUT"`,
  ]);
  assert.deepEqual(commandsOf("publish"), [`node scripts/publish.mjs tarballs "$RECORD" --provenance`]);
  for (const name of ["commands", "pack", "publish"]) {
    assert.match(job(name), /^ +node-version: \d+\.\d+\.\d+$/m, `${name} says which Node`);
    const actions = [...job(name).matchAll(/uses: ([^@]+)@/g)].map(([, action]) => action);
    assert.deepEqual([...new Set(actions.filter((action) => !action?.startsWith("actions/")))], []);
  }
});

test("the record comes from the job that packs, and not along with the tarballs", () => {
  assert.match(job("pack"), /^ {6}record: \$\{\{ steps\.pack\.outputs\.record \}\}$/m);
  assert.match(job("publish"), /^ {10}RECORD: \$\{\{ needs\.pack\.outputs\.record \}\}$/m);
});

test("only the job that publishes may publish, and only after everything else", () => {
  const others = [...jobs.keys()].filter((name) => name !== "publish");
  assert.ok(others.length > 6);
  for (const name of others) assert.doesNotMatch(job(name), /id-token|environment:|secrets\./, name);
  const needed = new Set(["publish"]);
  for (const name of needed) {
    const [, list = ""] = /^ {4}needs: \[?([^\]\n]*)\]?$/m.exec(job(name)) ?? [];
    for (const one of list.split(", ").filter((text) => text !== "")) needed.add(one);
  }
  assert.deepEqual([...needed].sort(), [...jobs.keys()].sort());
});

test("CI has a job with the oldest Node.js that is supported, and with the oldest Rust", () => {
  const ci = readFileSync(join(folder, "ci.yml"), "utf8");
  const { engines } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { engines: { node: string } };
  const [, minimum = ""] = /^ {2}minimum:\n((?: {4}.*\n|\n)+)/m.exec(ci) ?? [];
  assert.equal(/node-version: (\d+\.\d+)\.0$/m.exec(minimum)?.[1], engines.node.replace(">=", ""));
  assert.match(minimum, /rust-version = .* Cargo\.toml\)$/m);
  assert.match(readFileSync(join(root, "Cargo.toml"), "utf8"), /^rust-version = "\d+\.\d+"$/m);
});

test("pip takes nothing but files whose digests are here", () => {
  for (const line of workflow.match(/.*\bpip".*/g) ?? []) {
    assert.match(line, / install --quiet --require-hashes --only-binary :all: -r \.github\/zigbuild\.txt$/);
  }
  const lines = readFileSync(join(root, ".github/zigbuild.txt"), "utf8").trimEnd().split("\n");
  for (const line of lines.filter((text) => !text.startsWith("#"))) {
    assert.match(line, /^[\w-]+==[\d.]+ --hash=sha256:[\da-f]{64}$/);
  }
});
