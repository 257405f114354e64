// Both implementations with a wrong key, with forward secrecy refused, and with the target down.

import assert from "node:assert/strict";
import { test } from "node:test";
import { freeAddress, textOf } from "../support/addresses.js";
import { limits } from "../support/cleanup.js";
import { expectAll } from "../support/expect.js";
import { type Pair, pairsWith, withCOriginal } from "../support/programs.js";
import { handshakeEnded, noForwardSecrecy, reasonsOf, untilReason, wrongMac } from "../support/reasons.js";
import { newKey, startTunnel, stopAndGetLines, type Tunnel } from "../support/tunnel.js";

/** One connection fails; then each end of ours that can know the reason has logged it exactly once. */
async function connectionFails(
  tunnel: Tunnel,
  pair: Pair,
  reasons: { client?: string; server?: string },
): Promise<void> {
  const app = await tunnel.connect();
  await app.write("hello");
  const { bytes } = await app.readToEnd();
  assert.equal(bytes.length, 0);
  for (const role of ["client", "server"] as const) {
    const reason = reasons[role];
    if (pair[role].name !== "ours" || reason === undefined) continue;
    await untilReason(tunnel[role].command);
    assert.deepEqual(reasonsOf(tunnel[role]), [reason]);
  }
}

withCOriginal((c) => {
  for (const pair of pairsWith(c)) {
    for (const kind of ["tcp", "unix"] as const) {
      const where = `${pair.name} on ${kind}`;
      const isOurServer = pair.server.name === "ours";

      test(`${where} sends no data to a client with another key`, limits, async (t) => {
        const clientKey = await newKey(t);
        const tunnel = await startTunnel(t, { pair, kind, clientKey });
        await connectionFails(tunnel, pair, { client: handshakeEnded(32, "-e"), server: wrongMac });
        // The original dials before the client is authenticated.
        if (isOurServer) assert.equal(tunnel.target.acceptedCount, 0);
      });

      test(`${where} refuses a client with -f if the server has -g`, limits, async (t) => {
        const tunnel = await startTunnel(t, { pair, kind, clientFlags: ["-f"], serverFlags: ["-g"] });
        await connectionFails(tunnel, pair, { client: handshakeEnded(32, "-e -f"), server: noForwardSecrecy });
        if (isOurServer) assert.equal(tunnel.target.acceptedCount, 0);
      });

      test(`${where} refuses a server with -f if the client has -g`, limits, async (t) => {
        const tunnel = await startTunnel(t, { pair, kind, clientFlags: ["-g"], serverFlags: ["-f"] });
        // The server has finished its handshake by then, and sees a client that ends without sending.
        await connectionFails(tunnel, pair, { client: noForwardSecrecy });
        const service = await tunnel.target.next();
        expectAll(await service.readToEnd(), "");
      });

      test(`${where} closes a connection whose target is down, and keeps accepting`, limits, async (t) => {
        const targetAddress = await freeAddress(t, kind);
        const tunnel = await startTunnel(t, { pair, kind, targetAddress });
        for (const attempt of [1, 2]) {
          const app = await tunnel.connect();
          await app.write("hello");
          assert.equal((await app.readToEnd()).bytes.length, 0);
          if (isOurServer) await untilReason(tunnel.server.command, attempt);
        }
        if (!isOurServer) return;
        await stopAndGetLines(tunnel.server);
        const words = kind === "unix" ? "no such socket" : "connection refused";
        const reason = `connect failed: cannot connect to ${textOf(targetAddress)}: ${words}`;
        assert.deepEqual(reasonsOf(tunnel.server), [reason, reason]);
      });
    }
  }
});
