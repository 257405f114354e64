// IPv6 addresses without brackets, which both implementations accept: they are split at the last colon.

import { test } from "node:test";
import { freePort } from "../support/addresses.js";
import { limits } from "../support/cleanup.js";
import { Command } from "../support/command.js";
import { expectAll } from "../support/expect.js";
import { Listener } from "../support/listener.js";
import { untilListening } from "../support/listening.js";
import { ours, pairOf, pairsWith, withCOriginal } from "../support/programs.js";
import { TestSocket } from "../support/test-socket.js";
import { newKey, patience } from "../support/tunnel.js";

withCOriginal((c) => {
  for (const { client, server, name } of [...pairsWith(c), pairOf(ours, ours)]) {
    test(`${name} accepts IPv6 addresses without brackets`, limits, async (t) => {
      const key = await newKey(t);
      const target = await Listener.listen(t, "tcp6");
      if (target.address.kind !== "tcp") throw new Error("a TCP address");
      target.echo();
      const [far, near] = [await freePort("::1"), await freePort("::1")];
      const start = async (args: readonly string[], source: number, to: number, end: string) => {
        const flags = ["-F", end, "-s", `::1:${source}`, "-t", `0:0::1:${to}`, "-k", key.path, ...patience];
        const command = Command.start(t, [args[0] ?? "", ...args.slice(1), ...flags], { stdin: "ignore" });
        await untilListening(command, { kind: "tcp", host: "::1", port: source });
      };
      await start(server.spiped, far, target.address.port, "-d");
      await start(client.spiped, near, far, "-e");
      const app = await TestSocket.connect(t, { kind: "tcp", host: "::1", port: near });
      await app.write("hello");
      app.finish();
      expectAll(await app.readToEnd(), "hello");
    });
  }
});
