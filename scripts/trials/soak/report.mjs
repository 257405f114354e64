// The results of the soak: the verdict, the table, the data and the chart.

import { seriesChart } from "../../support/series-chart.mjs";
import { judge, median } from "./flatness.mjs";

/** What is charted and written to the file. */
const SERIES = [
  { id: "anonymousMb", digits: 1, title: "memory of its own, MB" },
  { id: "heapMb", digits: 1, title: "JavaScript heap, garbage with it, MB" },
  { id: "descriptors", digits: 0, title: "descriptors" },
  { id: "threads", digits: 0, title: "threads" },
  { id: "connections", digits: 0, title: "open connections" },
  { id: "turnMicros", digits: 0, title: "CPU time of a turn of the event loop, µs" },
  { id: "delayMs", digits: 2, title: "how late timers were, ms: on a machine that others use too" },
  { id: "queuedPercent", digits: 1, title: "time in which its event loop waited for a processor, %" },
  { id: "cpuPercent", digits: 1, title: "CPU time, % of a core" },
];
const ALSO_WRITTEN = ["rssMb", "externalMb", "loopPercent"];

/**
 * What must not grow, the tolerance for each, and why.
 *
 * - Memory: V8 lets some megabytes of garbage accumulate, and its heap grows and shrinks by pages. Over an hour, 4 MB
 *   would be some 60 bytes for each connection.
 * - An event-loop turn: shared caches and the processor's frequency make CPU time vary by a tenth.
 */
const MUST_BE_FLAT = [
  { id: "anonymousMb", most: (_, more) => 4 * more },
  { id: "nativeMb", most: () => 3 },
  { id: "heapMb", most: (_, more) => 3 * more },
  { id: "externalMb", most: () => 1 },
  { id: "connections", most: () => 10 },
  { id: "turnMicros", most: (first) => first * 0.2 },
];

/**
 * How much the objects in the heap may grow at rest. Compiled code does not count: V8 goes on optimizing for hours. In an
 * hour this is 1 to 2 bytes for each connection.
 */
const MOST_OBJECTS_MB = 0.15;
/** In a short run V8 is still growing its heap and compiling, so such a run only finds large leaks. */
const SHORT_MINUTES = 30;
const SHORT_MORE = 3;
/** A shorter run has too few samples to judge. */
const LEAST_ROWS = 24;

/** Judges, and writes everything. */
export function report(run) {
  const { rows, warmUntil, isWhole } = run;
  const steady = rows.filter(({ seconds }) => seconds > warmUntil);
  const table = [];
  for (const name of ["near", "far"]) {
    compareQuiet(name, run, table);
    if (isWhole) compareHeaps(name, run, table);
    if (isWhole && steady.length >= LEAST_ROWS) judgeSeries(name, steady, run, table);
  }
  return { csv: csvOf(rows), svg: chartOf(rows, warmUntil), text: textOf(run, table) };
}

/** At rest, everything must be as it was before. */
function compareQuiet(name, { atStart, before, after, ledger }, table) {
  for (const what of ["descriptors", "threads"]) {
    const [base, last] = [before[name][what], after[name][what]];
    if (last !== base) ledger.fail(`the ${name} end had ${base} ${what}, and has ${last} at the end`);
    table.push([`${name}: ${what} at rest: start, after the warm-up, end`, `${atStart[name][what]}, ${base}, ${last}`]);
  }
}

function compareHeaps(name, { before, after, ledger, loadSeconds }, table) {
  const [objectsBefore, objectsAfter] = [before, after].map((moment) => moment[name].objectBytes / 1e6);
  if (objectsAfter - objectsBefore > MOST_OBJECTS_MB * (isShort(loadSeconds) ? SHORT_MORE : 1)) {
    ledger.fail(
      `the ${name} end's heap has ${objectsAfter.toFixed(2)} MB of objects, and had ${objectsBefore.toFixed(2)}`,
    );
  }
  for (const [what, of] of [
    ["objects in the heap, without compiled code", ({ objectBytes }) => objectBytes],
    ["whole heap", ({ heapUsed }) => heapUsed],
    ["memory outside it", ({ external }) => external],
  ]) {
    const [first, last] = [before, after].map((moment) => (of(moment[name]) / 1e6).toFixed(2));
    table.push([`${name}: ${what}, MB, after a collection: after the warm-up, end`, `${first}, ${last}`]);
  }
}

