// Bundles the commands in src/cli into dist/commands/: three files instead of eighty, because each file costs time at the
// start. bin/ loads them, in a checkout and as published.
//
// early-signals.cjs is separate so that signals are handled before anything else is loaded, and toml.cjs because most starts
// have no --config. CommonJS, because Node.js starts it faster than ES modules. Not minified, to keep stack traces readable.

import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { build, transform } from "esbuild";

const FOLDER = "dist/commands";

/** Modules of Node.js that a tunnel does not need: loaded on first use. */
const LATE = ["node:child_process", "node:crypto", "node:http"];

/** `node scripts/build-commands.mjs dist` bundles the compiled files as they are; scripts/trials/mutants.mjs changes them. */
const from = process.argv[2] ?? "src";

process.chdir(fileURLToPath(new URL("..", import.meta.url)));
const manifest = JSON.parse(readFileSync("package.json", "utf8"));

const { metafile } = await build({
  entryPoints: ["cli/early-signals", "cli/commands", "flags/toml"].map((path) => ({
    in: `./${from}/${path}.${from === "src" ? "ts" : "js"}`,
    out: path.replace(/.*\//, ""),
  })),
  outdir: FOLDER,
  outExtension: { ".js": ".cjs" },
  bundle: true,
  platform: "node",
  target: manifest.engines.node.replace(">=", "node"),
  format: "cjs",
  define: { "import.meta.dirname": "__dirname", "import.meta.filename": "__filename" },
  plugins: [ownFiles(), late(), withoutComments()],
  sourcemap: true,
  sourcesContent: false,
  metafile: true,
  logLevel: "warning",
});
writeFileSync(`${FOLDER}/LICENSE.third-party.txt`, licenses(metafile.inputs));

/** Loads early-signals and toml from their own files, so that there is one copy of each. */
function ownFiles() {
  return {
    name: "own-files",
    setup({ onResolve }) {
      onResolve({ filter: /^\.[^"]*\/(early-signals|toml)\.js$/ }, ({ path, kind }) =>
        kind === "entry-point"
          ? undefined
          : { path: `./${path.replace(/.*\//, "").replace(/\.js$/, ".cjs")}`, external: true },
      );
    },
  };
}

/** Removes comments, a third of the size, from dependencies. */
function withoutComments() {
  return {
    name: "without-comments",
    setup({ onLoad }) {
      onLoad({ filter: /\/node_modules\/.*\.js$/ }, async ({ path }) => {
        const { code } = await transform(readFileSync(path, "utf8"), { minifyWhitespace: true, legalComments: "none" });
        return { contents: code };
      });
    },
  };
}

function late() {
  return {
    name: "late",
    setup({ onResolve, onLoad }) {
      onResolve({ filter: new RegExp(`^(${LATE.join("|")})$`) }, ({ path, namespace }) =>
        namespace === "late" ? { path, external: true } : { path, namespace: "late" },
      );
      onLoad({ filter: /.*/, namespace: "late" }, async ({ path }) => {
        const names = Object.keys(await import(path)).filter((name) => name !== "default");
        const getter = (name) => `  get ${name}() { return require("${path}").${name}; },`;
        return { contents: ["module.exports = {", ...names.map(getter), "};"].join("\n") };
      });
    },
  };
}

/** The licenses of the bundled packages, which must be distributed with them. */
function licenses(inputs) {
  const names = Object.keys(inputs).map((path) => /^node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(path)?.[1]);
  const packages = [...new Set(names)].filter((name) => name !== undefined);
  const other = packages.find((name) => !(name in manifest.dependencies));
  if (other !== undefined) throw new Error(`the commands must not contain ${other}: it is not among the dependencies`);
  const texts = packages.map((name) => {
    const { version } = JSON.parse(readFileSync(`node_modules/${name}/package.json`, "utf8"));
    const file = readdirSync(`node_modules/${name}`).find((one) => /^licen[cs]e/i.test(one));
    if (file === undefined) throw new Error(`${name} has no license file`);
    return `${name} ${version}\n\n${readFileSync(`node_modules/${name}/${file}`, "utf8").trim()}\n`;
  });
  return `The commands in this folder contain:\n\n${texts.join("\n")}`;
}
