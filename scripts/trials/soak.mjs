// An hour of mixed load with churn through a near and a far spiped, each with many tunnels, a status address, a JSON
// log and changing keys. Checks that no resource grows, every byte arrives, every connection ends as it must, and the
// log and the metrics account for each. Writes a chart and its data. Linux only, as root: only root can read the memory
// of a process that may not be traced.
//
//     node scripts/trials/soak.mjs [MINUTES] [--out FOLDER] [--seed NUMBER] [--snapshots]
//     node scripts/trials/soak.mjs --rounds 1                 every kind of load that many times
//     node scripts/trials/soak.mjs MINUTES --original PROGRAM  the load alone, through the C original; prints differences

import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { countOf, parseArguments, refuse } from "../support/arguments.mjs";
import { cleanUpAtExit, removeAtExit } from "../support/processes.mjs";
import { configurationOf, layOut } from "./soak/configuration.mjs";
import { End, until, writeWhole } from "./soak/ends.mjs";
import { Load } from "./soak/load.mjs";
import { Operator } from "./soak/operator.mjs";
import { BEYOND_IT, OriginalEnd } from "./soak/original.mjs";
import { report } from "./soak/report.mjs";
import { Ledger } from "./soak/traffic.mjs";

const SAMPLE_MS = 5_000;
const LONG_MS = 2 ** 31 - 1;

const { values: options, positionals } = parseArguments({
  allowPositionals: true,
  options: {
    out: { type: "string" },
    seed: { type: "string" },
    rounds: { type: "string" },
    snapshots: { type: "boolean" },
    original: { type: "string" },
  },
});
const minutes = Number(positionals[0] ?? 60);
if (!(minutes > 0)) refuse(`the time is a number of minutes, not ${JSON.stringify(positionals[0])}`);
const rounds = options.rounds === undefined ? undefined : countOf("--rounds", options.rounds);
const isWhole = rounds === undefined;
const seed = Number(options.seed ?? Date.now() % 1e6);
if (process.platform !== "linux" || process.getuid() !== 0) {
  console.error("the soak needs Linux and root: only root can read spiped's memory figures");
  process.exit(2);
}

cleanUpAtExit();
const folder = mkdtempSync(join(tmpdir(), "spiped-soak-"));
// The original differs in a few ways, each many times.
const ledger = new Ledger({ inKinds: options.original !== undefined });
const layout = await layOut(folder);
const program = options.original;
const endOf = (name) =>
  program === undefined
    ? new End({ name, folder, status: layout.status[name], ledger })
    : new OriginalEnd({ program, name, layout });
const ends = Object.fromEntries(["near", "far"].map((name) => [name, endOf(name)]));
const load = new Load({ ledger, layout, ends, seed });
const operator = new Operator({ layout, ends, ledger, load });
const others = isWhole
  ? { operator: (round) => operator.round(round) }
  : { operator: (round) => (round === 0 ? operator.all() : undefined) };
if (program !== undefined) for (const beyond of BEYOND_IT) others[beyond] = () => load.pause(LONG_MS);

await load.listen();
for (const name of ["far", "near"]) {
  if (program === undefined) writeWhole(ends[name].config, configurationOf(name, layout));
  await ends[name].start(join(folder, `${name}.log`));
}

const atStart = await quiet(undefined);

// By then everything that is loaded, compiled and kept once is there.
const warmUpMinutes = isWhole ? Math.min(6, minutes / 5) : 0;
const rows = [];
let loadedMs = 0;
const cpuAtBegin = process.cpuUsage();
if (isWhole) await during(warmUpMinutes);
const before = isWhole ? await quiet(atStart) : atStart;
const warmUntil = loadedMs / 1_000;
await during(minutes - warmUpMinutes);
const loadSeconds = loadedMs / 1_000;
const cpu = process.cpuUsage(cpuAtBegin);
const after = await quiet(before);

if (program === undefined) for (const name of ["near", "far"]) await account(name);
for (const name of ["near", "far"]) await ends[name].stop();
if (program === undefined) for (const name of ["near", "far"]) checkLog(name);

if (options.out !== undefined) {
  mkdirSync(options.out, { recursive: true });
  writeFileSync(
    join(options.out, "soak.json"),
    JSON.stringify({ rows, warmUntil, loadSeconds, atStart, before, after }),
  );
}
const judged = report({
  rows,
  warmUntil,
  loadSeconds,
  atStart,
  before,
  after,
  ledger,
  operator,
  ends,
  isWhole,
  generatorPercent: (cpu.user + cpu.system) / 1e4 / loadSeconds,
});
if (options.out !== undefined) {
  writeFileSync(join(options.out, "soak.csv"), judged.csv);
  writeFileSync(join(options.out, "soak.svg"), judged.svg);
}
console.log(judged.text);
console.log(`seed ${seed}; ${execFileSync("nproc", { encoding: "utf8" }).trim()} cores, Node ${process.version}`);
if (ledger.failures.size === 0 && !options.snapshots) removeAtExit(folder);
else console.log(`the logs are in ${folder}`);
for (const [text, times] of ledger.failures)
  console.log(`${program === undefined ? "FAILED" : "DIFFERS"}${times > 1 ? `, ${times} times` : ""}: ${text}`);
