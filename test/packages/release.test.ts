// .github/workflows/release.yml publishes exactly the packed files.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { temporaryFolder } from "../support/cleanup.js";
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

/** The jobs that a job needs. */
function neededBy(name: string): readonly string[] {
  const [, list = ""] = /^ {4}needs: \[?([^\]\n]*)\]?$/m.exec(job(name)) ?? [];
  return list.split(", ").filter((text) => text !== "");
}

test("every action is pinned by digest", () => {
  for (const file of readdirSync(folder)) {
    const uses = readFileSync(join(folder, file), "utf8").match(/\buses: .*/g) ?? [];
    assert.ok(uses.length > 0);
    for (const line of uses) assert.match(line, /^uses: [\w-]+\/[\w-]+@[\da-f]{40} # v[\d.]+$/);
  }
});

test("the packing job runs only this repository's code and locked dependencies", () => {
  assert.deepEqual(commandsOf("pack"), [
    "node scripts/digests.mjs --check dist native/*.node",
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

test("the record is an output of the packing job, and not part of the tarballs' artifact", () => {
  assert.match(job("pack"), /^ {6}record: \$\{\{ steps\.pack\.outputs\.record \}\}$/m);
  assert.match(job("publish"), /^ {10}RECORD: \$\{\{ needs\.pack\.outputs\.record \}\}$/m);
});

test("only the jobs that publish may publish, and only after everything else", () => {
  const others = [...jobs.keys()].filter((name) => !["publish", "push"].includes(name));
  assert.ok(others.length > 6);
  for (const name of others)
    assert.doesNotMatch(job(name), /id-token|environment:|secrets\.|packages: write|token/, name);
  const needed = new Set(["publish"]);
  for (const name of needed) for (const one of neededBy(name)) needed.add(one);
  assert.deepEqual([...needed, "push"].sort(), [...jobs.keys()].sort());
  assert.match(job("publish"), /^ {4}if: github\.ref_type == 'tag'$/m);
  assert.ok(neededBy("push").includes("publish"));
});

test("every addon's digest is passed from its build job to the packing job", () => {
  const { napi } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { napi: { targets: string[] } };
  const built = ["cross", "native"].flatMap((name) => {
    assert.ok(neededBy("pack").includes(name));
    assert.ok(job("pack").includes(`\${{ toJSON(needs.${name}.outputs) }}`));
    assert.ok(commandsOf(name).includes('node scripts/digests.mjs native/*.node >> "$GITHUB_OUTPUT"'));
    const outputs = [...job(name).matchAll(/^ {6}([\w-]+): \$\{\{ steps\.digests\.outputs\.([\w-]+) \}\}$/gm)];
    for (const [, name, step] of outputs) assert.equal(name, step);
    const platforms = [...job(name).matchAll(/\bplatform: ([\w-]+),/g)].map(([, platform]) => platform);
    assert.deepEqual(outputs.map(([, name]) => name).sort(), [...platforms].sort());
    return platforms;
  });
  assert.equal(built.length, napi.targets.length);
});

test("every job that compiles Rust verifies its toolchain, with digests for every target", () => {
  const [, version = ""] = /^ {2}RUSTUP_TOOLCHAIN: (\d+\.\d+\.\d+) /m.exec(workflow) ?? [];
  const pinned = readFileSync(join(root, ".github/rust.sha256"), "utf8");
  for (const [name] of jobs) {
    const compiles = commandsOf(name).findIndex((command) => /^cargo /.test(command));
    const checks = commandsOf(name).findIndex((command) => /^node scripts\/check-rust\.mjs /.test(command));
    if (compiles !== -1) assert.ok(checks !== -1 && checks < compiles, name);
  }
  for (const [, target] of workflow.matchAll(/\btarget: ([\w-]+),/g)) {
    assert.match(pinned, new RegExp(`^[\\da-f]{64} {2}rust-std-${version}-${target}\\.tar\\.xz$`, "m"));
  }
});

test("the check of digests fails on changed, unknown and missing files", async (t) => {
  const files = await temporaryFolder(t);
  mkdirSync(join(files, "dist"));
  writeFileSync(join(files, "dist", "one.js"), "1");
  writeFileSync(join(files, "spiped.linux-x64-gnu.node"), "2");
  const digests = (...args: string[]) =>
    spawnSync(process.execPath, [join(root, "scripts/digests.mjs"), ...args], { cwd: files, encoding: "utf8", env });
  const env: Record<string, string | undefined> = { ...process.env };
  const paths = ["dist", "spiped.linux-x64-gnu.node"];
  const built = digests(...paths)
    .stdout.trimEnd()
    .split("\n");
  const outputs = Object.fromEntries(built.map((line) => line.split("=") as [string, string]));
  assert.deepEqual(Object.keys(outputs), ["dist", "linux-x64-gnu"]);
  env["DIGESTS"] = JSON.stringify([{ dist: outputs["dist"] }, { "linux-x64-gnu": outputs["linux-x64-gnu"] }]);
  assert.equal(digests("--check", ...paths).status, 0);
  assert.match(digests("--check", "dist").stderr, /^digests: linux-x64-gnu is missing$/m);
  writeFileSync(join(files, "spiped.other.node"), "3");
  assert.match(digests("--check", ...paths, "spiped.other.node").stderr, /spiped\.other\.node is not what was built/);
  writeFileSync(join(files, "dist", "two.js"), "");
  const changed = digests("--check", ...paths);
  assert.equal(changed.status, 1);
  assert.match(changed.stderr, /^digests: dist is not what was built: /);
});

test("the image is built from the published packages, and pushed as tested", () => {
  assert.equal(commandsOf("image")[0], 'node scripts/publish.mjs tarballs "$RECORD" --verify-only');
  assert.ok(commandsOf("image").some((command) => command.includes("--build-arg PARTS=packages")));
  assert.equal(commandsOf("push")[0], "node scripts/digests.mjs --check images/*.tar.gz");
  assert.match(job("push"), /DIGESTS: "\[\$\{\{ toJSON\(needs\.image\.outputs\) \}\}\]"/);
});

test("CI has a job with the oldest supported Node.js and Rust", () => {
  const ci = readFileSync(join(folder, "ci.yml"), "utf8");
  const { engines } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { engines: { node: string } };
  const [, minimum = ""] = /^ {2}minimum:\n((?: {4}.*\n|\n)+)/m.exec(ci) ?? [];
  assert.equal(/node-version: (\d+\.\d+)\.0$/m.exec(minimum)?.[1], engines.node.replace(">=", ""));
  assert.match(minimum, /rust-version = .* Cargo\.toml\)$/m);
  assert.match(readFileSync(join(root, "Cargo.toml"), "utf8"), /^rust-version = "\d+\.\d+"$/m);
});

test("pip installs only files with pinned digests", () => {
  for (const line of workflow.match(/.*\bpip".*/g) ?? []) {
    assert.match(line, / install --quiet --require-hashes --only-binary :all: -r \.github\/zigbuild\.txt$/);
  }
  const lines = readFileSync(join(root, ".github/zigbuild.txt"), "utf8").trimEnd().split("\n");
  for (const line of lines.filter((text) => !text.startsWith("#"))) {
    assert.match(line, /^[\w-]+==[\d.]+ --hash=sha256:[\da-f]{64}$/);
  }
});
