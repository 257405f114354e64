// Charts of figures over time as SVG: stacked panels with a curve for each of two programs, from 0 upwards.

import { escapeXml, svgOf } from "./svg.mjs";

const WIDTH = 760;
const LEFT = 50;
const RIGHT = 10;
const PANEL = 70;
const GAP = 34;
const TOP = 62;
const CLASSES = ["ours", "c"];
const STYLE =
  ".l{fill:none;stroke-width:1.3}.l.ours{stroke:#0969da}.l.c{stroke:#bc4c00}.d{stroke-dasharray:3 3}\n@media(prefers-color-scheme:dark){.l.ours{stroke:#4493f8}.l.c{stroke:#f0883e}}";

/**
 * @param names The labels of the curves, by id; two at most.
 * @param mark A moment to mark.
 * @param panels Each with its title, and the values of each curve at `times`.
 */
export function seriesChart({ title, names, times, timeWord, mark, panels }) {
  const end = times.at(-1);
  const atTime = (time) => LEFT + (time / end) * (WIDTH - LEFT - RIGHT);
  const parts = [`<text class="h" x="0" y="18">${escapeXml(title)}</text>`];
  let x = LEFT;
  Object.values(names).forEach((name, index) => {
    parts.push(
      `<path class="l ${CLASSES[index]}" d="M${x} 36h20"/><text class="s" x="${x + 26}" y="40">${escapeXml(name)}</text>`,
    );
    x += 120;
  });
  let y = TOP;
  for (const panel of panels) {
    parts.push(panelOf({ ...panel, ids: Object.keys(names), times, atTime, y }));
    y += PANEL + GAP;
  }
  const bottom = y - GAP;
  parts.push(`<path class="x d" d="M${atTime(mark.at).toFixed(1)} ${TOP}V${bottom}"/>`);
  parts.push(
    `<text class="s" x="${(atTime(mark.at) + 3).toFixed(1)}" y="${bottom + 16}">${escapeXml(mark.word)}</text>`,
  );
  parts.push(
    `<text class="s" x="${WIDTH - RIGHT}" y="${bottom + 16}" text-anchor="end">${Math.round(end)} ${timeWord}</text>`,
  );
  return svgOf({ title, width: WIDTH, height: bottom + 26, parts, style: STYLE });
}

function panelOf({ title, digits, values, ids, times, atTime, y }) {
  const top = roundUp(Math.max(...ids.flatMap((id) => values[id].filter(Number.isFinite))));
  const atValue = (value) => y + PANEL - (value / top) * PANEL;
  const lines = ids.map((id, index) => {
    const points = values[id].flatMap((value, at) =>
      Number.isFinite(value) ? [`${atTime(times[at]).toFixed(1)} ${atValue(value).toFixed(1)}`] : [],
    );
    return `<path class="l ${CLASSES[index]}" d="M${points.join("L")}"/>`;
  });
  const shown = top.toLocaleString("en", { maximumFractionDigits: digits });
  return [
    `<text x="0" y="${y - 8}">${escapeXml(title)}</text>`,
    `<text class="s" x="${LEFT - 6}" y="${y + 10}" text-anchor="end">${shown}</text>`,
    `<text class="s" x="${LEFT - 6}" y="${y + PANEL}" text-anchor="end">0</text>`,
    `<path class="x" d="M${LEFT} ${y}H${WIDTH - RIGHT}M${LEFT} ${y + PANEL}H${WIDTH - RIGHT}"/>`,
    ...lines,
  ].join("\n");
}

/** Rounds up to 1, 1.5, 2, 2.5, 3, 4, 5, 6, 8 times a power of ten. */
function roundUp(value) {
  if (!(value > 0)) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return ([1, 1.5, 2, 2.5, 3, 4, 5, 6, 8].find((step) => step * power >= value) ?? 10) * power;
}
