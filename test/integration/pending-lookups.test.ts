// A name server that never answers: spiped exits on a signal, without waiting for the lookup.

import assert from "node:assert/strict";
import { test } from "node:test";
import { freeAddress, textOf } from "../support/addresses.js";
import { limits } from "../support/cleanup.js";
import { ours } from "../support/programs.js";
import { untilAsked, withSilentNameServer } from "../support/silent-name-server.js";
import { newKey } from "../support/tunnel.js";

withSilentNameServer((start) => {
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    test(`spiped exits on ${signal} while a lookup gets no answer`, limits, async (t) => {
      const key = await newKey(t);
      const source = textOf(await freeAddress(t, "unix"));
      const args = [...ours.spiped, "-F", "-d", "-s", source, "-t", "far.test:80", "-k", key.path] as const;
      const command = await start(t, args, { stdin: "ignore" });
      await untilAsked(command);
      command.signal(signal);
      assert.deepEqual(await command.exit(), { status: 0, signal: null });
    });
  }
});
