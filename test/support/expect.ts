// What a test says of the bytes that came over a socket.

import assert from "node:assert/strict";
import type { SocketEnd } from "./test-socket.js";

/** Everything that came over a socket, and how it ended. */
export interface Received {
  readonly bytes: Uint8Array;
  readonly end: SocketEnd;
}

/** Asserts that bytes are equal, without printing a megabyte of them when they are not. */
export function expectBytes(actual: Uint8Array, expected: Uint8Array | string): void {
  const wanted = Buffer.from(expected);
  if (wanted.equals(actual)) return;
  assert.equal(actual.length, wanted.length, "as many bytes as were sent");
  const at = actual.findIndex((byte, index) => byte !== wanted[index]);
  assert.fail(`of ${wanted.length} bytes, the one at ${at} is the first that differs`);
}

/** Asserts what came and how it ended; an orderly end when `end` is absent. */
export function expectAll(received: Received, expected: Uint8Array | string, end: SocketEnd = "fin"): void {
  expectBytes(received.bytes, expected);
  assert.equal(received.end, end);
}
