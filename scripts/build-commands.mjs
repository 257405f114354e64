// Makes the commands of what src/cli has: dist/commands/, three files instead of eighty, since a start pays for each file
// that it looks for, opens and compiles. bin/ loads them, in a checkout and as published.
//
// early-signals.cjs is a file of its own, so that signals are heard before anything else is loaded; toml.cjs, because most
// starts have no --config. CommonJS, because Node.js starts it sooner than ES modules. Names and lines stay, for whoever reads a stack.

import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { build, transform } from "esbuild";

const FOLDER = "dist/commands";

/** Parts of Node.js that a tunnel does without: loaded when something of theirs is first asked for. */
const LATE = ["node:child_process", "node:crypto", "node:http"];

process.chdir(fileURLToPath(new URL("..", import.meta.url)));
const manifest = JSON.parse(readFileSync("package.json", "utf8"));

const { metafile } = await build({
  entryPoints: ["cli/early-signals", "cli/commands", "flags/toml"].map((path) => ({
    in: `src/${path}.ts`,
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
writeFileSync(`${FOLDER}/LICENSE.third-party.txt`, licences(metafile.inputs));

/** What is in a file of its own is loaded from there. What is heard early is kept in the module that hears it. */
function ownFiles() {
  return {
    name: "own-files",
    setup({ onResolve }) {
      onResolve({ filter: /^\.[^"]*\/(early-signals|toml)\.js$/ }, ({ path }) => ({
        path: `./${path.replace(/.*\//, "").replace(/\.js$/, ".cjs")}`,
        external: true,
      }));
    },
  };
}

/** Other people's code without its comments, which are a third of it. */
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

/** The licences of the packages that went into the commands, which ask to go with them. */
function licences(inputs) {
  const names = Object.keys(inputs).map((path) => /^node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(path)?.[1]);
  const packages = [...new Set(names)].filter((name) => name !== undefined);
  const other = packages.find((name) => !(name in manifest.dependencies));
  if (other !== undefined) throw new Error(`the commands may not contain ${other}: it is no dependency of theirs`);
  const texts = packages.map((name) => {
    const { version } = JSON.parse(readFileSync(`node_modules/${name}/package.json`, "utf8"));
    const file = readdirSync(`node_modules/${name}`).find((one) => /^licen[cs]e/i.test(one));
    if (file === undefined) throw new Error(`${name} comes without its licence`);
    return `${name} ${version}\n\n${readFileSync(`node_modules/${name}/${file}`, "utf8").trim()}\n`;
  });
  return `The commands in this folder contain:\n\n${texts.join("\n")}`;
}
