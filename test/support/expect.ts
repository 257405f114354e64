// Assertions about bytes received on a socket.

import assert from "node:assert/strict";
import type { SocketEnd } from "./test-socket.js";

/** All bytes received, and how the stream ended. */
export interface Received {
  readonly bytes: Uint8Array;
  readonly end: SocketEnd;
}

/** Asserts that bytes are equal, without printing a megabyte on failure. */
export function expectBytes(actual: Uint8Array, expected: Uint8Array | string): void {
  const wanted = Buffer.from(expected);
  if (wanted.equals(actual)) return;
  assert.equal(actual.length, wanted.length, "as many bytes as were sent");
  const at = actual.findIndex((byte, index) => byte !== wanted[index]);
  assert.fail(`of ${wanted.length} bytes, the one at ${at} is the first that differs`);
}

/** Asserts what was received and how it ended; default an orderly end. */
export function expectAll(received: Received, expected: Uint8Array | string, end: SocketEnd = "fin"): void {
  expectBytes(received.bytes, expected);
  assert.equal(received.end, end);
}
