// The format of syslog messages, and where they are sent. integration/syslog has a real daemon.

import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { addon } from "#dist/native/native.js";
import type { Level, LogEntry } from "#dist/observe/entry.js";
import { createLog } from "#dist/observe/log.js";
import { configureLog } from "#dist/observe/log-settings.js";
import { syslogSink } from "#dist/observe/syslog.js";

interface Datagram {
  readonly path: string;
  readonly text: string;
}

/** Records what is sent to `paths`; sending elsewhere throws. */
function listening(
  t: TestContext,
  ...paths: readonly string[]
): { readonly sent: Datagram[]; readonly tried: string[] } {
  const sent: Datagram[] = [];
  const tried: string[] = [];
  t.mock.method(addon.SyslogSocket.prototype, "send", (path: string, bytes: Uint8Array) => {
    tried.push(path);
    if (!paths.includes(path)) throw new Error("nobody is there");
    sent.push({ path, text: Buffer.from(bytes).toString() });
  });
  return { sent, tried };
}

function note(message: string, level: Level = "info"): LogEntry {
  return { event: "note", level, message };
}

const noon = new Date(2026, 0, 31, 12, 0, 0);

for (const [level, priority] of [
  ["error", 27],
  ["warning", 28],
  ["info", 29],
  ["debug", 31],
] as const satisfies ReadonlyArray<readonly [Level, number]>) {
  test(`a message of level ${level} has priority ${priority} and the process id`, (t) => {
    const { sent } = listening(t, "/dev/log");
    syslogSink("prog", () => noon).write(note("the text", level));
    assert.deepEqual(sent, [{ path: "/dev/log", text: `<${priority}>Jan 31 12:00:00 prog[${process.pid}]: the text` }]);
  });
}

for (const [time, expected] of [
  [new Date(2026, 0, 1, 0, 0, 0), "Jan  1 00:00:00"],
  [new Date(2026, 1, 9, 9, 8, 7), "Feb  9 09:08:07"],
  [new Date(2026, 2, 10, 23, 59, 59, 999), "Mar 10 23:59:59"],
  [new Date(2026, 3, 2), "Apr  2 00:00:00"],
  [new Date(2026, 4, 2), "May  2 00:00:00"],
  [new Date(2026, 5, 2), "Jun  2 00:00:00"],
  [new Date(2026, 6, 2), "Jul  2 00:00:00"],
  [new Date(2026, 7, 2), "Aug  2 00:00:00"],
  [new Date(2026, 8, 2), "Sep  2 00:00:00"],
  [new Date(2026, 9, 2), "Oct  2 00:00:00"],
  [new Date(2026, 10, 30, 10, 10, 10), "Nov 30 10:10:10"],
  [new Date(2026, 11, 31, 1, 2, 3), "Dec 31 01:02:03"],
] as const) {
  test(`the local time is formatted as ${JSON.stringify(expected)}`, (t) => {
    const { sent } = listening(t, "/dev/log");
    syslogSink("prog", () => time).write(note("x"));
    assert.equal(sent[0]?.text, `<29>${expected} prog[${process.pid}]: x`);
  });
}

test("each message has its own time", (t) => {
  const { sent } = listening(t, "/dev/log");
  const times = [new Date(2026, 5, 1, 1, 1, 1), new Date(2026, 5, 1, 1, 1, 2)];
  const sink = syslogSink("prog", () => times.shift() ?? noon);
  sink.write(note("x"));
  sink.write(note("x"));
  assert.deepEqual(
    sent.map(({ text }) => text.slice(4, 19)),
    ["Jun  1 01:01:01", "Jun  1 01:01:02"],
  );
});

test("a message goes to the first socket that exists, and to no other", (t) => {
  const { sent, tried } = listening(t, "/var/run/syslog", "/var/run/log");
  syslogSink("prog").write(note("x"));
  assert.deepEqual(tried, ["/dev/log", "/var/run/syslog"]);
  assert.equal(sent.length, 1);
});

for (const code of ["EAGAIN", "ENOBUFS", "EMSGSIZE"]) {
  test(`a message that the daemon rejects (${code}) goes to no other socket`, (t) => {
    const tried: string[] = [];
    t.mock.method(addon.SyslogSocket.prototype, "send", (path: string) => {
      tried.push(path);
      throw Object.assign(new Error("not now"), { code });
    });
    syslogSink("prog").write(note("x"));
    assert.deepEqual(tried, ["/dev/log"]);
  });
}

test("a message is dropped if no daemon listens, and the next one tries again", (t) => {
  const { sent, tried } = listening(t);
  const sink = syslogSink("prog");
  sink.write(note("one"));
  sink.write(note("two"));
  assert.deepEqual(sent, []);
  const everywhere = ["/dev/log", "/var/run/syslog", "/var/run/log"];
  assert.deepEqual(tried, [...everywhere, ...everywhere]);
});

test("a text with a line break is one datagram, in UTF-8", (t) => {
  const { sent } = listening(t, "/dev/log");
  createLog(syslogSink("prog", () => noon)).warning("münchen\n<0>forged");
  assert.deepEqual(
    sent.map(({ text }) => text),
    [`<28>Jan 31 12:00:00 prog[${process.pid}]: münchen?<0>forged`],
  );
});

test("with JSON, a message is one object", (t) => {
  configureLog({ format: "json" });
  t.after(() => configureLog({ format: "text" }));
  const { sent } = listening(t, "/dev/log");
  syslogSink("prog", () => noon).write({ ...note("a\nb", "error"), stack: ["c", "d"], hint: "e" });
  assert.equal(sent.length, 1);
  const [, before, json = ""] = /^(<27>Jan 31 12:00:00 prog\[\d+\]: )(.*)$/.exec(sent[0]?.text ?? "") ?? [];
  assert.ok(before !== undefined, sent[0]?.text);
  const expected = { level: "error", event: "note", message: "a\nb", hint: "e", stack: ["c", "d"] };
  assert.deepEqual(JSON.parse(json), { time: noon.toISOString(), ...expected });
});
