// What is reported about the peer of a failed handshake, by what it has sent.

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { test } from "node:test";
import { type ErrorCode, SpipedError } from "#dist/errors.js";
import { type FailedHandshake, type Recognized, recognize } from "#dist/tunnel/recognition.js";

const nonce = Uint8Array.from({ length: 32 }, (_, index) => 0x80 + index);

function failed(code: ErrorCode, more: Partial<FailedHandshake>): ReturnType<typeof recognize> {
  const error = new SpipedError(code, "how it ended");
  return recognize({ role: "encrypt", error, seen: undefined, waiting: undefined, ...more });
}

const cases: ReadonlyArray<readonly [string, ErrorCode, Partial<FailedHandshake>, Recognized | undefined, RegExp]> = [
  [
    "text",
    "SPIPED_WRONG_MAC",
    { seen: Buffer.from(`HTTP/1.0 400 Bad Request\r\n${"x".repeat(300)}`) },
    "http",
    /^the peer is not spiped: it speaks HTTP \("HTTP\/1\.0 400 Bad Request"\)$/,
  ],
  [
    "text, and an end",
    "SPIPED_HANDSHAKE_ENDED",
    { role: "decrypt", seen: Buffer.from("SSH-2.0-OpenSSH_9.2\r\n") },
    "ssh",
    /^how it ended; the peer is not spiped: it speaks SSH \("SSH-2\.0-OpenSSH_9\.2"\)$/,
  ],
  [
    "a short text and no more",
    "SPIPED_TIMEOUT",
    { seen: Buffer.from("-ERR wrong\r\n") },
    "text",
    /^how it ended; .*text \("-ERR wrong"\)$/,
  ],
  ["TLS", "SPIPED_RESET", { seen: Buffer.from("15030300020228", "hex") }, "tls", /^how it ended; .* it speaks TLS$/],
  [
    "a PROXY header",
    "SPIPED_WRONG_MAC",
    { role: "decrypt", seen: Buffer.from("PROXY TCP4 192.0.2.1 192.0.2.2 5 6\r\n") },
    "proxy-header",
    /PROXY protocol/,
  ],
  [
    "nothing, at a client",
    "SPIPED_TIMEOUT",
    { seen: new Uint8Array() },
    "silent",
    /^how it ended; .*\(0 of 320 handshake bytes\)$/,
  ],
  [
    "nothing, at a server",
    "SPIPED_HANDSHAKE_ENDED",
    { role: "decrypt", seen: new Uint8Array() },
    "silent",
    /^how it ended$/,
  ],
  ["a client, at a client", "SPIPED_SAME_ROLE", { seen: nonce }, "same-role", /^how it ended$/],
  [
    "a server that waits, at a server",
    "SPIPED_TIMEOUT",
    { role: "decrypt", seen: nonce },
    "same-role",
    /^how it ended; the peer is waiting too, as a server does \(32 of 320 handshake bytes\)$/,
  ],
  [
    "a service, behind which a client's client waits",
    "SPIPED_WRONG_MAC",
    { seen: Buffer.from("SSH-2.0-OpenSSH_9.2\r\n"), waiting: nonce },
    "client-of-client",
    /^the peer speaks SSH .*, and the client looks like spiped too$/,
  ],
  [
    "nothing, behind which a client's client waits",
    "SPIPED_TIMEOUT",
    { seen: new Uint8Array(), waiting: nonce },
    "client-of-client",
    /^how it ended; the peer sent nothing .*, and the client looks like spiped too/,
  ],
  ["random bytes", "SPIPED_WRONG_MAC", { seen: randomBytes(320) }, undefined, /^how it ended$/],
  ["a nonce and an end", "SPIPED_HANDSHAKE_ENDED", { role: "decrypt", seen: nonce }, undefined, /^how it ended$/],
  ["a nonce and no more, at a client", "SPIPED_TIMEOUT", { seen: nonce }, undefined, /^how it ended$/],
  ["what nobody knows", "SPIPED_TIMEOUT", {}, undefined, /^how it ended$/],
];

for (const [what, code, more, recognized, message] of cases) {
  test(`${what} is ${recognized ?? "not recognized"} (${code})`, () => {
    const found = failed(code, more);
    assert.equal(found.recognized?.kind, recognized);
    assert.match(found.error.message, message);
    assert.equal(found.error.code, code, "how it ended stays what it was");
  });
}

test("a program that waits at an -e is not taken for a spiped client because of what it has sent", () => {
  const seen = new Uint8Array();
  const text = Buffer.from("GET /index.html HTTP/1.1\r\nHost: far\r\n").subarray(0, 32);
  for (const waiting of [text, nonce.subarray(1), Buffer.concat([nonce, nonce]).subarray(0, 33), new Uint8Array()]) {
    assert.equal(failed("SPIPED_TIMEOUT", { seen, waiting }).recognized?.kind, "silent");
  }
});

test("errors that are not the peer's fault say nothing about the peer", () => {
  for (const code of ["SPIPED_CANCELLED", "SPIPED_CROWDED_OUT", "SPIPED_INTERNAL", "SPIPED_DH_OUT_OF_RANGE"] as const) {
    assert.equal(failed(code, { seen: new Uint8Array() }).recognized, undefined);
  }
});
