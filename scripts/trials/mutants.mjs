// Mutation testing: changes one thing at a time in the emitted JavaScript, such as < to <= or a block left out. A unit
// test that reaches it must fail; if none does, a test is missing or the code is not needed.
//
//     node scripts/trials/mutants.mjs [--out REPORT.jsonl] [--every N] [--near] [--with PART=TEST ...] [PART ...]
//
// A PART is a folder or file below dist, without its extension: tunnel, protocol/key-ring. Stryker's instrumenter
// builds in all mutants of a part at once, and an environment variable selects one, so that nothing is compiled per
// mutant. --every N tries each Nth only, and 0 those in the report. The unit tests of the same folder run first; the
// others run for mutants that survive those, except with --near. --with net/dial=integration/limits runs a test of the
// commands for the mutants of a part that no unit test has killed. Mutants already in the report are skipped, so an
// interrupted run can continue.
//
// The instrumenter is installed from the npm registry into its own folder. Run `npm run build` first. Mutants of
// messages are left out. For the crates: `cargo mutants -p spiped-core`, with .cargo/mutants.toml.

import { spawn, spawnSync } from "node:child_process";
import {
  appendFileSync,
  cpSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { countOf, parseArguments, refuse } from "../support/arguments.mjs";
import { cleanUpAtExit, removeAtExit } from "../support/processes.mjs";

const INSTRUMENTER = "@stryker-mutator/instrumenter@9.6.1";
/** A mutant that takes this many times as long as the unmutated tests counts as timed out. */
const PATIENCE = 5;
const LEAST_PATIENCE_MS = 20_000;

const { values, positionals } = parseArguments({
  allowPositionals: true,
  options: {
    out: { type: "string" },
    every: { type: "string", default: "1" },
    near: { type: "boolean", default: false },
    with: { type: "string", multiple: true, default: [] },
  },
});
const root = fileURLToPath(new URL("../../", import.meta.url));
const every = values.every === "0" ? 0 : countOf("--every", values.every);
const parts = positionals.length > 0 ? positionals : ["protocol", "tunnel"];
const missing = parts.filter(
  (part) => !existsSync(join(root, "src", part)) && !existsSync(join(root, `src/${part}.ts`)),
);
if (missing.length > 0)
  refuse(`there is no folder or module ${missing.join(", ")} in src; write "tunnel" or "tunnel/pump"`);
cleanUpAtExit();
const place = mkdtempSync(join(tmpdir(), "spiped-mutants-"));
removeAtExit(place);

const { createInstrumenter, createInjector } = await loadInstrumenter();
copyTree();
const mutants = await instrument(filesOf(parts));
const results = knownResults();
const chosen = mutants.filter((mutant, index) => results.has(keyOf(mutant)) || (every > 0 && index % every === 0));
const isNew = (mutant) => !results.has(keyOf(mutant));
const near = chosen.some(isNew) || !values.near ? await measure(testsOf(isNear)) : [];
for (const mutant of chosen.filter(isNew)) await tryOut(mutant, near, "near");
if (!values.near) {
  const passed = chosen.filter((mutant) => !["killed", "timeout"].includes(resultOf(mutant).status));
  const left = passed.filter((mutant) => resultOf(mutant).tests === "near");
  const far =
    left.length === 0 ? [] : await measure(testsOf((path) => near.every((test) => !test.path.endsWith(path))));
  for (const mutant of left) await tryOut(mutant, far, "all");
}
if (values.with.length > 0) await tryWithCommands();
for (const { status, where, what } of chosen.map(resultOf)) {
  if (status !== "killed") console.log(`${status.padEnd(9)} ${where}: ${what}`);
}
printFigures();

async function loadInstrumenter() {
  const folder = join(place, "instrumenter");
  const args = ["install", "--prefix", folder, "--no-audit", "--no-fund", "--ignore-scripts", "--silent", INSTRUMENTER];
  if (spawnSync("npm", args, { stdio: "inherit" }).status !== 0) throw new Error(`cannot install ${INSTRUMENTER}`);
  const load = (path) => import(pathToFileURL(join(folder, "node_modules", path)).href);
  return {
    ...(await load("@stryker-mutator/instrumenter/dist/src/index.js")),
    ...(await load("typed-inject/dist/src/index.js")),
  };
}

/** What tests need of the tree; the instrumented files must not be the tree's own. */
function copyTree() {
  for (const name of ["dist", "build/test", "package.json", "bin", "src", "test", "scripts"]) {
    cpSync(join(root, name), join(place, "tree", name), { recursive: true });
  }
  for (const name of ["node_modules", "native", "crates", "man", "completions", "docs", "DESIGN.md", "README.md"]) {
    symlinkSync(join(root, name), join(place, "tree", name));
  }
}

function filesOf(wanted) {
  const dist = join(place, "tree/dist");
  const all = readdirSync(dist, { recursive: true }).filter((path) => path.endsWith(".js"));
  const files = all.filter((path) => wanted.some((part) => path === `${part}.js` || path.startsWith(`${part}/`)));
  if (files.length === 0) throw new Error(`there is nothing in dist for ${wanted.join(" ")}`);
  return files.sort().map((path) => join(dist, path));
}

/** Instruments all mutants. */
async function instrument(paths) {
  const quiet = () => undefined;
  const logger = { debug: quiet, info: quiet, warn: console.warn, isDebugEnabled: () => false };
  const instrumenter = createInjector().provideValue("logger", logger).injectFunction(createInstrumenter);
  const { files, mutants: made } = await instrumenter.instrument(
    paths.map((name) => ({ name, mutate: true, content: readFileSync(name, "utf8") })),
    { plugins: null, ignorers: [], excludedMutations: ["StringLiteral"] },
  );
  for (const { name, content } of files) writeFileSync(name, content);
  const placed = made.filter(({ status }) => status !== "Ignored");
  return placed.map(({ id, fileName, location, mutatorName, replacement }) => ({
    id,
    where: `${relative(join(place, "tree"), fileName)}:${location.start.line + 1}:${location.start.column + 1}`,
    what: `${mutatorName}: ${oneLine(replacement)}`,
  }));
}

function oneLine(text) {
  return text.replaceAll(/\s+/g, " ").slice(0, 120);
}

function testsOf(isWanted) {
  const folder = join(place, "tree/build/test/unit");
  const paths = readdirSync(folder, { recursive: true }).filter((path) => path.endsWith(".test.js"));
  return paths.filter((path) => path !== "imports.test.js" && isWanted(path)).map((path) => join(folder, path));
}

/** Runs each test once, and records which mutants it reaches and how long it takes. @param all - Takes it for all. */
async function measure(paths, all = false) {
  const preload = join(place, "reached.mjs");
  writeFileSync(
    preload,
    `import { writeFileSync } from "node:fs";
const isMain = process.env.REACHED_BY === String(process.ppid);
process.on("exit", () => {
  const reached = Object.keys(globalThis.__stryker__?.mutantCoverage?.static ?? {});
  if (isMain) writeFileSync(process.env.REACHED, JSON.stringify(reached));
});\n`,
  );
  const reachedFile = join(place, "reached.json");
  const measured = [];
  for (const path of paths) {
    const startedAt = performance.now();
    const env = { REACHED: reachedFile, REACHED_BY: String(process.pid) };
    const outcome = await run(path, 600_000, env, ["--import", preload]);
    if (outcome !== "passed") {
      console.warn(`left out, since it fails without a mutant: ${relative(join(place, "tree"), path)}`);
      continue;
    }
    const reached = new Set(all ? mutants.map(({ id }) => id) : JSON.parse(readFileSync(reachedFile, "utf8")));
    if (reached.size > 0) measured.push({ path, reached, tookMs: performance.now() - startedAt });
  }
  return measured.sort((a, b) => a.tookMs - b.tookMs);
}

/** Runs one test file in a process of its own. */
function run(path, limitMs, env, args = []) {
  const child = spawn(process.execPath, [...args, path], {
    cwd: join(place, "tree"),
    env: { ...process.env, ...env },
    stdio: "ignore",
    detached: true,
  });
  return new Promise((resolve) => {
    const end = (outcome) => {
      clearTimeout(timer);
      try {
        process.kill(-child.pid, "SIGKILL");
      } catch {
        // The mutant removed everything.
      }
      resolve(outcome);
    };
    const timer = setTimeout(() => end("timeout"), limitMs);
    child.once("exit", (status) => end(status === 0 ? "passed" : "failed"));
  });
}

/** @param scope - Which tests these are, for the report. */
async function tryOut(mutant, tests, scope) {
  const reaching = tests.filter(({ reached }) => reached.has(mutant.id));
  const wasReached = results.get(keyOf(mutant))?.status === "survived" || reaching.length > 0;
  let status = wasReached ? "survived" : "unreached";
  let by;
  for (const { path, tookMs } of reaching) {
    const limitMs = Math.max(LEAST_PATIENCE_MS, PATIENCE * tookMs);
    const outcome = await run(path, limitMs, { __STRYKER_ACTIVE_MUTANT__: mutant.id });
    if (outcome === "passed") continue;
    status = outcome === "timeout" ? "timeout" : "killed";
    by = relative(join(place, "tree/build"), path);
    break;
  }
  const result = { where: mutant.where, what: mutant.what, status, tests: scope, by };
  results.set(keyOf(mutant), result);
  if (values.out !== undefined) appendFileSync(values.out, `${JSON.stringify(result)}\n`);
}

/** Whether a test is of the same folder as a part. */
function isNear(path) {
  return parts.some((part) => path.startsWith(`${part.split("/")[0]}/`));
}

/** Runs the tests of --with. The commands they start have the mutants too. */
async function tryWithCommands() {
  const bundled = spawnSync(process.execPath, ["scripts/build-commands.mjs", "dist"], {
    cwd: join(place, "tree"),
    stdio: "inherit",
  });
  if (bundled.status !== 0) throw new Error("the commands cannot be bundled");
  const wide = values.with.map((text) => {
    const [part, test] = text.split("=");
    return { part, path: join(place, "tree/build/test", `${test}.test.js`) };
  });
  const paths = [...new Set(wide.map(({ path }) => path))];
  // Which mutants a command reaches is not known.
  const measured = await measure(paths, true);
  const left = chosen.filter((mutant) => ["survived", "unreached"].includes(resultOf(mutant).status));
  for (const mutant of left.filter((one) => resultOf(one).tests !== "commands")) {
    const own = wide.filter(({ part }) => mutant.where.startsWith(`dist/${part}`)).map(({ path }) => path);
    const tests = measured.filter(({ path }) => own.includes(path));
    if (tests.length > 0) await tryOut(mutant, tests, "commands");
  }
}

function resultOf(mutant) {
  return results.get(keyOf(mutant));
}

function keyOf({ where, what }) {
  return `${where} ${what}`;
}

function knownResults() {
  if (values.out === undefined || !existsSync(values.out)) return new Map();
  const lines = readFileSync(values.out, "utf8").split("\n").filter(Boolean);
  return new Map(lines.map((line) => JSON.parse(line)).map((result) => [keyOf(result), result]));
}

function printFigures() {
  const statuses = ["killed", "timeout", "survived", "unreached"];
  const all = chosen.map(resultOf);
  const folders = [...new Set(all.map(({ where }) => where.split("/").slice(0, -1).join("/")))];
  console.log(`\n| folder | mutants | ${statuses.join(" | ")} |`);
  console.log(`| --- | ${["mutants", ...statuses].map(() => "--:").join(" | ")} |`);
  for (const folder of folders) {
    const own = all.filter(({ where }) => where.startsWith(`${folder}/`));
    const counts = statuses.map((status) => own.filter((result) => result.status === status).length);
    console.log(`| ${folder} | ${[own.length, ...counts].join(" | ")} |`);
  }
}
