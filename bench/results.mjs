// From the values of all rounds to medians, spreads, ratios and goals: what results.json holds.

/** C spiped's packet encryption alone, on the machine that the goals were set on; another one wants `--c-framing`. */
export const C_FRAMING_MEGABYTES = 675;

/** Each goal: a figure, what of it is compared, and the limit, which it must reach or must not pass. */
const GOALS = [
  ratio("bulk-1-forward.megabytesPerSecond", "bulk, one connection", { atLeast: 3 }),
  ratio("bulk-1-forward.cpuBoth", "CPU seconds per GB, both ends", { atMost: 0.4 }),
  framing("framing.seal65536", "sealing alone, 64 KiB a call"),
  framing("framing.open65536", "opening alone, 64 KiB a call"),
  ratio("handshakes-32.connectionsPerSecond", "handshakes with forward secrecy, 32 at once", { atLeast: 1.3 }),
  ratio("ping-pong-64.medianMicros", "64-byte ping-pong, median", { atMost: 1.25 }),
  value("idle.nearMegabytes1000", "memory with 1,000 idle connections, -e end", "MB", { atMost: 100 }),
  value("idle.farMegabytes1000", "memory with 1,000 idle connections, -d end", "MB", { atMost: 100 }),
  value("start.milliseconds", "start to listening", "ms", { atMost: 150 }),
];

function ratio(id, title, limit) {
  return { id, title, unit: "× C", of: (figure) => figure.ratio, ...limit };
}

function framing(id, title) {
  const of = (figure, { cFramingMegabytes }) => {
    const { median, min, max } = figure.kinds.ours;
    return { median: median / cFramingMegabytes, min: min / cFramingMegabytes, max: max / cFramingMegabytes };
  };
  return { id, title, unit: "× C", of, atLeast: 2.5 };
}

function value(id, title, unit, limit) {
  return { id, title, unit, of: (figure) => figure.kinds.ours, ...limit };
}

/**
 * Figures from samples.
 *
 * @param samples - For each scenario's id and kind the results of the rounds, in order.
 */
export function figuresOf(scenarios, samples) {
  const figures = [];
  for (const scenario of scenarios) {
    for (const [name, figure] of Object.entries(scenario.figures)) {
      const kinds = {};
      for (const [kind, results] of Object.entries(samples[scenario.id] ?? {})) {
        const values = results.map((result) => result[name]).filter((one) => one !== undefined);
        if (values.length > 0) kinds[kind] = { ...summary(values), values };
      }
      if (Object.keys(kinds).length === 0) continue;
      const both = kinds.ours !== undefined && kinds.c !== undefined;
      figures.push({ id: `${scenario.id}.${name}`, ...figure, kinds, ...(both && { ratio: ratioOf(kinds) }) });
    }
  }
  return figures;
}

/** Ours to C's, round by round: what is the matter with the machine in one round then concerns both. */
function ratioOf({ ours, c }) {
  return summary(ours.values.map((one, round) => one / c.values[round]).filter(Number.isFinite));
}

/** How each goal was met; those whose figure was not measured are left out. */
export function goalsOf(results) {
  return GOALS.flatMap(({ id, of, ...goal }) => {
    const figure = results.figures.find((one) => one.id === id);
    const measured = figure?.kinds.ours && of(figure, results);
    if (measured?.median === undefined) return [];
    const met = goal.atLeast === undefined ? measured.median <= goal.atMost : measured.median >= goal.atLeast;
    const { median, min, max } = measured;
    return [{ id, ...goal, median, min, max, met }];
  });
}

function summary(values) {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  const median = sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
  return { median, min: sorted[0], max: sorted.at(-1) };
}
