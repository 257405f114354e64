// Turns the values of all rounds into medians, spreads, ratios and goals: the contents of results.json.

/** C spiped's packet encryption alone, on the machine that the goals were set on; for another, pass `--c-framing`. */
export const C_FRAMING_MEGABYTES = 675;

/** Each goal: the figures it needs, the value computed from them, and its lower or upper limit. */
const GOALS = [
  ratio("bulk-1-forward.megabytesPerSecond", "bulk throughput, 1 connection", { atLeast: 3.3 }),
  ratio("bulk-1-forward.cpuBoth", "bulk CPU per GB", { atMost: 0.33 }),
  ratio("ping-pong-64.medianMicros", "64-byte ping-pong: median", { atMost: 1 }),
  ratio("ping-pong-64.p99Micros", "64-byte ping-pong: 99th percentile", { atMost: 1.3 }),
  ratio("lines-full-speed.linesPerSecond", "lines at full speed: rate", { atLeast: 1.5 }),
  ratio("lines-full-speed.cpuBoth", "lines at full speed: CPU", { atMost: 0.5 }),
  ratio("lines-full-speed.medianMillis", "lines at full speed: median age", { atMost: 0.5 }),
  ratio("lines-10000.cpuBoth", "lines at 10,000 a second: CPU", { atMost: 0.65 }),
  value("lines-10000.medianMicros", "lines at 10,000 a second: median age", "µs", { atMost: 1_000 }),
  value("lines-10000.p99Micros", "lines at 10,000 a second: 99th percentile", "µs", { atMost: 2_000 }),
  ratio("requests-beside-bulk.medianMillis", "requests next to 4 full-speed transfers: median", { atMost: 2 }),
  ratio("requests-beside-bulk.p99Millis", "requests next to 4 full-speed transfers: 99th percentile", { atMost: 2 }),
  ...[50, 100, 200].flatMap(stalledGoals),
  ratio("connections-32.connectionsPerSecond", "new connections, 32 at once: rate", { atLeast: 2 }),
  ratio("connections-32.cpuBoth", "new connections, 32 at once: CPU", { atMost: 0.9 }),
  ratio("connections-32-without-forward-secrecy.cpuBoth", "new connections with -f, warm: CPU", { atMost: 2.5 }),
  value("idle.largerMegabytes0", "memory at rest, larger end", "MB", { atMost: 50 }),
  value("idle.largerMegabytes1000", "memory with 1,000 idle connections, larger end", "MB", { atMost: 58 }),
  value("idle.largerMegabytes5000", "memory with 5,000 idle connections, larger end", "MB", { atMost: 85 }),
  value("start.beyondNode", "start to listening, beyond `node -e 0`", "ms", { atMost: 35 }),
  {
    ids: ["bulk-8-forward.cpuBoth", "bulk-1-forward.cpuBoth"],
    title: "bulk CPU per GB: 8 connections next to 1",
    unit: "× 1",
    of: ([eight, one]) => quotient(eight.kinds.ours, one.kinds.ours),
    atMost: 1.1,
  },
  operated("bulk-1-forward.megabytesPerSecond", "bulk throughput", { atLeast: 0.97 }),
  operated("ping-pong-64.medianMicros", "64-byte ping-pong: median", { atMost: 1.03 }),
  operated("connections-32.connectionsPerSecond", "new connections: rate", { atLeast: 0.97 }),
  value("bulk-8-forward.sharingFar", "cores that the -d end's threads can use, 8 connections", "cores", {
    atLeast: 1.5,
  }),
  framing("framing.seal65536", "sealing alone, 64 KiB a call"),
  framing("framing.open65536", "opening alone, 64 KiB a call"),
];

function ratio(id, title, limit) {
  return { ids: [id], title, unit: "× C", of: ([figure]) => figure.ratio, ...limit };
}

function value(id, title, unit, limit) {
  return { ids: [id], title, unit, of: ([figure]) => figure.kinds.ours, ...limit };
}

