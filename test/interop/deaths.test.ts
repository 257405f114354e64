// Our end is killed in the middle of a transfer: we do not pretend an orderly end to the C original's end, which turns
// the reset into a close.

import assert from "node:assert/strict";
import { test } from "node:test";
import { limits } from "../support/cleanup.js";
import { ours, pairOf, withCOriginal } from "../support/programs.js";
import { startTunnel } from "../support/tunnel.js";

const muchBytes = 16 * 1_024 * 1_024;

withCOriginal((c) => {
  for (const [pair, which] of [
    [pairOf(ours, c), "client"],
    [pairOf(c, ours), "server"],
  ] as const) {
    test(
      `${pair.name}: killing our ${which} resets the program behind it, and the original closes the other side`,
      limits,
      async (t) => {
        const tunnel = await startTunnel(t, { pair });
        const { app, service } = await tunnel.connectThrough();
        const [behindOurs, behindC] = which === "client" ? [app, service] : [service, app];
        behindC.writeRandomData("data", muchBytes).catch(() => undefined);
        await behindOurs.read(100_000);
        tunnel[which].command.signal("SIGKILL");
        await tunnel[which].command.exit();
        assert.equal(await behindOurs.endWhileOpen(), "reset");
        await behindC.untilWritesFail();
      },
    );
  }
});
