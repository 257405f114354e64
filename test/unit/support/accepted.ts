// How many connections a listener has had by now, without waiting for some that may never come.

import type { TestContext } from "node:test";
import type { Listener } from "../../support/listener.js";
import { TestSocket } from "../../support/test-socket.js";

/**
 * How many connections had reached a listener when this was called. They are accepted in order, so once a new one has
 * been accepted, all earlier ones have been. The test no longer gets to see them.
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
