// Log messages with hostile texts: a message stays one line, and JSON stays valid.

import assert from "node:assert/strict";
import { KEYS, LEVELS, type LogEntry } from "#dist/observe/entry.js";
import { jsonOf, textLines, textOf as textOfEntry } from "#dist/observe/format.js";
import { metricsOf } from "#dist/status/metrics.js";
import { statusJsonOf } from "#dist/status/status-json.js";
import { readExposition } from "../../support/exposition.js";
import { snapshotOf, tunnelSnapshot } from "../../unit/support/snapshots.js";
import { Choices, isUnpolluted, type Target } from "../target.js";

const hostile = [
  "\n",
  "\r",
  "\u0000",
  "\u001b[2J",
  "\u0085",
  "\u2028",
  "\u202e",
  "\u{1f600}",
  '"',
  "\\",
  "spiped: forged",
  "<3>",
  "hint: ",
  "  ",
  "é",
  "\x80",
  "__proto__",
];

export const log: Target = {
  name: "log",
  mostBytes: 128 * 1_024,
  words: hostile,
  run(input) {
    const choices = new Choices(input);
    const facts: Record<string, unknown> = {};
    const [level, toJournal] = [choices.of(LEVELS), choices.bool()];
    const entry = (): LogEntry => ({ event: "note", level, message: choices.text(), ...facts });
    for (const name of Object.keys(KEYS)) {
      if (choices.isEmpty || choices.bool()) continue;
      if (name.endsWith("Ms") || ["count", "limit", "line"].includes(name)) facts[name] = choices.below(60_000);
      else facts[name] = name.startsWith("keys") && name !== "keys" ? [choices.text(), choices.text()] : choices.text();
    }
    if (choices.bool()) facts["hint"] = choices.text();
    if (choices.bool()) facts["stack"] = [choices.text(), choices.text()];
    const made = entry();
    const time = new Date(0);
    const json = jsonOf(made, { toJournal, time });
    assert.ok(json.endsWith("\n") && isVisible(json.slice(0, -1)), "one line of JSON");
    const object = JSON.parse(json.replace(/^<\d>/, "")) as Record<string, unknown>;
    assert.equal(json.startsWith("<"), toJournal);
    assert.deepEqual(Object.keys(object).slice(0, 4), ["time", "level", "event", "message"]);
    const keys = Object.entries(KEYS).flatMap(([name, key]) => (facts[name] === undefined ? [] : [key]));
    const more = ["hint", "stack"].filter((name) => facts[name] !== undefined);
    assert.deepEqual(Object.keys(object).slice(4).sort(), [...keys, ...more].sort());
    assert.equal(Buffer.from(json).toString(), json, "it is UTF-8");
    const text = textOfEntry(made, { program: "spiped", toJournal, time });
    const lines = text.slice(0, -1).split("\n");
    assert.ok(lines.every(isPrintable), JSON.stringify(text));
    const expected = facts["stack"] === undefined ? 1 : 3 + Number(facts["hint"] !== undefined);
    assert.equal(lines.length, expected, "a message is one line");
    assert.ok(text.startsWith(`${toJournal ? "<" : ""}`) && lines[0]?.includes("1970-01-01T00:00:00.000Z "));
    assert.equal(textLines(made).length, expected);
  },
};

/** Text that a terminal shows and does not interpret. */
function isPrintable(text: string): boolean {
  return [...text].every((one) => one >= " " && !(one >= "\u007f" && one <= "\u009f"));
}

function isVisible(text: string): boolean {
  return isPrintable(text) && !/[\u2028\u2029]/.test(text);
}

export const statusTexts: Target = {
  name: "status-texts",
  mostBytes: 128 * 1_024,
  words: hostile,
  run(input) {
    const choices = new Choices(input);
    // Characters that no key name has are left out, as in a key folder.
    const key = choices.text().replaceAll(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu, "");
    const message = choices.text();
    const peer = choices.text();
    const tunnel = tunnelSnapshot({
      target: choices.text(),
      keys: [{ name: key, id: "0123" }],
      ended: [
        { reason: "closed", key: "", count: choices.below(9) },
        // The empty name means no key.
        ...(key === "" ? [] : [{ reason: "closed" as const, key, count: choices.below(9) }]),
      ],
      busiest: tunnelSnapshot().busiest.map((one) => ({ ...one, key, peer })),
      failures: [{ atMs: 1, peer, key, reason: "reset", message }],
    });
    const snapshot = snapshotOf([tunnel]);
    const families = readExposition(metricsOf(snapshot));
    if (key !== "") {
      const labels = [...families.values()].flatMap(({ samples }) => samples.map((one) => one.labels["key"]));
      assert.ok(labels.includes(key), "a key's name comes back as it was");
    }
    const json = statusJsonOf(snapshot);
    assert.equal(json.indexOf("\n"), json.length - 1);
    const [one] = (JSON.parse(json) as { tunnels: [typeof tunnel & { failures: [{ message: string }] }] }).tunnels;
    assert.deepEqual([one.target, one.keys[0]?.name, one.failures[0].message], [tunnel.target, key, message]);
    isUnpolluted();
  },
};
