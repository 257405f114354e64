// scripts/publish.mjs with the real npm and the test's own registry: only recorded packages are published.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { appendFileSync, copyFileSync, cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, type TestContext, test } from "node:test";
import { failsafeMs, temporaryFolder } from "../support/cleanup.js";
import { Command } from "../support/command.js";
import { root } from "../support/programs.js";
import { Registry } from "../support/registry.js";

const limits = { timeout: 3 * failsafeMs };
const version = "9.8.7";
const [main, platform] = ["spiped", "@spiped/some-platform"];
const fileOf = (name: string): string => `${name.replace("@", "").replace("/", "-")}-${version}.tgz`;

/** Two packages and their record, packed once; each test uses a copy. */
let packed: string;
let record: string;

before(async () => {
  packed = await mkdtemp(join(tmpdir(), "spiped-"));
  mkdirSync(join(packed, "tarballs"));
  // The files of the checkout that publish.mjs reads.
  writeFileSync(join(packed, "package.json"), JSON.stringify({ name: main, version, napi: { targets: ["one"] } }));
  const script = `
    const { spawnSync } = require("node:child_process");
    for (const name of ${JSON.stringify([main, platform])}) {
      const folder = name.replace(/\\W/g, "-") + ".staging";
      require("node:fs").mkdirSync(folder);
      require("node:fs").writeFileSync(folder + "/package.json", JSON.stringify({ name, version: "${version}" }));
      const args = ["pack", "--ignore-scripts", "--pack-destination", "../tarballs"];
      const shell = process.platform === "win32";
      if (spawnSync("npm", args, { cwd: folder, shell, stdio: "ignore" }).status !== 0) process.exit(1);
    }
    const packages = ${JSON.stringify([main, platform].map((name) => ({ name, version, file: fileOf(name) })))};
    import(${JSON.stringify(join(root, "scripts/packed.mjs"))}).then(({ writeRecord }) =>
      process.stdout.write(writeRecord("tarballs", packages)));`;
  const { status, stdout, stderr } = spawnSync(process.execPath, ["-e", script], {
    cwd: packed,
    encoding: "utf8",
    env: { ...process.env, npm_config_cache: join(packed, "cache") },
  });
  assert.equal(status, 0, stderr);
  record = stdout;
});

after(() => rm(packed, { recursive: true }));

interface Release {
  readonly registry: Registry;
  /** The folder of the tarballs. */
  readonly tarballs: string;
  publish(integrity?: string, ...flags: string[]): Promise<{ status: number | null; stdout: string; stderr: string }>;
}

async function release(t: TestContext): Promise<Release> {
  const folder = await temporaryFolder(t);
  cpSync(join(packed, "tarballs"), join(folder, "tarballs"), { recursive: true });
  copyFileSync(join(packed, "package.json"), join(folder, "package.json"));
  const registry = await Registry.start(t);
  const env = { ...registry.env, SPIPED_PUBLISH_PAUSE_MS: "10", npm_config_cache: join(folder, "cache") };
  const noRetries = { npm_config_fetch_retries: "0", npm_config_update_notifier: "false" };
  const publish = (integrity = record, ...flags: string[]) =>
    Command.run(t, [process.execPath, join(root, "scripts/publish.mjs"), "tarballs", integrity, ...flags], {
      stdin: "ignore",
      cwd: folder,
      env: { ...env, ...noRetries },
    });
  return { registry, tarballs: join(folder, "tarballs"), publish };
}

function integrityOf(name: string): string {
  const all = JSON.parse(readFileSync(join(packed, "tarballs/packed.json"), "utf8")) as {
    name: string;
    integrity: string;
  }[];
  return all.find((one) => one.name === name)?.integrity ?? assert.fail(name);
}

const both = [`${platform}@${version}`, `${main}@${version}`];

test("a release publishes all packages, the one that depends on the others last", limits, async (t) => {
  const { registry, publish } = await release(t);
  const { status, stdout, stderr } = await publish();
  assert.deepEqual({ status, stderr }, { status: 0, stderr: "" });
  assert.equal(stdout, both.map((name) => `${name}  published\n`).join(""));
  assert.deepEqual(registry.published, both);
});

test("--verify-only checks the tarballs and publishes nothing", limits, async (t) => {
  const { registry, tarballs, publish } = await release(t);
  const { status, stdout } = await publish(record, "--verify-only");
  assert.deepEqual([status, stdout], [0, both.map((name) => `${name}  is what was packed\n`).join("")]);
  appendFileSync(join(tarballs, fileOf(platform)), "\0");
  assert.equal((await publish(record, "--verify-only")).status, 1);
  assert.deepEqual(registry.published, []);
});

test("a release that is already published is left unchanged", limits, async (t) => {
  const { registry, publish } = await release(t);
  for (const name of [main, platform]) registry.hold(name, version, integrityOf(name));
  const { status, stdout } = await publish();
  assert.equal(status, 0);
  assert.equal(stdout, both.map((name) => `${name}  is there already, and the same\n`).join(""));
  assert.deepEqual(registry.published, []);
});

test("another version of a package does not prevent publishing", limits, async (t) => {
  const { registry, publish } = await release(t);
  registry.hold(platform, "9.8.6", "sha512-other");
  assert.equal((await publish()).status, 0);
  assert.deepEqual(registry.published, both);
});

