// Detecting peers that are not spiped by their first bytes.

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { test } from "node:test";
import { type DetectedProtocol, detectProtocol, protocolName } from "#dist/protocol/detect-protocol.js";

const tlsAlert = Buffer.from("15030300020228", "hex");
const clientHello = Buffer.from("16030100c8010000c40303", "hex");

const peers: ReadonlyArray<readonly [sent: string | Uint8Array, kind: DetectedProtocol["kind"], words: string]> = [
  ["HTTP/1.1 400 Bad Request\r\nServer: x\r\n\r\n", "http", 'HTTP ("HTTP/1.1 400 Bad Request")'],
  ["HTTP/1.0 400", "http", 'HTTP ("HTTP/1.0 400")'],
  ["GET / HTTP/1.1\r\nHost: far\r\n", "http", 'HTTP ("GET / HTTP/1.1")'],
  ["PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "http", 'HTTP ("PRI * HTTP/2.0")'],
  ["SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n", "ssh", 'SSH ("SSH-2.0-OpenSSH_9.2p1 Debian-2")'],
  ["220 mail.example ESMTP, and who are you?\r\n", "text", 'text ("220 mail.example ESMTP, and who are you?")'],
  [tlsAlert, "tls", "TLS"],
  [clientHello, "tls", "TLS"],
  ["PROXY TCP4 192.0.2.1 192.0.2.2 5 6\r\n", "proxy-header", "the PROXY protocol of load balancers"],
  ["\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c", "proxy-header", "the PROXY protocol of load balancers"],
];

const bytesOf = (sent: string | Uint8Array) => (typeof sent === "string" ? Buffer.from(sent, "latin1") : sent);

for (const [sent, kind, words] of peers) {
  test(`detects ${JSON.stringify(words)}, with and without garbage after it`, () => {
    for (const bytes of [bytesOf(sent), Buffer.concat([bytesOf(sent), Uint8Array.of(0x80), randomBytes(300)])]) {
      const recognized = detectProtocol(bytes);
      assert.equal(recognized?.kind, kind);
      assert.equal(recognized === undefined ? "" : protocolName(recognized), words);
    }
  });
}

test("detects nothing in empty data, random bytes, and their first bytes", () => {
  assert.equal(detectProtocol(new Uint8Array(0), { isAll: true }), undefined);
  for (let round = 0; round < 2_000; round += 1) {
    const bytes = randomBytes(320);
    bytes[20] = 0x80;
    assert.equal(detectProtocol(bytes), undefined);
    assert.equal(detectProtocol(bytes.subarray(0, 32), { isAll: true }), undefined);
  }
});

test("takes a few letters for text only if no more data follows", () => {
  const bytes = Buffer.from("-ERR unknown command\r\n");
  assert.equal(detectProtocol(bytes), undefined);
  assert.deepEqual(detectProtocol(bytes, { isAll: true }), { kind: "text", excerpt: "-ERR unknown command" });
  assert.equal(detectProtocol(Buffer.from("hello\x00"), { isAll: true }), undefined);
  assert.equal(detectProtocol(Buffer.alloc(31, "a")), undefined);
  assert.equal(detectProtocol(Buffer.alloc(32, "a"))?.kind, "text");
});

test("an excerpt is one line of ASCII without control characters, and 60 characters at most", () => {
  for (const sent of [
    `${"a".repeat(61)}\nsecond line`,
    `\r\n\r\n${"b\tc".repeat(40)}`,
    "SSH-2.0-\x1b[2Jevil and so on and so on and so on",
    "HTTP/1.1 200 OK\x07\x07\x07",
    "\n".repeat(40),
  ]) {
    const recognized = detectProtocol(Buffer.from(sent, "latin1"));
    assert.ok(recognized !== undefined && "excerpt" in recognized, JSON.stringify(sent));
    assert.match(recognized.excerpt, /^[\x20-\x7e]{0,60}$/);
  }
  assert.deepEqual(detectProtocol(Buffer.alloc(60, "a")), { kind: "text", excerpt: "a".repeat(60) });
  assert.deepEqual(detectProtocol(Buffer.alloc(61, "a")), { kind: "text", excerpt: `${"a".repeat(57)}...` });
});

const tls = { kind: "tls" };
for (const [what, bytes, expected] of [
  ["an alert, a warning", [21, 3, 3, 0, 2, 1, 0], tls],
  ["an alert, fatal", [21, 3, 4, 0, 2, 2, 0], tls],
  ["an alert of no level", [21, 3, 3, 0, 2, 3, 0], undefined],
  ["an alert of another length", [21, 3, 3, 0, 3, 1, 0], undefined],
  ["an alert of another length in its higher byte", [21, 3, 3, 1, 2, 1, 0], undefined],
  ["the hello of a client", [22, 3, 1, 2, 0, 1, 0], tls],
  ["the hello of a server", [22, 3, 0, 2, 0, 2, 0], tls],
  ["no hello", [22, 3, 1, 2, 0, 3, 0], undefined],
  ["a hello that is too long", [22, 3, 1, 2, 0, 1, 1], undefined],
  ["the longest record", [22, 3, 1, 0x40, 0, 1, 0], tls],
  ["a longer record", [22, 3, 1, 0x40, 1, 1, 0], undefined],
  ["a record of data", [23, 3, 1, 2, 0, 1, 0], undefined],
  ["version 2", [22, 2, 1, 2, 0, 1, 0], undefined],
  ["a version to come", [22, 3, 5, 2, 0, 1, 0], undefined],
  ["a record that ends behind its length", [21, 3, 3, 0, 2], undefined],
] as const) {
  test(`TLS is distinguished from near misses: ${what}`, () => {
    assert.deepEqual(detectProtocol(Uint8Array.from(bytes)), expected);
  });
}

for (const text of [
  "we ask for GET / HTTP/1.1 here, and are no HTTP",
  "we are no PROXY TCP4 127.0.0.1 127.0.0.1 1 2",
  "we do not speak SSH-2.0, whatever we write here",
]) {
  test(`anything else readable is text: ${text}`, () => {
    assert.equal(detectProtocol(Buffer.from(text))?.kind, "text");
  });
}
