// Data through tunnels that have the C original at one end or at both, over TCP and over UNIX sockets.

import { test } from "node:test";
import { limits } from "../support/cleanup.js";
import { pairsWith, withCOriginal } from "../support/programs.js";
import { carriesBothWaysAtOnce, carriesManyAtOnce, carriesReplyAfterEnd } from "../support/scenarios.js";
import { startTunnel } from "../support/tunnel.js";

const MiB = 1024 * 1024;

withCOriginal((c) => {
  for (const pair of pairsWith(c)) {
    for (const kind of ["tcp", "unix"] as const) {
      const where = `${pair.name} on ${kind}`;
      // The original at both ends only verifies the test itself, so it carries less.
      const isControl = pair.client === c && pair.server === c;
      const mebibytes = isControl ? 8 : 64;
      const connections = isControl ? 20 : 100;

      test(`${where} carries ${mebibytes} MiB in both directions at once`, limits, async (t) => {
        await carriesBothWaysAtOnce(await startTunnel(t, { pair, kind }), mebibytes * MiB);
      });

      test(`${where} carries ${connections} connections at once`, limits, async (t) => {
        // The original's client fails on a UNIX socket whose backlog is full, and its server's backlog is 10.
        const openedTogether = kind === "unix" && isControl ? 8 : connections;
        await carriesManyAtOnce(await startTunnel(t, { pair, kind }), connections, openedTogether);
      });

      for (const [clientFlags, serverFlags] of [
        [[], []],
        [["-f"], []],
        [[], ["-f"]],
        [["-f"], ["-f"]],
        [["-g"], ["-g"]],
      ] as const) {
        const flags = `client flags [${clientFlags}] and server flags [${serverFlags}]`;
        test(`${where} with ${flags} carries 0 bytes, 1 byte and a reply after the end`, limits, async (t) => {
          const tunnel = await startTunnel(t, { pair, kind, clientFlags, serverFlags });
          for (const lengthBytes of [0, 1, 1024, 100_000]) await carriesReplyAfterEnd(tunnel, lengthBytes);
        });
      }
    }
  }
});
