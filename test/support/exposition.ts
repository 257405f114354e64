// Parses Prometheus's text format strictly, rejecting what Prometheus or its linter would; for tests of /metrics.

import assert from "node:assert/strict";

/** One sample. */
export interface Sample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/** A metric and its samples. */
export interface Family {
  readonly type: string;
  readonly help: string;
  readonly samples: readonly Sample[];
}

const NAME = "[a-zA-Z_:][a-zA-Z0-9_:]*";

/**
 * Reads all families by name.
 *
 * @throws AssertionError for anything invalid: a sample outside of its family, a duplicate series, buckets that
 *   decrease or do not end with the total.
 */
export function readExposition(text: string): ReadonlyMap<string, Family> {
  assert.ok(text.endsWith("\n"), "the last line ends");
  assert.ok(!text.includes("\r"));
  const families = new Map<string, { type: string; help: string; samples: Sample[] }>();
  const series = new Set<string>();
  let current: string | undefined;
  let help: string | undefined;
  for (const line of text.slice(0, -1).split("\n")) {
    const helps = new RegExp(`^# HELP (${NAME}) (.+)$`).exec(line);
    const types = new RegExp(`^# TYPE (${NAME}) (counter|gauge|histogram)$`).exec(line);
    if (helps !== null) {
      assert.ok(!families.has(helps[1] ?? ""), `one family for ${line}`);
      [, current, help] = helps;
      continue;
    }
    if (types !== null) {
      const [, name = "", type = ""] = types;
      assert.ok(name === current && help !== undefined, `help comes before ${line}`);
      assert.equal(type === "counter", name.endsWith("_total"), `${name} is named as a ${type}`);
      families.set(name, { type, help, samples: [] });
      help = undefined;
      continue;
    }
    const sample = readSample(line);
    const family = families.get(current ?? "");
    assert.ok(family !== undefined && current !== undefined, `a family comes before ${line}`);
    assert.ok(belongs(sample, current, family.type), `${line} belongs to ${current}`);
    const key = JSON.stringify([sample.name, Object.entries(sample.labels).sort()]);
    assert.ok(!series.has(key), `twice: ${line}`);
    series.add(key);
    family.samples.push(sample);
  }
  for (const [name, { type, samples }] of families) {
    if (type === "histogram") checkHistogram(name, samples);
    if (type === "counter") for (const { value } of samples) assert.ok(value >= 0);
  }
  return families;
}

/** The value of one series; undefined if missing. */
export function valueIn(text: string, name: string, labels: Readonly<Record<string, string>> = {}): number | undefined {
  const families = [...readExposition(text).values()];
  return families
    .flatMap(({ samples }) => samples)
    .find((one) => {
      const same = Object.entries(labels).every(([label, value]) => one.labels[label] === value);
      return one.name === name && same && Object.keys(one.labels).length === Object.keys(labels).length;
    })?.value;
}

function belongs({ name, labels }: Sample, family: string, type: string): boolean {
  if (type !== "histogram") return name === family;
  if (name === `${family}_bucket`) return labels["le"] !== undefined;
  return name === `${family}_sum` || name === `${family}_count`;
}

function readSample(line: string): Sample {
  const parts = new RegExp(`^(${NAME})(?:\\{(.*)\\})? (\\S+)$`).exec(line);
  assert.ok(parts !== null, `a sample: ${line}`);
  const [, name = "", inside = "", number = ""] = parts;
  assert.match(number, /^(?:[-+]?\d+(?:\.\d+)?(?:e[-+]?\d+)?|[-+]Inf|NaN)$/, line);
  return { name, labels: readLabels(inside, line), value: Number(number.replace("Inf", "Infinity")) };
}

function readLabels(inside: string, line: string): Record<string, string> {
  const labels: Record<string, string> = {};
  const label = /([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(?:,|$)/y;
  while (label.lastIndex < inside.length) {
    const found = label.exec(inside);
    assert.ok(found !== null, `labels: ${line}`);
    const [, name = "", value = ""] = found;
    assert.ok(!(name in labels), `a label twice: ${line}`);
    labels[name] = value.replace(/\\(.)/g, (_all, escaped: string) => (escaped === "n" ? "\n" : escaped));
  }
  return labels;
}

function checkHistogram(name: string, samples: readonly Sample[]): void {
  const groups = new Map<string, Sample[]>();
  for (const sample of samples) {
    const { le: _le, ...others } = sample.labels;
    const group = JSON.stringify(others);
    groups.set(group, [...(groups.get(group) ?? []), sample]);
  }
  for (const [group, all] of groups) {
    const buckets = all.filter((one) => one.name === `${name}_bucket`);
    const bounds = buckets.map(({ labels }) => Number((labels["le"] ?? "").replace("Inf", "Infinity")));
    for (const [at, { value }] of buckets.entries()) {
      const before = at === 0 ? undefined : { bound: bounds[at - 1] ?? 0, value: buckets[at - 1]?.value ?? 0 };
      assert.ok(
        before === undefined || ((bounds[at] ?? 0) > before.bound && value >= before.value),
        `${name} ${group}`,
      );
    }
    assert.equal(bounds.at(-1), Number.POSITIVE_INFINITY, `${name} ${group} ends with all`);
    assert.equal(all.find((one) => one.name === `${name}_count`)?.value, buckets.at(-1)?.value, `${name} ${group}`);
    assert.ok(
      all.some((one) => one.name === `${name}_sum`),
      `${name} ${group} has a sum`,
    );
  }
}
