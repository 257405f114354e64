// Pending socket errors that Node reports as an orderly end.

import assert from "node:assert/strict";
import { once } from "node:events";
import { closeSync, openSync } from "node:fs";
import { connect, Socket } from "node:net";
import { type TestContext, test } from "node:test";
import { pendingSocketError } from "#dist/net/socket-error.js";
import { type AddressKind, socketOptionsOf } from "../../support/addresses.js";
import { afterwards, limits, until } from "../../support/cleanup.js";
import { Listener } from "../../support/listener.js";
import type { TestSocket } from "../../support/test-socket.js";
import { eventLoopTurns } from "../support/sink.js";

/** A socket that does not read, so that only the test queries its error. */
async function connected(t: TestContext, kind: AddressKind): Promise<{ socket: Socket; peer: TestSocket }> {
  const listener = await Listener.listen(t, kind);
  const socket = connect({ ...socketOptionsOf(listener.address), allowHalfOpen: true }).pause();
  afterwards(t, () => socket.destroy());
  socket.on("error", () => undefined);
  await once(socket, "connect");
  return { socket, peer: await listener.next() };
}

test("a reset right after data is reported once, by its code", limits, async (t) => {
  const { socket, peer } = await connected(t, "tcp");
  await peer.write("the data");
  assert.equal(pendingSocketError(socket), undefined);
  peer.reset();
  await peer.closed();
  assert.equal(await until(async () => pendingSocketError(socket), "the reset to be known"), "ECONNRESET");
  assert.equal(pendingSocketError(socket), undefined);
});

for (const kind of ["tcp", "tcp6", "unix"] as const) {
  test(`${kind}: an orderly end is not an error, with or without data before it`, limits, async (t) => {
    for (const data of ["", "the data"]) {
      const { socket, peer } = await connected(t, kind);
      if (data !== "") await peer.write(data);
      peer.finish();
      const ended = once(socket, "end");
      socket.resume();
      await ended;
      assert.equal(pendingSocketError(socket), undefined);
    }
  });

  test(`${kind}: an open socket has no error`, limits, async (t) => {
    const { socket } = await connected(t, kind);
    assert.equal(pendingSocketError(socket), undefined);
  });

  test(`${kind}: a destroyed socket has no error`, limits, async (t) => {
    const { socket } = await connected(t, kind);
    socket.destroy();
    assert.equal(pendingSocketError(socket), undefined);
    await eventLoopTurns();
    assert.equal(pendingSocketError(socket), undefined);
  });
}

test("a socket that was never connected has no error", () => {
  assert.equal(pendingSocketError(new Socket()), undefined);
});

test("a descriptor that is not a socket has no error", (t) => {
  const descriptor = openSync("/dev/null", "r");
  afterwards(t, () => closeSync(descriptor));
  assert.equal(pendingSocketError(withHandle({ fd: descriptor })), undefined);
});

// A version of Node that hides the descriptor, or stores it elsewhere.
for (const [what, handle] of [
  ["no handle", undefined],
  ["a handle that is no object", 7],
  ["a handle without a descriptor", {}],
  ["a descriptor that is no number", { fd: "3" }],
  ["a descriptor that is closed", { fd: -1 }],
] as const) {
  test(`a socket with ${what} has no error`, () => {
    assert.equal(pendingSocketError(withHandle(handle)), undefined);
  });
}

function withHandle(handle: unknown): Socket {
  return Object.assign(new Socket(), { _handle: handle });
}
