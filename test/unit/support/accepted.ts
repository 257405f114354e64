// How many connections a listener has had by now, without waiting for some that may never come.

import type { TestContext } from "node:test";
import type { Listener } from "../../support/listener.js";
import { TestSocket } from "../../support/test-socket.js";

/**
 * How many connections had come to a listener when this was called; the test does not get to see them any more. They are
 * accepted in their order, so when a new one has been accepted, all earlier ones have been.
 */
export async function acceptedBefore(t: TestContext, listener: Listener): Promise<number> {
  const marker = await TestSocket.connect(t, listener.address);
  if (listener.address.kind === "unix") {
    // Connections to UNIX sockets have no names, so from here on each one is greeted.
    listener.onConnection(({ socket }) => socket.write("welcome"));
    await marker.read("welcome".length);
    return listener.acceptedCount - 1;
  }
  for (let count = 0; ; count += 1) {
    const { socket } = await listener.next();
    if (socket.remotePort === marker.socket.localPort) return count;
  }
}
