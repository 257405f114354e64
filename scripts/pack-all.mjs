// npm run pack:all -- DIR [--every-platform | --self-contained]: writes the packages as tarballs into DIR.
//
// By default, as they are published: the main package and the package with this platform's addon; with --every-platform
// the addon packages of all platforms, whose addons must then be in native/. The platform packages become optional
// dependencies of the main package here and not in the checkout, where npm ci would look for a version before it is
// published. A record of the tarballs, which scripts/publish.mjs requires, is written beside them; its integrity is printed.
//
// With --self-contained: one tarball with this platform's addon inside and no dependencies, so that installing it needs
// no registry, and asks none for packages that may not be published yet.

import { spawnSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { NapiCli, parseTriple } from "@napi-rs/cli";
import { writeRecord } from "./packed.mjs";
import { packageOf } from "./platform-packages.mjs";
import { parseArguments } from "./support/arguments.mjs";
import { thirdPartyLicenses } from "./third-party-licenses.mjs";

const { values, positionals } = parseArguments({
  allowPositionals: true,
  options: {
    "every-platform": { type: "boolean", default: false },
    "self-contained": { type: "boolean", default: false },
  },
});
const [destination, ...others] = positionals;
if (destination === undefined || others.length > 0 || (values["every-platform"] && values["self-contained"])) {
  console.error("usage: npm run pack:all -- DIR [--every-platform | --self-contained]");
  process.exit(2);
}
const tarballs = resolve(destination);
process.chdir(fileURLToPath(new URL("..", import.meta.url)));

const staging = mkdtempSync(join(tmpdir(), "spiped-pack-"));
try {
  mkdirSync(tarballs, { recursive: true });
  await (values["self-contained"] ? packSelfContained() : packAll());
} finally {
  rmSync(staging, { recursive: true, force: true });
}

async function packAll() {
  const manifest = { ...JSON.parse(readFileSync("package.json", "utf8")), ...repository() };
  const platforms = manifest.napi.targets.map(parseTriple);

  // In its own folder, so that packing leaves nothing in the checkout.
  writeManifest(staging, manifest);
  await new NapiCli().createNpmDirs({ cwd: staging, npmDir: "npm" });

  const main = join(staging, "main");
  stageMain(main, publishedManifest(manifest, platforms));
  const packed = pack(main);
  const wanted = values["every-platform"] ? platforms : [await thisPlatform(platforms)];
  for (const platform of wanted) {
    const folder = join(staging, "npm", platform.platformArchABI);
    stagePlatform(folder, platform);
    packed.push(...pack(folder));
  }
  console.log(`record  ${writeRecord(tarballs, packed)}`);
}

/** The commands contain their dependencies, and the library has none. */
async function packSelfContained() {
  const manifest = JSON.parse(readFileSync("package.json", "utf8"));
  const platform = await thisPlatform(manifest.napi.targets.map(parseTriple));
  const { scripts, dependencies, devDependencies, imports, napi, ...installed } = manifest;
  const main = join(staging, "main");
  stageMain(main, { ...installed, files: [...manifest.files, "native"] });
  stageAddon(join(main, "native"), platform);
  pack(main);
}

/** The main package's manifest as published. */
function publishedManifest(manifest, platforms) {
  const { scripts, devDependencies, imports, napi, ...published } = manifest;
  published.optionalDependencies = Object.fromEntries(
    platforms.map(({ platformArchABI }) => [packageOf(platformArchABI), manifest.version]),
  );
  // The commands contain the installed versions: an audit of an installation must see exactly these.
  published.dependencies = Object.fromEntries(
    Object.keys(published.dependencies).map((name) => {
      const { version } = JSON.parse(readFileSync(`node_modules/${name}/package.json`, "utf8"));
      return [name, version];
    }),
  );
  return published;
}

function stageMain(folder, manifest) {
  writeManifest(folder, manifest);
  for (const file of ["README.md", "LICENSE"]) cpSync(file, join(folder, file));
  // npm packs of these what `files` lists.
  const taken = manifest.files.filter((pattern) => !pattern.startsWith("!") && pattern !== "native");
  for (const part of new Set(taken.map((pattern) => pattern.split("/")[0]))) {
    if (!existsSync(part)) throw new Error(`there is no ${part}; run npm run build first`);
    cpSync(part, join(folder, part), { recursive: true });
  }
}

function stagePlatform(folder, platform) {
  stageAddon(folder, platform);
  cpSync("LICENSE", join(folder, "LICENSE"));
  const manifest = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
  const name = packageOf(platform.platformArchABI);
  writeManifest(folder, { ...manifest, name });
  writeFileSync(
    join(folder, "README.md"),
    `# \`${name}\`\n\nThe native part of [spiped](https://www.npmjs.com/package/spiped) for ${platform.triple}. ` +
      "Install `spiped`, which takes the package of its platform.\n",
  );
}

/** Copies a platform's addon into a folder, with the licenses of the crates in it. */
function stageAddon(folder, { triple, platformArchABI }) {
  const addon = `spiped.${platformArchABI}.node`;
  if (!existsSync(`native/${addon}`)) throw new Error(`there is no native/${addon}; build it first`);
  mkdirSync(folder, { recursive: true });
  cpSync(`native/${addon}`, join(folder, addon));
  // npm packs a file of this name without being told.
  writeFileSync(join(folder, "LICENSE.third-party.txt"), thirdPartyLicenses(triple));
}

/** The platform of this Node.js, by the name that the addon is loaded by. */
async function thisPlatform(platforms) {
  const { platformName } = await import("../dist/native/native.js");
  const found = platforms.find(({ platformArchABI }) => platformArchABI === platformName());
  if (found === undefined) throw new Error(`there is no package for ${platformName()}`);
  return found;
}

/** The repository that a release is built from, which provenance is checked against; nothing outside a release. */
function repository() {
  const { GITHUB_SERVER_URL: server, GITHUB_REPOSITORY: name } = process.env;
  if (server === undefined || name === undefined) return {};
  return { repository: { type: "git", url: `git+${server}/${name}.git` } };
}

function writeManifest(folder, manifest) {
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, "package.json"), `${JSON.stringify(manifest, null, 2)}\n`);
}

/** Packs a folder. @returns What was packed, for the record. */
function pack(folder) {
  const args = ["pack", "--ignore-scripts", "--json", "--pack-destination", tarballs];
  const { status, stdout } = spawnSync("npm", args, {
    cwd: folder,
    stdio: ["ignore", "pipe", "inherit"],
    encoding: "utf8",
    shell: process.platform === "win32",
  });
  if (status !== 0) throw new Error("npm pack failed");
  return Object.values(JSON.parse(stdout)).map(({ name, version, filename, size, unpackedSize, entryCount }) => {
    console.log(`${filename}  ${kilobytes(size)} packed, ${kilobytes(unpackedSize)} unpacked, ${entryCount} files`);
    return { name, version, file: filename };
  });
}

function kilobytes(bytes) {
  return `${Math.ceil(bytes / 1_000)} kB`;
}
