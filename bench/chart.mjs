// Charts as SVG: horizontal bars with the spread of the rounds, readable on light and dark backgrounds.

import { escapeXml, svgOf } from "../scripts/support/svg.mjs";

const WIDTH = 760;
const LABELS = 250;
const VALUES = 130;
const BAR = 16;
const ROW = 20;

/** Each chart: its file, its title, which direction is better, and the figures it shows, with labels. */
const CHARTS = [
  {
    file: "throughput.svg",
    title: "Bulk throughput, MB/s (more is better)",
    figures: [
      ["bulk-1-forward.megabytesPerSecond", "1 connection, forward"],
      ["bulk-1-reverse.megabytesPerSecond", "1 connection, reverse"],
      ["bulk-1-both.megabytesPerSecond", "1 connection, both ways"],
      ["bulk-8-forward.megabytesPerSecond", "8 connections, forward"],
      ["bulk-8-reverse.megabytesPerSecond", "8 connections, reverse"],
      ["bulk-8-both.megabytesPerSecond", "8 connections, both ways"],
    ],
  },
  {
    file: "cpu.svg",
    title: "CPU seconds per GB (less is better)",
    figures: [
      ["bulk-1-forward.cpuNear", "-e end"],
      ["bulk-1-forward.cpuFar", "-d end"],
      ["bulk-1-forward.cpuBoth", "both ends"],
    ],
  },
  {
    file: "handshakes.svg",
    title: "New connections a second (more is better)",
    figures: [
      ["connections-1.connectionsPerSecond", "1 at once"],
      ["connections-32.connectionsPerSecond", "32 at once"],
      ["connections-1-without-forward-secrecy.connectionsPerSecond", "1 at once, -f"],
      ["connections-32-without-forward-secrecy.connectionsPerSecond", "32 at once, -f"],
    ],
  },
  {
    file: "latency.svg",
    title: "Latency, µs (less is better)",
    figures: [
      ["ping-pong-64.medianMicros", "ping-pong of 64 bytes, median"],
      ["ping-pong-64.p99Micros", "the same, 99th percentile"],
      ["lines-10000.medianMicros", "10,000 lines a second, median"],
      ["lines-10000.p99Micros", "the same, 99th percentile"],
    ],
  },
  {
    file: "fairness.svg",
    title: "64-byte requests next to 4 full-speed transfers, ms (less is better)",
    figures: [
      ["requests-beside-bulk.medianMillis", "median"],
      ["requests-beside-bulk.p99Millis", "99th percentile"],
    ],
  },
  {
    file: "lines.svg",
    title: "80-byte lines, CPU µs a line, both ends (less is better)",
    figures: [
      ["lines-10000.cpuBoth", "10,000 a second"],
      ["lines-full-speed.cpuBoth", "at full speed"],
    ],
  },
  {
    file: "memory.svg",
    title: "Memory of the larger end, MB (less is better)",
    figures: [
      ["idle.largerMegabytes0", "no connection"],
      ["idle.largerMegabytes1000", "1,000 idle connections"],
      ["idle.largerMegabytes5000", "5,000 idle connections"],
      ["stalled-readers.largerMegabytes200", "200 stalled readers, growth"],
    ],
  },
  {
    file: "framing.svg",
    title: "Framing alone, one core, MB/s (more is better)",
    figures: [1_024, 8_192, 65_536].flatMap((size) => [
      [`framing.seal${size}`, `seal, ${size / 1_024} KiB a call`],
      [`framing.open${size}`, `open, ${size / 1_024} KiB a call`],
    ]),
  },
];

/** The charts that the results have figures for. */
export function charts({ figures, names }) {
  return CHARTS.flatMap(({ file, title, figures: shown }) => {
    const groups = shown.flatMap(([id, label]) => {
      const figure = figures.find((one) => one.id === id);
      return figure === undefined ? [] : [{ label, figure }];
    });
    return groups.length === 0 ? [] : [{ file, title, svg: draw(title, groups, names) }];
  });
}

function draw(title, groups, names) {
  // "No tunnel" is left out: its bar would make all others look small.
  const kinds = Object.keys(names).filter((kind) => kind !== "direct");
  const measured = groups.flatMap(({ figure }) => kinds.flatMap((kind) => figure.kinds[kind] ?? []));
  const scale = (WIDTH - LABELS - VALUES) / Math.max(...measured.map(({ max }) => max));
  const parts = [`<text class="h" x="0" y="18">${escapeXml(title)}</text>`];
  let y = 36;
  for (const { label, figure } of groups) {
    const present = kinds.filter((kind) => figure.kinds[kind] !== undefined);
    parts.push(`<text x="0" y="${y + 13}">${escapeXml(label)}</text>`);
    for (const kind of present) {
      parts.push(bar(y, kind, names[kind], figure, scale));
      y += ROW;
    }
    y += 10;
  }
  parts.push(`<path class="x" d="M${LABELS} 30V${y - 8}"/>`);
  return svgOf({ title, width: WIDTH, height: y, parts });
}

function bar(y, kind, name, { digits, kinds, ratio }, scale) {
  const { median, min, max } = kinds[kind];
  const at = (value) => (LABELS + value * scale).toFixed(1);
  const middle = y + BAR / 2;
  const shown = median.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits });
  const times = kind === "ours" && ratio?.median !== undefined ? ` (${ratio.median.toFixed(2)}× C)` : "";
  return [
    `<text class="s" x="${LABELS - 8}" y="${y + 13}" text-anchor="end">${escapeXml(name)}</text>`,
    `<rect class="${kind === "ours" || kind === "c" ? kind : "other"}" x="${LABELS}" y="${y}" height="${BAR}" ` +
      `width="${(median * scale).toFixed(1)}" rx="2"/>`,
    `<path class="w" d="M${at(min)} ${middle}H${at(max)}"/>`,
    `<text x="${(LABELS + Math.max(max, median) * scale + 8).toFixed(1)}" y="${y + 13}">${shown}${times}</text>`,
  ].join("\n");
}