/** Per stalled reader, and for all: 32 MiB buffered for full receivers, plus the connections themselves. */
function stalledGoals(count) {
  return [
    value(`stalled-readers.largerKilobytesEach${count}`, `${count} stalled readers: each, larger end`, "kB", {
      atMost: 100,
    }),
    value(`stalled-readers.largerMegabytes${count}`, `${count} stalled readers: all, larger end`, "MB", { atMost: 50 }),
  ];
}

/** The cost of status, a JSON log and named keys. */
function operated(id, title, limit) {
  const of = ([figure]) => quotient(figure.kinds.operated, figure.kinds.ours);
  return { ids: [id], title: `${title}, with status, JSON log and ten named keys`, unit: "× without", of, ...limit };
}

function framing(id, title) {
  const of = ([figure], { cFramingMegabytes }) => {
    const { median, min, max } = figure.kinds.ours;
    return { median: median / cFramingMegabytes, min: min / cFramingMegabytes, max: max / cFramingMegabytes };
  };
  return { ids: [id], title, unit: "× C", of, atLeast: 2.5 };
}

/** Combines the results of several runs in one round. */
export function middleOf(results) {
  const names = new Set(results.flatMap(Object.keys));
  return Object.fromEntries(
    [...names].flatMap((name) => {
      const values = results.map((result) => result[name]).filter(Number.isFinite);
      return values.length === 0 ? [] : [[name, summary(values).median]];
    }),
  );
}

/**
 * Computes figures from samples.
 *
 * @param samples - The results of the rounds in order, by scenario id and kind; null for a failed one.
 */
export function figuresOf(scenarios, samples) {
  const figures = [];
  for (const scenario of scenarios) {
    for (const [name, figure] of Object.entries(scenario.figures)) {
      const kinds = {};
      for (const [kind, results] of Object.entries(samples[scenario.id] ?? {})) {
        const values = results.map((result) => result?.[name] ?? null);
        const measured = values.filter((one) => one !== null);
        if (measured.length > 0) kinds[kind] = { ...summary(measured), values };
      }
      if (Object.keys(kinds).length === 0) continue;
      const ratio = kinds.ours && kinds.c && quotient(kinds.ours, kinds.c);
      figures.push({ id: `${scenario.id}.${name}`, ...figure, kinds, ...(ratio && { ratio }) });
    }
  }
  return figures;
}

/** The ratio round by round, so a disturbance of the machine in one round affects both sides. */
function quotient(one, other) {
  if (one === undefined || other === undefined) return undefined;
  const both = one.values.flatMap((value, round) => {
    const divisor = other.values[round] ?? null;
    return value === null || divisor === null || divisor === 0 ? [] : [value / divisor];
  });
  return both.length === 0 ? undefined : summary(both);
}

/**
 * Evaluates each goal. A goal whose scenario was chosen but has no figure has failed.
 *
 * @param chosen - The scenarios of this run.
 */
export function goalsOf(results, chosen) {
  return GOALS.flatMap(({ ids, of, ...goal }) => {
    if (!ids.every((id) => isMeasuredBy(chosen, id))) return [];
    const figures = ids.map((id) => results.figures.find((figure) => figure.id === id));
    const complete = figures.every((figure) => figure?.kinds.ours !== undefined);
    const measured = complete ? of(figures, results) : undefined;
    if (measured === undefined) return [{ id: ids[0], ...goal, met: false }];
    const met = goal.atLeast === undefined ? measured.median <= goal.atMost : measured.median >= goal.atLeast;
    const { median, min, max } = measured;
    return [{ id: ids[0], ...goal, median, min, max, met }];
  });
}

function isMeasuredBy(chosen, id) {
  return chosen.some((scenario) => Object.keys(scenario.figures).some((name) => `${scenario.id}.${name}` === id));
}

function summary(values) {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  const median = sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
  return { median, min: sorted[0], max: sorted.at(-1) };
}
