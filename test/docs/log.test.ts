// docs/log.md lists all messages of the program, and nothing else.

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { endReasonOf, isErrorCode, SpipedError } from "#dist/errors.js";
import * as connections from "#dist/observe/connection-entries.js";
import { EVENTS, KEYS, LEVELS, type LogEntry } from "#dist/observe/entry.js";
import { lostLine } from "#dist/observe/format.js";
import * as keys from "#dist/observe/key-entries.js";
import { createLog, errorEntry } from "#dist/observe/log.js";
import * as service from "#dist/observe/service-entries.js";
import * as state from "#dist/observe/state-entries.js";
import { logTunnel } from "#dist/observe/tunnel-log.js";
import { TunnelEmitter } from "#dist/tunnel/events.js";
import { RECOGNIZED } from "#dist/tunnel/recognition.js";
import type { ConnectionReport, ConnectionView } from "#dist/tunnel/reports.js";
import { root } from "../support/programs.js";
import { readPage } from "./pages.js";

const page = readPage("docs/log.md");

/** The first cells of a table's rows, if they are code. */
function rowsBelow(heading: string): readonly string[] {
  const [, section = ""] = page.split(new RegExp(`^#{2,3} ${heading}$`, "m"));
  const [table = ""] = section.split(/^#{2,3} /m);
  return [...table.matchAll(/^\| `([^`]+)` /gm)].map(([, cell = ""]) => cell);
}

test("each event is listed", () => {
  assert.deepEqual([...rowsBelow("Events")].sort(), [...EVENTS].sort());
});

test("each key is listed, in order", () => {
  assert.deepEqual(rowsBelow("Keys"), ["time", "level", "event", "message", "hint", "stack", ...Object.values(KEYS)]);
});

test("each level is listed, the most severe first", () => {
  assert.deepEqual(rowsBelow("Levels"), LEVELS);
});

test("each recognized protocol is listed", () => {
  assert.deepEqual(rowsBelow("What is there instead of spiped"), RECOGNIZED);
});

test("the example is an object with documented keys", () => {
  const [, line = ""] = /^```jsonl\n(.*)\n```$/m.exec(page) ?? [];
  const keys = rowsBelow("Keys");
  for (const key of Object.keys(JSON.parse(line))) assert.ok(keys.includes(key), key);
});

/** The cells of a table's rows. */
function cellsBelow(heading: string): readonly (readonly string[])[] {
  const [, section = ""] = page.split(new RegExp(`^#{2,3} ${heading}$`, "m"));
  const [table = ""] = section.split(/^#{2,3} /m);
  const rows = table.split("\n").filter((line) => line.startsWith("| `"));
  return rows.map((row) =>
    row.split(" | ").map((cell) =>
      cell
        .replace(/^\| /, "")
        .trim()
        .replace(/^`(.*)`$/, "$1"),
    ),
  );
}

/** The pattern of a row's message; `…` matches anything. */
function matches(pattern: string, message: string): boolean {
  const parts = pattern.split("…").map((part) => part.replaceAll(/[.*+?^${}()|[\]\\]/g, "\\$&"));
  return new RegExp(`^${parts.join(".*")}$`).test(message);
}

const view: ConnectionView = {
  id: 1,
  phase: "piping",
  source: "[10.0.0.1]:7",
  keyName: "alice",
  ageMs: 1_000,
  handshakeMs: 12,
  bytesForward: 3,
  bytesReverse: 4,
};

const failed: ConnectionReport = {
  ...view,
  phase: "handshaking",
  reason: "handshake-failed",
  error: new SpipedError("SPIPED_WRONG_MAC", "wrong MAC"),
  durationMs: 3,
};

const sum = { of: { facts: {}, example: "x" }, count: 3, addresses: 1, moreAddresses: false, mostFrom: "a" };

const changes = { added: ["a"], removed: [], renamed: [] };

/** At least one message of each function that makes messages. */
const samples: Readonly<Record<string, readonly LogEntry[]>> = {
  listeningEntry: [
    service.listeningEntry("listening on a, encrypting to b", { role: "encrypt", source: "a", target: "b" }),
  ],
  severalSourcesEntry: [service.severalSourcesEntry("a:1", 2, "[10.0.0.1]:1")],
  loopEntry: [service.loopEntry(["a", "b"])],
  talksToItselfEntry: [service.talksToItselfEntry("a", "b")],
  retryingLookupEntry: [service.retryingLookupEntry("cannot resolve a:1")],
  drainingEntry: [service.drainingEntry("SIGTERM", 1)],
  stoppedEntry: [service.stoppedEntry(0), service.stoppedEntry(2), service.stoppedEntry(2, 1_000)],
  oldConnectionsCutEntry: [service.oldConnectionsCutEntry(1, 200)],
  configReadEntry: [service.configReadEntry("t.toml", { count: 1, changes: "1 unchanged" })],
  configMistakeEntry: [service.configMistakeEntry("t.toml:3: no such key", "t.toml", 3)],
  configKeptEntry: [service.configKeptEntry("t.toml", 2)],
  configNotStartedEntry: [service.configNotStartedEntry("t.toml", 1)],
  notStartedEntry: [service.notStartedEntry(new SpipedError("SPIPED_LISTEN", "cannot listen on a"))],
  restartNeededEntry: [service.restartNeededEntry("t.toml", "user")],
  resolvingNewNamesEntry: [service.resolvingNewNamesEntry()],
  tunnelsFailedEntry: [service.tunnelsFailedEntry(1)],
  noTunnelsEntry: [service.noTunnelsEntry()],
  reloadWhileStoppingEntry: [service.reloadWhileStoppingEntry()],
  signalIgnoredEntry: [service.signalIgnoredEntry("SIGUSR1")],
  statusListeningEntry: [service.statusListeningEntry("a")],
  statusExposedEntry: [service.statusExposedEntry("a")],
  statusOwnerEntry: [service.statusOwnerEntry("why")],
  statusFailedEntry: [service.statusFailedEntry("why")],
  keyReloadedEntry: [keys.keyReloadedEntry("k")],
  keyKeptEntry: [
    keys.keyKeptEntry("k", "why", "file"),
    keys.keyKeptEntry("k", "why", "folder"),
    keys.keyKeptEntry("k", "why", "folder", true),
  ],
  oneKeyKeptEntry: [keys.oneKeyKeptEntry("k", "why")],
  keyWarningEntry: [keys.keyWarningEntry("k", "why")],
  keysReadEntry: [keys.keysReadEntry("k", ["a"])],
  keysReloadedEntry: [keys.keysReloadedEntry("k", 1, changes, 0), keys.keysReloadedEntry("k", 1, changes, 2)],
  noKeyLeftEntry: [keys.noKeyLeftEntry("k")],
  acceptedEntry: [connections.acceptedEntry(view)],
  establishedEntry: [connections.establishedEntry(view)],
  endedEntry: [
    connections.endedEntry({ ...failed, phase: "piping", reason: "closed", error: undefined }),
    connections.endedEntry(failed),
    connections.endedEntry({ ...failed, reason: "failed", error: new SpipedError("SPIPED_INTERNAL", "bug") }),
  ],
  // Part of the state below.
  openEntry: [],
  summedEntry: [connections.summedEntry({ ...sum, mostCount: 3, spanMs: 60_000 })],
  stateEntries: [...stateOfMany()],
  // The messages of a tunnel that have no functions of their own.
  logTunnel: tunnelMessages(),
  errorEntry: [errorEntry(new Error("bug"))],
  lostLine: [
    JSON.parse(lostLine("json", { program: "spiped", toJournal: false, time: undefined }).replace("{lost}", "3")),
  ],
};

function* stateOfMany(): Generator<LogEntry> {
  const failures = [{ at: 0, entry: connections.endedEntry(failed) }];
  const common = { name: undefined, state: "listening", role: "decrypt", source: "a", target: "b" } as const;
  const open = new Array<ConnectionView>(22).fill(view);
  const tunnel = { ...common, connections: 22, strangers: 1, limit: 100, open, failures };
  const lastReload: state.ReloadState = {
    ageMs: 1,
    lastSuccessAgeMs: 1,
    failures: [{ what: "configuration", tunnel: undefined, isNamed: false, problem: "why" }],
  };
  yield* state.stateEntries({ signal: "SIGUSR1", version: "1.2.3", uptimeMs: 1, lastReload, tunnels: [tunnel] }, 1_000);
}

function tunnelMessages(): readonly LogEntry[] {
  const entries: LogEntry[] = [];
  const events = new TunnelEmitter();
  logTunnel(createLog({ write: (entry) => void entries.push(entry) }), events);
  events.emit("limitReached", 100);
  events.emit("listenFailed", new SpipedError("SPIPED_LISTEN", "cannot accept a connection: why"));
  events.emit("lookupFailed", new SpipedError("SPIPED_RESOLVE", "cannot resolve a:1: why"));
  events.emit("lookupRecovered", "a:1");
  events.emit("addressesChanged", "a:1", []);
  logTunnel(createLog({ write: (entry) => void entries.push(entry) }), new TunnelEmitter()).at(0);
  const other = new TunnelEmitter();
  logTunnel(createLog({ write: (entry) => void entries.push(entry) }), other);
  other.emit("descriptorsUsedUp", 5);
  return entries;
}

test("every function that makes a message has a sample in this test", () => {
  const makers = [service, keys, connections, state].flatMap((module) => Object.keys(module));
  const missing = makers.filter((name) => /Entr(y|ies)$/.test(name) && !(name in samples));
  assert.deepEqual(missing, []);
});

test("each message is listed with its level and its event, and nothing else is", () => {
  const rows = cellsBelow("Messages");
  const used = new Map<readonly string[], string>();
  for (const [maker, entries] of Object.entries(samples)) {
    for (const { message, level, event } of entries) {
      const fitting = rows.filter(([text = "", ...of]) => matches(text, message) && of[0] === level && of[1] === event);
      // The most specific row.
      const [row] = fitting.sort(([one = ""], [other = ""]) => other.length - one.length);
      assert.ok(row !== undefined, `${level} ${event}: ${message}`);
      assert.equal(used.get(row) ?? maker, maker, `${row[0]} is a row of two messages: ${message}`);
      used.set(row, maker);
    }
  }
  assert.deepEqual(
    rows.filter((row) => !used.has(row)).map(([text]) => text),
    [],
  );
});

test("messages are made in src/observe, or passed on unchanged", () => {
  for (const file of sourcesOf("")) {
    const text = readFileSync(file, "utf8");
    const found = file.includes("/observe/")
      ? null
      : /\.(?:notice|warning)\((?:"|`)(?!\$\{name\}: \$\{message\}`).*/.exec(text);
    assert.equal(found?.[0], undefined, file);
  }
});

test("each reason why a connection failed is listed with its code, and nothing else is", () => {
  const listed = cellsBelow("Why a connection failed").map(([text, code]) => `${code}: ${text}`);
  const made = ["net", "tunnel", "protocol"].flatMap(sourcesOf).flatMap((file) => {
    const thrown = readFileSync(file, "utf8").matchAll(/"?(SPIPED_\w+)"?[,:]\s*(?:`([^`]+)`|"([^"]+)")/g);
    return [...thrown].flatMap(([, code = "", template, text = template ?? ""]) => {
      const pattern = text.replaceAll(/\$\{[^}]*\}+/g, "…");
      const reason = isErrorCode(code) ? endReasonOf(new SpipedError(code, "")) : "failed";
      // The last one cancels what a connection still waits for, and is never reported.
      return reason === "failed" || /^…|^SPIPED_|^the connection has ended$/.test(pattern)
        ? []
        : [`${code}: ${pattern}`];
    });
  });
  assert.deepEqual([...new Set(made)].sort(), [...listed].sort());
});

function sourcesOf(folder: string): readonly string[] {
  const names = readdirSync(join(root, "src", folder), { recursive: true, encoding: "utf8" });
  return names.filter((name) => name.endsWith(".ts")).map((name) => join(root, "src", folder, name));
}

test("docs/troubleshooting.md quotes messages that the sources have", () => {
  const folders = ["observe", "net", "protocol", "tunnel", "errors.ts"].map((name) => join(root, "src", name));
  const files = folders.flatMap((path) =>
    path.endsWith(".ts")
      ? [path]
      : readdirSync(path, { recursive: true, encoding: "utf8" })
          .filter((name) => name.endsWith(".ts"))
          .map((name) => join(path, name)),
  );
  const sources = files.map((file) => readFileSync(file, "utf8")).join("\n");
  const tables = readPage("docs/troubleshooting.md").matchAll(/^\| log message .*\n.*\n((?:\|.*\n)+)/gm);
  const quoted = [...tables].flatMap(([, rows = ""]) =>
    [...rows.matchAll(/^\| (?:`` (.+?) ``|``(.+?)``|`(.+?)`)/gm)].map(
      ([, one, two, three]) => one ?? two ?? three ?? "",
    ),
  );
  assert.ok(quoted.length > 15);
  for (const message of quoted) {
    // Messages composed of several parts are quoted with colons in between; … stands for variable text.
    const pieces = message.split(/…|: |\(-n /).map((piece) => piece.replaceAll(/^[ ;,)?]+|[ ;,?]+$/g, ""));
    for (const piece of pieces.filter((piece) => piece !== "" && piece !== "hint")) {
      // A reason is written as one word.
      const reason = `"${piece.replaceAll(" ", "-")}"`;
      assert.ok(sources.includes(piece) || sources.includes(reason), `${message}: ${piece}`);
    }
  }
});
