// Silent strangers at our spiped -d, forty a second with the usual flags: friends of either kind get through at once.

import assert from "node:assert/strict";
import { test } from "node:test";
import { limits } from "../support/cleanup.js";
import { expectAll } from "../support/expect.js";
import { Listener } from "../support/listener.js";
import { ours, withCOriginal } from "../support/programs.js";
import { TestSocket } from "../support/test-socket.js";
import { newKey, startSpiped } from "../support/tunnel.js";

/** As many as forty a second are in the five seconds of -o, and some more. */
const crowd = 220;
const friends = 8;

withCOriginal((c) => {
  for (const program of [ours, c]) {
    test(
      `${friends} clients of ${program.name} reach our server behind ${crowd} silent strangers`,
      limits,
      async (t) => {
        const key = await newKey(t);
        const target = await Listener.listen(t, "tcp");
        target.echo();
        const common = { source: "tcp", key } as const;
        // With the usual -n, and a limit of time that the strangers do not reach during the test.
        const server = await startSpiped(t, { ...common, end: "-d", target: target.address, flags: ["-o", "60"] });
        const client = await startSpiped(t, {
          ...common,
          program,
          end: "-e",
          target: server.source,
          flags: ["-o", "60"],
        });
        const connectStranger = () => TestSocket.connect(t, server.source);
        const strangers = await Promise.all(Array.from({ length: crowd }, connectStranger));
        for (const stranger of strangers) await stranger.read(32);
        const before = target.acceptedCount;
        for (let count = 0; count < friends; count += 1) {
          const app = await TestSocket.connect(t, client.source);
          await app.write("hello");
          app.finish();
          expectAll(await app.readToEnd(), "hello");
        }
        assert.equal(target.acceptedCount - before, friends);
        for (const stranger of strangers) assert.equal(stranger.socket.destroyed, false);
      },
    );
  }
});
