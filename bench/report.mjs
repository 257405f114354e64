// Prints results as Markdown tables, and writes docs/benchmarks.md with its charts.

import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { basename } from "node:path";
import { fileURLToPath } from "node:url";
import { charts } from "./chart.mjs";

const DOCS = new URL("../docs/", import.meta.url);
const BEGIN = "<!-- results: written by npm run bench -->";
/** With fewer rounds, the result is marked as not to be relied on. */
const FULL_ROUNDS = 5;
const END = "<!-- end of results -->";

/** Groups of the large table: a heading, and the prefix of its figures' ids. */
const GROUPS = [
  ["Bulk throughput", (id) => /^bulk.*\.megabytesPerSecond$/.test(id)],
  ["CPU time, threads and memory of bulk", (id) => id.startsWith("bulk")],
  ["New connections: connect, handshake, one byte there and back", (id) => id.startsWith("connections")],
  ["Latency", (id) => id.startsWith("ping-pong") || id.startsWith("requests")],
  ["A metrics load", (id) => id.startsWith("lines")],
  ["Memory of connections whose reader takes nothing", (id) => id.startsWith("stalled")],
  ["Memory of idle connections", (id) => id.startsWith("idle")],
  ["Start", (id) => id.startsWith("start")],
  ["Framing alone, through the addon, one core", (id) => id.startsWith("framing")],
];

/** Everything as Markdown. */
export function tables(results) {
  return [about(results), goals(results), ...groups(results), failures(results)].filter(Boolean).join("\n\n");
}

/** Writes results as JSON. */
export function writeResults(file, results) {
  const short = (_, value) => (typeof value === "number" ? Number(value.toPrecision(6)) : value);
  writeLaidOut(file, JSON.stringify(results, short, 2));
}

/** Writes a file and formats it in the project's style. */
function writeLaidOut(file, text) {
  const biome = fileURLToPath(new URL("../node_modules/.bin/biome", import.meta.url));
  writeFileSync(file, execFileSync(biome, ["format", `--stdin-file-path=${basename(file)}`], { input: text }));
}

/** Writes results.json, the charts, and the part of benchmarks.md between the markers. */
export function writeDocs(results) {
  mkdirSync(new URL("benchmarks/", DOCS), { recursive: true });
  writeResults(fileURLToPath(new URL("benchmarks/results.json", DOCS)), results);
  const drawn = charts(results);
  for (const { file, svg } of drawn) writeFileSync(new URL(`benchmarks/${file}`, DOCS), svg);
  const pictures = drawn.map(({ file, title }) => `![${title}](benchmarks/${file})`).join("\n\n");

  const page = fileURLToPath(new URL("benchmarks.md", DOCS));
  const text = readFileSync(page, "utf8");
  const [before, rest] = text.split(BEGIN);
  const after = rest?.split(END)[1];
  if (after === undefined) throw new Error(`docs/benchmarks.md has no ${BEGIN} … ${END}`);
  const [head, ...detailed] = [about(results), goals(results), pictures, ...groups(results), failures(results)];
  writeLaidOut(page, `${before}${BEGIN}\n\n${[head, ...detailed].filter(Boolean).join("\n\n")}\n\n${END}${after}`);
}

function about({ machine, versions, commit, date, loadBefore, rounds, quick, minutes, goals }) {
  const programs = Object.entries(versions).map(([name, version]) => `${name} ${version}`);
  const doubts = [
    ...(quick ? ["a quick run, which measures less"] : []),
    ...(rounds < FULL_ROUNDS ? [`fewer than ${FULL_ROUNDS} rounds`] : []),
    ...(goals.some(({ id, median }) => id.startsWith("framing") && median < 1)
      ? ["sealing alone is slower than C's, as without optimization at link time: build without CARGO_PROFILE_… set"]
      : []),
    ...(loadBefore > machine.cores / 4 ? [`the machine was busy: load ${loadBefore} before the run`] : []),
  ];
  return [
    `- **Machine:** ${machine.processor}, ${machine.cores} cores, ${machine.memoryGigabytes} GB, ${machine.system}`,
    `- **Programs:** ${programs.join(", ")}`,
    `- **Run:** commit \`${commit}\`, ${date}, ${rounds} ${rounds === 1 ? "round" : "rounds"} in ${minutes} minutes`,
    ...(doubts.length > 0 ? [`- **Not to be relied on:** ${doubts.join("; ")}`] : []),
  ].join("\n");
}

function goals({ goals, cFramingMegabytes }) {
  if (goals.length === 0) return "";
  const rows = goals.map(({ title, unit, atLeast, atMost, met, ...measured }) => {
    const digits = unit.startsWith("×") || unit === "cores" ? 2 : 0;
    const limit = atLeast === undefined ? `≤ ${atMost.toLocaleString("en")}` : `≥ ${atLeast}`;
    const row = [title, `${limit} ${unit}`];
    if (measured.median === undefined) return [...row, "", "**failed**"];
    return [...row, `${spread(measured, digits)} ${unit}`, met ? "met" : "**not met**"];
  });
  const note = goals.some(({ id }) => id.startsWith("framing"))
    ? `\n\nFor framing alone, C's packet encryption counts as ${cFramingMegabytes} MB/s.`
    : "";
  return `### Goals\n\n${table(["figure", "goal", "measured (least–most of the rounds)", ""], rows)}${note}`;
}

function groups({ figures, names }) {
  const left = new Set(figures);
  return GROUPS.flatMap(([heading, belongs]) => {
    const members = [...left].filter(({ id }) => belongs(id));
    for (const member of members) left.delete(member);
    if (members.length === 0) return [];
    const kinds = Object.keys(names).filter((kind) => members.some((figure) => figure.kinds[kind] !== undefined));
    const ratios = members.some((figure) => figure.ratio !== undefined);
    const rows = members.map(({ title, unit, digits, kinds: measured, ratio }) => [
      `${title}, ${unit}`,
      ...kinds.map((kind) => spread(measured[kind], digits)),
      ...(ratios ? [spread(ratio, 2)] : []),
    ]);
    const head = ["", ...kinds.map((kind) => names[kind]), ...(ratios ? ["ours ÷ C"] : [])];
    return [`### ${heading}\n\n${table(head, rows)}`];
  });
}

function failures({ failures }) {
  return failures.length === 0 ? "" : `### What failed\n\n${failures.map((one) => `- ${one}`).join("\n")}`;
}

/** The median, with the smallest and largest in brackets. */
function spread(measured, digits) {
  if (measured?.median === undefined) return "";
  const show = (one) => one.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits });
  const { median, min, max } = measured;
  return show(min) === show(max) ? show(median) : `${show(median)} (${show(min)}–${show(max)})`;
}

function table(head, rows) {
  const line = (cells) => `| ${cells.join(" | ")} |`;
  return [line(head), line(head.map((_, column) => (column === 0 ? "---" : "---:"))), ...rows.map(line)].join("\n");
}