for (const name of [main, platform]) {
  test(`nothing is published if the registry has another ${name} of this version`, limits, async (t) => {
    const { registry, publish } = await release(t);
    registry.hold(name, version, "sha512-other");
    const { status, stderr } = await publish();
    assert.equal(status, 1);
    assert.equal(
      stderr,
      `publish: the registry has another ${name}@${version}: its integrity is sha512-other, not ${integrityOf(name)}\n`,
    );
    assert.deepEqual(registry.published, []);
  });
}

test("an interrupted run can be resumed", limits, async (t) => {
  const { registry, publish } = await release(t);
  registry.takes = 1;
  const { status, stderr } = await publish();
  assert.equal(status, 1);
  assert.match(stderr, new RegExp(`^publish: npm did not publish ${main}@${version}: `));
  assert.deepEqual(registry.published, [`${platform}@${version}`]);
  registry.takes = 1;
  const again = await publish();
  assert.equal(again.status, 0, again.stderr);
  assert.equal(again.stdout, `${both[0]}  is there already, and the same\n${both[1]}  published\n`);
  assert.deepEqual(registry.published, both);
});

test("a registry that shows a new package late is waited for", limits, async (t) => {
  const { registry, publish } = await release(t);
  registry.hold(platform, version, integrityOf(platform));
  registry.manners = "forgetful";
  const { status, stdout, stderr } = await publish();
  assert.equal(status, 0, stderr);
  assert.equal(stdout, `${both[0]}  is there already, and the same\n${both[1]}  published\n`);
  assert.deepEqual(registry.published, [`${main}@${version}`]);
});

test("a registry that hides another package of this version stops the release", limits, async (t) => {
  const { registry, publish } = await release(t);
  registry.hold(platform, version, "sha512-other");
  registry.manners = "forgetful";
  const { status, stderr } = await publish();
  assert.equal(status, 1);
  assert.match(stderr, new RegExp(`^publish: the registry has another ${platform}@${version}: `));
  assert.deepEqual(registry.published, []);
});

test("a registry that does not answer is not treated as empty", limits, async (t) => {
  const { registry, publish } = await release(t);
  registry.manners = "broken";
  const { status, stderr } = await publish();
  assert.equal(status, 1);
  assert.match(stderr, /^publish: the registry does not say whether it has @spiped\/some-platform: status 500\n$/);
  assert.deepEqual(registry.published, []);
  registry.stop();
  const without = await publish();
  assert.equal(without.status, 1);
  assert.match(
    without.stderr,
    /^publish: the registry does not say whether it has @spiped\/some-platform: .*ECONNREFUSED/,
  );
});

const tamperings: Readonly<Record<string, readonly [does: (tarballs: string) => void, says: RegExp]>> = {
  "a tarball was changed": [
    (tarballs) => appendFileSync(join(tarballs, fileOf(platform)), "\0"),
    /^publish: spiped-some-platform-9\.8\.7\.tgz is not what was packed\n$/,
  ],
  "a tarball has the contents of another": [
    (tarballs) => copyFileSync(join(tarballs, fileOf(platform)), join(tarballs, fileOf(main))),
    /^publish: spiped-9\.8\.7\.tgz is not what was packed\n$/,
  ],
  "a tarball is not recorded": [
    (tarballs) => copyFileSync(join(tarballs, fileOf(platform)), join(tarballs, "spiped-more-9.8.7.tgz")),
    /^publish: not in the record: spiped-more-9\.8\.7\.tgz\n$/,
  ],
  "a tarball is missing": [(tarballs) => rmSync(join(tarballs, fileOf(platform))), /^publish: ENOENT: /],
  "the record was changed with the tarball": [
    (tarballs) => {
      appendFileSync(join(tarballs, fileOf(platform)), "\0");
      const text = readFileSync(join(tarballs, "packed.json"), "utf8");
      writeFileSync(join(tarballs, "packed.json"), text.replaceAll(integrityOf(platform), "sha512-other"));
    },
    /^publish: packed\.json is not the record that was written when packing\n$/,
  ],
  "there is no record": [(tarballs) => rmSync(join(tarballs, "packed.json")), /^publish: ENOENT: /],
  "the checkout has another version": [
    (tarballs) =>
      writeFileSync(
        join(tarballs, "../package.json"),
        JSON.stringify({ name: main, version: "9.8.6", napi: { targets: ["one"] } }),
      ),
    /^publish: spiped@9\.8\.7, @spiped\/some-platform@9\.8\.7: not of spiped 9\.8\.6\n$/,
  ],
  "a platform package is missing": [
    (tarballs) =>
      writeFileSync(
        join(tarballs, "../package.json"),
        JSON.stringify({ name: main, version, napi: { targets: ["one", "two"] } }),
      ),
    /^publish: spiped, @spiped\/some-platform: not spiped and a package for each of its platforms\n$/,
  ],
};

for (const [what, [tamper, says]] of Object.entries(tamperings)) {
  test(`nothing is published if ${what}`, limits, async (t) => {
    const { registry, tarballs, publish } = await release(t);
    tamper(tarballs);
    const { status, stdout, stderr } = await publish();
    assert.deepEqual({ status, stdout }, { status: 1, stdout: "" });
    assert.match(stderr, says);
    assert.deepEqual(registry.published, []);
  });
}
