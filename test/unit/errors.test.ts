// The closed lists of what can go wrong: each code stands for one reason, and each reason has words.

import assert from "node:assert/strict";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import { codeOf, type EndReason, type ErrorCode, endReasonOf, messageOf, SpipedError } from "#dist/errors.js";
import { endedEntry } from "#dist/observe/connection-entries.js";
import { systemReason } from "#dist/system-reason.js";
import { temporaryFolder } from "../support/cleanup.js";
import { root } from "./support/paths.js";

/** What each code must end a connection with, as docs/protocol.md has it. */
const reasons: Readonly<Record<ErrorCode, EndReason>> = {
  SPIPED_USAGE: "failed",
  SPIPED_CONFIG: "failed",
  SPIPED_OPTION: "failed",
  SPIPED_ADDRESS: "failed",
  SPIPED_KEY_FILE: "failed",
  SPIPED_LISTEN: "failed",
  SPIPED_RESOLVE: "connect-failed",
  SPIPED_ADDON: "failed",
  SPIPED_PID_FILE: "failed",
  SPIPED_USER: "failed",
  SPIPED_DAEMON: "failed",
  SPIPED_LIMIT: "failed",
  SPIPED_OUTPUT: "failed",
  SPIPED_CONNECT: "connect-failed",
  SPIPED_TIMEOUT: "timed-out",
  SPIPED_RESET: "reset",
  SPIPED_TRUNCATED: "truncated",
  SPIPED_HANDSHAKE_ENDED: "handshake-failed",
  SPIPED_WRONG_MAC: "handshake-failed",
  SPIPED_SAME_ROLE: "handshake-failed",
  SPIPED_DH_OUT_OF_RANGE: "handshake-failed",
  SPIPED_FORWARD_SECRECY_REQUIRED: "handshake-failed",
  SPIPED_PACKET_MAC: "packet-rejected",
  SPIPED_PACKET_LENGTH: "packet-rejected",
  SPIPED_PACKET_NUMBERS_USED_UP: "failed",
  SPIPED_CANCELLED: "cancelled",
  SPIPED_CROWDED_OUT: "crowded-out",
  SPIPED_BUFFER: "failed",
  SPIPED_STEP: "failed",
  SPIPED_RANDOM: "failed",
  SPIPED_INTERNAL: "failed",
};

for (const [code, reason] of Object.entries(reasons) as readonly [ErrorCode, EndReason][]) {
  test(`${code} ends a connection as "${reason}", and a line says so`, () => {
    const error = new SpipedError(code, "the words");
    assert.equal(endReasonOf(error), reason);
    const { message } = endedEntry({
      id: 1,
      keyName: undefined,
      handshakeMs: undefined,
      reason,
      error,
      phase: "piping",
      source: "somebody",
      bytesForward: 0,
      bytesReverse: 0,
      durationMs: 0,
    });
    assert.match(message, /^connection from somebody: [a-z -]+: the words \(/);
  });
}

test("every code in the source is in the table above", () => {
  const source = readFileSync(join(root, "src/errors.ts"), "utf8");
  const named = new Set([...source.matchAll(/"(SPIPED_[A-Z_]+)"/g)].map(([, code]) => code));
  assert.deepEqual([...named].sort(), Object.keys(reasons).sort());
});

test("every code that the addon throws is in the table above", () => {
  const source = readFileSync(join(root, "crates/spiped-napi/src/errors.rs"), "utf8");
  const thrown = [...source.matchAll(/"(SPIPED_[A-Z_]+)"/g)].map(([, code]) => code);
  assert.ok(thrown.length > 0);
  assert.deepEqual(
    thrown.filter((code) => code === undefined || !(code in reasons)),
    [],
  );
});

test("an error carries its code, its cause and its hint, and is an Error", () => {
  const cause = new Error("deeper");
  const error = new SpipedError("SPIPED_LISTEN", "cannot", { cause, hint: "do this" });
  assert.ok(error instanceof Error);
  assert.deepEqual(
    [error.name, error.code, error.message, error.hint, error.cause],
    ["SpipedError", "SPIPED_LISTEN", "cannot", "do this", cause],
  );
  const plain = new SpipedError("SPIPED_LISTEN", "cannot");
  assert.equal(plain.hint, undefined);
  assert.ok(!("cause" in plain));
});

test("anything thrown has a text, and a code if it is an error with one", () => {
  assert.equal(messageOf(new Error("words")), "words");
  assert.equal(messageOf("words"), "words");
  assert.equal(messageOf(undefined), "undefined");
  assert.equal(codeOf(Object.assign(new Error("x"), { code: "EPIPE" })), "EPIPE");
  for (const thrown of [Object.assign(new Error("x"), { code: 7 }), new Error("x"), { code: "EPIPE" }, null, "EPIPE"]) {
    assert.equal(codeOf(thrown), undefined);
  }
});

for (const [message, code, reason] of [
  ["listen: Address already in use", "EADDRINUSE", "address already in use"],
  ["start a thread: Resource temporarily unavailable", "EAGAIN", "resource temporarily unavailable"],
  ["open: No space left on device", "ENOSPC", "no space left on device"],
  ["EACCES: permission denied, open '/a, b'", "EACCES", "permission denied"],
  ["listen EADDRINUSE: address already in use 127.0.0.1:80", "EADDRINUSE", "address already in use"],
  ["listen EADDRINUSE: address already in use :::80", "EADDRINUSE", "address already in use"],
  ["connect ENOENT /run/s", "ENOENT", "no such file or directory"],
  ["connect ECONNREFUSED 127.0.0.1:80 - Local (127.0.0.1:0)", "ECONNREFUSED", "connection refused"],
  ["spawn /usr/bin/a b EACCES", "EACCES", "permission denied"],
  ["a word that looks like ESTRANGE", "ESTRANGE", "a word that looks like ESTRANGE"],
  ["its folder is not writable", "EACCES", "its folder is not writable"],
  ["ARP: why", undefined, "ARP: why"],
] as const) {
  test(`the system's reason in ${JSON.stringify(message)} is ${JSON.stringify(reason)}`, () => {
    assert.equal(systemReason(Object.assign(new Error(message), code === undefined ? {} : { code })), reason);
  });
}

test("the system's reason has no path, whatever it consists of", async (t) => {
  for (const name of ["none/a b: c", "none/x, y", "none/\n2", "none/7"]) {
    const path = join(await temporaryFolder(t), name);
    const failures = [createServer().listen(path), connect(path)].map((socket) => once(socket, "error"));
    for (const [error] of await Promise.all(failures)) {
      assert.match(error.message, /none/);
      assert.match(systemReason(error), /^[a-z ]+$/);
    }
  }
});
