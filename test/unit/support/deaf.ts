// A loopback address that never answers: its listener accepts nobody and its backlog is full, so the system silently
// drops further connections.

import { closeSync } from "node:fs";
import { connect } from "node:net";
import type { TestContext } from "node:test";
import { codeOf } from "#dist/errors.js";
import { addon } from "#dist/native/native.js";
import type { TcpAddress } from "#dist/net/address.js";
import { freePort } from "../../support/addresses.js";
import { afterwards, within } from "../../support/cleanup.js";
import { eventLoopTurns } from "./sink.js";

const backlog = 1;
/** More than any system queues in such a backlog. */
const fillers = 8;

/** A new deaf address. Call it before timers are mocked. */
export async function deafAddress(t: TestContext): Promise<TcpAddress> {
  const port = await listen(t);
  const connected = Array.from({ length: fillers }, () => {
    const socket = connect({ host: "127.0.0.1", port });
    socket.on("error", () => undefined);
    afterwards(t, () => socket.destroy());
    return new Promise<void>((resolve) => socket.once("connect", resolve));
  });
  await within(Promise.race(connected), "a backlog to take its first connection");
  await eventLoopTurns();
  return { kind: "tcp", family: 4, address: "127.0.0.1", port };
}

async function listen(t: TestContext): Promise<number> {
  for (;;) {
    const port = await freePort("127.0.0.1");
    try {
      const descriptor = addon.listenTcp("127.0.0.1", port, backlog);
      afterwards(t, () => closeSync(descriptor));
      return port;
    } catch (error) {
      if (codeOf(error) !== "EADDRINUSE") throw error;
    }
  }
}
