// npm run install:global: installs this checkout's commands where npm puts global ones.
//
// It packs what has been built into one tarball and installs that, so the installation does not depend on the checkout.
// Arguments go to npm: `npm run install:global -- --prefix ~/.local`.

import { spawnSync } from "node:child_process";
import { accessSync, constants, existsSync, readdirSync, rmSync, statSync } from "node:fs";
import { delimiter, dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const FOLDER = "build/install";

process.chdir(fileURLToPath(new URL("..", import.meta.url)));
const npmArguments = process.argv.slice(2);
const withPrefix = npmArguments.map((argument) => ` ${quoted(argument)}`).join("");

rmSync(FOLDER, { recursive: true, force: true });
run(process.execPath, ["scripts/pack-all.mjs", FOLDER, "--self-contained"]);
const tarball = `./${FOLDER}/${readdirSync(FOLDER).find((name) => name.endsWith(".tgz"))}`;

// prefix/lib/node_modules; on Windows prefix\node_modules.
const modules = npm(["root", "--global", ...npmArguments]).stdout.trim();
const prefix = resolve(modules, process.platform === "win32" ? ".." : "../..");
if (!isWritable(modules)) {
  console.error(`install:global: cannot write to ${prefix}, so nothing was installed`);
  console.error(`hint: sudo env "PATH=$PATH" npm install --global${withPrefix} ${quoted(resolve(tarball))}`);
  console.error("  or: npm run install:global -- --prefix ~/.local    (with ~/.local/bin on the PATH)");
  process.exit(1);
}
npm(["install", "--global", "--no-audit", "--no-fund", ...npmArguments, tarball], "inherit");
const commands = process.platform === "win32" ? prefix : join(prefix, "bin");
console.log(`installed spiped and spipe in ${commands}; to remove them: npm uninstall --global spiped${withPrefix}`);
const found = firstOnPath("spiped");
if (found === undefined) console.log(`note: ${commands} is not on your PATH`);
else if (dirname(found) !== commands)
  console.log(`note: "spiped" in your shell is still ${found}: put ${commands} first on your PATH`);

function npm(args, stdout = "pipe") {
  return run("npm", args, {
    shell: process.platform === "win32",
    encoding: "utf8",
    stdio: ["ignore", stdout, "inherit"],
  });
}

function run(file, args, options = { stdio: ["ignore", "inherit", "inherit"] }) {
  const result = spawnSync(file, args, options);
  if (result.error !== undefined) {
    console.error(`install:global: cannot run ${file}: ${result.error.message}`);
    process.exit(1);
  }
  if (result.status !== 0) process.exit(1);
  return result;
}

/** An argument as a shell takes it. */
function quoted(argument) {
  return /^[\w@%+=:,./~-]+$/.test(argument) ? argument : `'${argument.replaceAll("'", "'\\''")}'`;
}

/** The path of what a shell would start by this name; undefined if there is nothing. */
function firstOnPath(name) {
  // npm run puts folders of its own in front.
  const folders = (process.env.PATH ?? "").split(delimiter).filter((folder) => !folder.includes("node_modules"));
  const extension = process.platform === "win32" ? ".cmd" : "";
  return folders.map((folder) => join(folder, name + extension)).find((path) => existsSync(path));
}

/** Whether a folder can be written to, or created. */
function isWritable(folder) {
  let nearest = folder;
  while (!existsSync(nearest)) nearest = dirname(nearest);
  try {
    accessSync(nearest, constants.W_OK);
    return statSync(nearest).isDirectory();
  } catch {
    return false;
  }
}
