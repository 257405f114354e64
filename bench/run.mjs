// npm run bench: compares our two ends with the C original's and other programs', alternating in one run. See
// docs/benchmarks.md.

import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdirSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { countOf, parseArguments, refuse, refuseUnknown } from "../scripts/support/arguments.mjs";
import { cleanUpAtExit, removeAtExit } from "../scripts/support/processes.mjs";
import { circumstances } from "./machine.mjs";
import { kindsHere } from "./peers.mjs";
import { tables, writeDocs, writeResults } from "./report.mjs";
import { C_FRAMING_MEGABYTES, figuresOf, goalsOf, middleOf } from "./results.mjs";
import { scenarios } from "./scenarios/all.mjs";

/** The time limit of a quick run, so that it takes two minutes including the build. */
const QUICK_SECONDS = 105;

/** Rounds that also measure the other programs; no goal depends on them. */
const OTHERS_ROUNDS = 2;

const HELP = `npm run bench -- [options]

  --quick            less of everything; ends within two minutes and writes no files
  --rounds <n>       how often everything is measured (default: 5; with --quick: what time allows, at most 3)
  --only <text>      only scenarios whose name contains this, "bulk" say; writes no files
  --kinds <list>     only these, "ours,c" say
  --write            write docs/benchmarks.md, its charts and its results.json all the same
  --out <file>       write the results as JSON to this file, and nothing else
  --from <file>      measure nothing; show the results of this file
  --c <program>      the C original (default: spiped)
  --c-framing <MB/s> its packet encryption alone on this machine (default: ${C_FRAMING_MEGABYTES})`;

const { values: options } = parseArguments({
  options: {
    quick: { type: "boolean", default: false },
    rounds: { type: "string" },
    only: { type: "string" },
    kinds: { type: "string" },
    write: { type: "boolean" },
    out: { type: "string" },
    from: { type: "string" },
    c: { type: "string", default: "spiped" },
    "c-framing": { type: "string", default: String(C_FRAMING_MEGABYTES) },
    help: { type: "boolean", short: "h" },
  },
});

if (options.help) {
  console.log(HELP);
} else {
  const results = options.from === undefined ? await measureAll() : readResults(options.from);
  console.log(tables(results));
  const whole = !options.quick && options.only === undefined && options.kinds === undefined;
  if (options.out !== undefined) {
    mkdirSync(dirname(options.out), { recursive: true });
    writeResults(options.out, results);
  } else if (options.write ?? (whole && options.from === undefined)) {
    writeDocs(results);
  }
  if (results.failures.length > 0) process.exitCode = 1;
}

function readResults(file) {
  try {
    return JSON.parse(readFileSync(file, "utf8"));
  } catch (error) {
    return refuse(`--from takes a file that --out has written: ${error.message}`);
  }
}

async function measureAll() {
  if (process.platform !== "linux") refuse("the benchmark needs Linux");
  const chosen = scenarios(options.quick).filter((scenario) => scenario.id.includes(options.only ?? ""));
  if (chosen.length === 0) {
    refuse(`no scenario has "${options.only}" in its name; there are ${idsOf(scenarios(options.quick))}`);
  }
  const mostRounds = options.rounds === undefined ? (options.quick ? 3 : 5) : countOf("--rounds", options.rounds);
  cleanUpAtExit();
  const folder = mkdtempSync(join(tmpdir(), "spiped-bench-"));
  removeAtExit(folder);
  writeFileSync(join(folder, "key"), randomBytes(32), { mode: 0o600 });
  buildLoad();

  const here = kindsHere(folder, options.c);
  const wanted = options.kinds?.split(",") ?? here.map(({ id }) => id);
  refuseUnknown(
    "kind",
    wanted,
    here.map(({ id }) => id),
  );
  const kinds = here.filter(({ id }) => wanted.includes(id));
  const where = circumstances(kinds);
  const begun = performance.now();
  const samples = Object.fromEntries(chosen.map(({ id }) => [id, {}]));
  const failures = [];
  let rounds = 0;
  while (rounds < mostRounds && (options.rounds !== undefined || !options.quick || isTimeForAnother(rounds, begun))) {
    for (const scenario of chosen) {
      if (rounds < (scenario.atMostRounds ?? mostRounds)) await measureOne(scenario, rounds);
    }
    rounds += 1;
  }
  process.stderr.write("\n");
  const results = {
    ...where,
    rounds,
    quick: options.quick,
    minutes: Math.round((performance.now() - begun) / 6_000) / 10,
    names: Object.fromEntries(kinds.map(({ id, name }) => [id, name])),
    cFramingMegabytes: Number(options["c-framing"]),
    failures,
    figures: figuresOf(chosen, samples),
  };
  return { ...results, goals: goalsOf(results, chosen) };

  /** Runs one scenario for each kind, once or several times, alternating; the order changes each time. */
  async function measureOne(scenario, round) {
    const inTurn = kinds.filter(
      (kind) => scenario.kinds.includes(kind.id) && !(isOther(kind) && round >= OTHERS_ROUNDS),
    );
    const results = Object.fromEntries(inTurn.map(({ id }) => [id, []]));
    const times = scenario.timesARound ?? 1;
    for (let time = 0; time < times; time += 1) {
      for (const kind of (round + time) % 2 === 0 ? inTurn : inTurn.toReversed()) {
        const what = `${scenario.id}, ${kind.name}`;
        progress(`round ${round + 1} of ${mostRounds}: ${what}${times > 1 ? `, ${time + 1} of ${times}` : ""}`);
        try {
          results[kind.id].push(await scenario.run(kind));
        } catch (error) {
          // A failure is a result too, and does not stop the others.
          failures.push(`${what}, round ${round + 1}: ${error.message.replaceAll(folder, "…")}`);
        }
      }
    }
    for (const { id } of inTurn) {
      samples[scenario.id][id] ??= [];
      samples[scenario.id][id].push(results[id].length === 0 ? null : middleOf(results[id]));
    }
  }

  function progress(what) {
    const seconds = Math.round((performance.now() - begun) / 1_000);
    const [before, after] = process.stderr.isTTY ? ["\r\x1b[K", ""] : ["", "\n"];
    process.stderr.write(`${before}${seconds} s, ${what}${after}`);
  }
}

function idsOf(scenarios) {
  return scenarios.map(({ id }) => id).join(", ");
}

/** Whether a kind is neither ours nor the original. */
function isOther({ id }) {
  return !["ours", "uncoalesced", "operated", "c"].includes(id);
}

function isTimeForAnother(rounds, begun) {
  const secondsSoFar = (performance.now() - begun) / 1_000;
  return rounds === 0 || (secondsSoFar * (rounds + 1)) / rounds < QUICK_SECONDS;
}

function buildLoad() {
  execFileSync("cargo", ["build", "--release", "--quiet", "--locked", "--target-dir", "target"], {
    cwd: fileURLToPath(new URL("load", import.meta.url)),
    stdio: "inherit",
  });
}
