// Silent strangers at our spiped -d, forty a second with default flags: clients of both implementations connect at once.

import assert from "node:assert/strict";
import { test } from "node:test";
import { limits } from "../support/cleanup.js";
import { expectAll } from "../support/expect.js";
import { Listener } from "../support/listener.js";
import { ours, withCOriginal } from "../support/programs.js";
import { TestSocket } from "../support/test-socket.js";
import { newKey, startSpiped } from "../support/tunnel.js";

/** More than forty a second times the five seconds of -o. */
const crowd = 220;
const friends = 8;

withCOriginal((c) => {
  for (const program of [ours, c]) {
    test(
      `${friends} clients of ${program.name} connect to our server while ${crowd} silent strangers wait`,
      limits,
      async (t) => {
        const key = await newKey(t);
        const target = await Listener.listen(t, "tcp");
        target.echo();
        const common = { source: "tcp", key } as const;
        // The default -n, and a timeout that the strangers do not reach during the test.
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