function isShort(loadSeconds) {
  return loadSeconds < SHORT_MINUTES * 60;
}

function judgeSeries(name, steady, { ledger, loadSeconds }, table) {
  const times = steady.map(({ seconds }) => seconds);
  const more = isShort(loadSeconds) ? SHORT_MORE : 1;
  for (const { id, most } of MUST_BE_FLAT) {
    const values = steady.map((row) => row[name][id]);
    if (values[0] === undefined) continue; // not measured for the original
    const allowed = most(median(values), more);
    const { first, last, grown, isFlat } = judge(times, values, allowed);
    const words = `${first.toFixed(2)} in the first quarter, ${last.toFixed(2)} in the last, slope ${grown.toFixed(2)}, allowed ${allowed.toFixed(2)}`;
    if (!isFlat) ledger.fail(`the ${name} end's ${id} grows: ${words}`);
    table.push([`${name}: ${id}`, words]);
  }
  const delays = steady.map((row) => row[name].delayMs);
  const { first, last } = judge(times, delays, 0);
  table.push([
    `${name}: delayMs, which the rest of the machine makes`,
    `${first.toFixed(2)} in the first quarter, ${last.toFixed(2)} in the last`,
  ]);
}

function textOf({ ledger, operator, loadSeconds, warmUntil, generatorPercent, rows, ends }, table) {
  const kinds = [...ledger.connections].map(([what, count]) => `${count} ${what}`).join(", ");
  const all = [...ledger.connections.values()].reduce((sum, count) => sum + count, 0);
  const done = [...operator.done].map(([what, count]) => `${count} ${what}`).join(", ");
  const failures = Object.entries(ends).map(([name, { failures: found }]) => {
    return `${name} ${[...found.values()].reduce((sum, count) => sum + count, 0)}`;
  });
  const cpu =
    rows.length === 0
      ? []
      : ["near", "far"].map((name) => `${name} ${median(rows.map((row) => row[name].cpuPercent)).toFixed(1)} %`);
  return [
    `${(loadSeconds / 60).toFixed(1)} minutes of load, ${(warmUntil / 60).toFixed(1)} of them to warm up`,
    `${all} connections: ${kinds}`,
    `${(ledger.bytes / 1e6).toFixed(0)} MB compared; ${done}`,
    `connections that failed as they had to, each in the metrics and in the log: ${failures.join(", ")}`,
    ...(cpu.length === 0
      ? []
      : [`CPU of a core: ${cpu.join(", ")}, the programs on both sides ${generatorPercent.toFixed(1)} %`]),
    ...table.map(([what, figures]) => `${what}: ${figures}`),
  ].join("\n");
}

const ROWS = 360;

/** Combines neighboring samples into one row, by their median, so that the file stays small. */
function fewer(rows) {
  const step = Math.max(1, Math.ceil(rows.length / ROWS));
  const few = [];
  for (let at = 0; at < rows.length; at += step) few.push(rows.slice(at, at + step));
  return few;
}

function csvOf(rows) {
  const ids = [...SERIES.map(({ id }) => id), ...ALSO_WRITTEN];
  const heads = [
    "seconds",
    "connectionsMade",
    "bytes",
    ...["near", "far"].flatMap((name) => ids.map((id) => `${name}.${id}`)),
  ];
  const lines = fewer(rows).map((group) => {
    const last = group.at(-1);
    const values = ["near", "far"].flatMap((name) =>
      ids.map((id) => Number(median(group.map((row) => row[name][id])).toFixed(2))),
    );
    return [Math.round(last.seconds), last.connections, last.bytes, ...values].join(",");
  });
  return `${[heads.join(","), ...lines].join("\n")}\n`;
}

function chartOf(rows, warmUntil) {
  if (rows.length === 0) return "";
  const groups = fewer(rows);
  return seriesChart({
    title: "Soak: a near and a far spiped under mixed load",
    names: { near: "near end", far: "far end" },
    times: groups.map((group) => group.at(-1).seconds / 60),
    timeWord: "minutes",
    mark: { at: warmUntil / 60, word: "warm" },
    panels: SERIES.map(({ id, title, digits }) => ({
      title,
      digits,
      values: Object.fromEntries(
        ["near", "far"].map((name) => [name, groups.map((group) => median(group.map((row) => row[name][id])))]),
      ),
    })),
  });
}