process.exit(ledger.failures.size === 0 ? 0 : 1);

/** Runs the load for a time or a number of rounds, and takes samples. */
async function during(time) {
  const begun = performance.now();
  const end = begun + time * 60_000;
  const loading = load.run(others, rounds);
  if (isWhole) {
    await Promise.all([ends.near.sample(), ends.far.sample()]);
    while (performance.now() < end) {
      await sleep(Math.min(SAMPLE_MS, Math.max(1_000, end - performance.now())));
      const [near, far] = await Promise.all([ends.near.sample(), ends.far.sample()]);
      const connections = [...ledger.connections.values()].reduce((sum, count) => sum + count, 0);
      rows.push({
        seconds: (loadedMs + performance.now() - begun) / 1_000,
        near,
        far,
        connections,
        bytes: ledger.bytes,
      });
    }
    load.stop();
  }
  await loading;
  loadedMs += performance.now() - begun;
}

/**
 * Samples both ends at rest.
 *
 * @param base The state before the load; descriptors, threads and what keeps the event loop alive must be the same.
 */
async function quiet(base) {
  await until("all services to be done", () => load.served === 0);
  if (ledger.unaccounted > 0) ledger.fail(`${ledger.unaccounted} connections that only one side reported`);
  const found = {};
  for (const [name, end] of Object.entries(ends)) {
    await until(`the ${name} end to have no connection`, async () => {
      const { tunnels } = JSON.parse(await end.ask("/status"));
      return tunnels.every(({ connections: { open, strangers } }) => open + strangers === 0);
    });
    const isAsBefore = () => end.outside().descriptors === base[name].descriptors;
    if (base !== undefined) {
      await until("the descriptors", isAsBefore).catch(() => {
        const { descriptors } = base[name];
        ledger.fail(
          `the ${name} end has ${end.outside().descriptors} descriptors instead of ${descriptors}: ${end.descriptors()}`,
        );
      });
    }
    found[name] = { ...(await end.inside({ collect: true, keepSnapshot: options.snapshots })), ...end.outside() };
    if (base === undefined || base === atStart) continue;
    // Something may still be in progress.
    const resourcesAreAsBefore = async () => String((await end.inside()).resources) === String(base[name].resources);
    await until("what keeps the event loop alive", resourcesAreAsBefore).catch(() => {
      ledger.fail(`the ${name} end had these active resources: ${base[name].resources}; now: ${found[name].resources}`);
    });
  }
  return found;
}

/** Compares the metrics' end reasons of all connections with the trial's. */
async function account(name) {
  const counted = new Map();
  for (const [sample, value] of await ends[name].metrics()) {
    const [, tunnel, reason] = /^spiped_connections_ended_total\{tunnel="([^"]*)",reason="([^"]*)"/.exec(sample) ?? [];
    if (tunnel === undefined || value === 0) continue;
    const what = `${name} ${tunnel} ${reason}`;
    counted.set(what, (counted.get(what) ?? 0) + value);
  }
  for (const what of new Set([...counted.keys(), ...ledger.expected.keys()])) {
    if (!what.startsWith(`${name} `)) continue;
    const [has, must] = [counted.get(what) ?? 0, ledger.expected.get(what) ?? 0];
    if (has !== must) ledger.fail(`ended connections, ${what}: ${has} in the metrics instead of ${must}`);
  }
}

/** The log has each failure, as a message of its own or in a summary. */
function checkLog(name) {
  const { failures, events } = ends[name];
  for (const [what, must] of ledger.expected) {
    if (!what.startsWith(`${name} `) || what.endsWith(" closed")) continue;
    const has = failures.get(what.slice(name.length + 1)) ?? 0;
    if (has !== must) ledger.fail(`ended connections, ${what}: ${has} in the log instead of ${must}`);
  }
  for (const what of failures.keys()) {
    if (!ledger.expected.has(`${name} ${what}`)) ledger.fail(`the log of the ${name} end has failures of ${what}`);
  }
  const kept = events.get("config-kept") ?? 0;
  if ((events.get("config-mistake") ?? 0) < kept)
    ledger.fail(`the ${name} end kept its old file although the new one has no mistake`);
}
