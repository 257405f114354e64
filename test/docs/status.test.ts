// The status page's documentation, alerts and dashboard name metrics and labels that exist.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { metricsOf } from "#dist/status/metrics.js";
import { limits } from "../support/cleanup.js";
import { Command } from "../support/command.js";
import { readExposition } from "../support/exposition.js";
import { commandOnPath, declareIf, root } from "../support/programs.js";
import { snapshotOf, tunnelSnapshot } from "../unit/support/snapshots.js";
import { readPage } from "./pages.js";

const text = metricsOf(snapshotOf([tunnelSnapshot()]));
const families = readExposition(text);
const samples = [...families.values()].flatMap((family) => family.samples);
const dashboard = JSON.parse(readFileSync(join(root, "contrib/grafana/spiped.json"), "utf8"));
const rules = readFileSync(join(root, "contrib/prometheus/spiped.rules.yml"), "utf8");

/** The names of metrics in a text. */
function namesIn(words: string): readonly string[] {
  return words.match(/\b(?:spiped|process)_[a-z_]+\b/g) ?? [];
}

/** All queries of the dashboard. */
function queries(): readonly string[] {
  const panels: ReadonlyArray<{ readonly targets?: ReadonlyArray<{ readonly expr: string }> }> = dashboard.panels;
  const variables: ReadonlyArray<{ readonly query: string }> = dashboard.templating.list;
  return [
    ...panels.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr)),
    ...variables.map(({ query }) => query),
  ];
}

test("docs/status.md names every metric with its labels, and no other", () => {
  const [, table = ""] = /^## Metrics\n\n(\|[\s\S]*?)\n\n/m.exec(readPage("docs/status.md")) ?? [];
  const rows = table.split("\n").slice(2);
  assert.deepEqual(new Set(namesIn(table)), new Set(families.keys()));
  for (const row of rows) {
    const [, names = "", labels = ""] = row.split("|");
    const written = [...labels.matchAll(/`(\w+)`/g)].map(([, label]) => label);
    for (const name of namesIn(names)) {
      const sample = families.get(name)?.samples[0];
      const own = Object.keys(sample?.labels ?? {}).filter((label) => label !== "le");
      assert.deepEqual(written, own, name);
    }
  }
});

test("the dashboard and the alerts query metrics that exist, and the dashboard every metric", () => {
  const known = new Set(samples.map(({ name }) => name));
  const expressions = rules.match(/expr:[\s\S]*?(?=\n\s+(?:for|labels):)/g) ?? [];
  assert.equal(expressions.length, 4);
  for (const name of [...queries(), ...expressions].flatMap(namesIn)) assert.ok(known.has(name), name);
  const shown = new Set(queries().flatMap(namesIn));
  const missing = [...families.keys()].filter((name) => !shown.has(name) && !shown.has(`${name}_bucket`));
  assert.deepEqual(missing, []);
});

test("the labels in queries exist", () => {
  for (const words of [...queries(), rules]) {
    for (const [, name = "", inside = ""] of words.matchAll(/\b((?:spiped|process)_[a-z_]+)\{([^}]*)\}/g)) {
      const sample = samples.find((one) => one.name === name);
      for (const [label = ""] of inside.matchAll(/\b\w+(?==)/g)) {
        const isKnown = ["instance", "job"].includes(label) || label in (sample?.labels ?? {});
        assert.ok(isKnown, `${label} of ${name}`);
      }
    }
  }
});

test("panels have unique names, positions and identifiers", () => {
  const ids = dashboard.panels.map(({ id }: { readonly id: number }) => id);
  assert.equal(new Set(ids).size, ids.length);
  for (const { title, gridPos } of dashboard.panels) {
    assert.match(title, /^[A-Z]/);
    assert.ok(gridPos.x + gridPos.w <= 24, title);
  }
});

test("the alerts of docs/status.md are those of the rules", () => {
  const [, ...named] = [
    ...(/^\| alert[\s\S]*?\n\n/m.exec(readPage("docs/status.md"))?.[0] ?? "").matchAll(/^\| `?(\w+)/gm),
  ];
  const alerts = [...rules.matchAll(/alert: (\w+)/g)].map(([, name]) => name);
  assert.deepEqual(
    named.map(([, name]) => name).filter((name) => name !== ""),
    alerts,
  );
});

// Not required: its Debian package is 100 MB, too much to install for each run of all tests.
declareIf(commandOnPath("promtool"), "promtool", declarePromtool, false);

function declarePromtool(promtool: string): void {
  test("promtool accepts the metrics, the rules and their tests", limits, async (t) => {
    const cwd = join(root, "contrib/prometheus");
    for (const words of [
      ["check", "rules", "spiped.rules.yml"],
      ["check", "config", "prometheus.yml"],
      ["test", "rules", "spiped.test.yml"],
    ]) {
      const { status, stdout, stderr } = await Command.run(t, [promtool, ...words], { stdin: "ignore", cwd });
      assert.equal(status, 0, stdout + stderr);
    }
    const check = Command.start(t, [promtool, "check", "metrics"]);
    check.stdin.end(text);
    assert.deepEqual([(await check.exit()).status, check.stderr], [0, ""]);
  });
}
