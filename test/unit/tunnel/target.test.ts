// Where connections go: each dials the addresses known when it begins.

import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { parseAddress, type SocketAddress } from "#dist/net/address.js";
import { DescriptorBudget } from "#dist/net/descriptors.js";
import { createReadBuffer } from "#dist/net/socket-reader.js";
import { DialedTargets, type Target } from "#dist/tunnel/target.js";
import { TargetAddresses } from "#dist/tunnel/target-addresses.js";
import { afterwards, limits } from "../../support/cleanup.js";
import { Listener } from "../../support/listener.js";
import { socketAddressOf } from "../support/connections.js";

const resolveIntervalMs = 1_000;

/** Targets at `first`, and at `next` after another lookup. */
function destinationAt(first: SocketAddress, next: SocketAddress) {
  let lookups = 0;
  const targets = new TargetAddresses(
    parseAddress("target.example:80"),
    [first],
    async () => {
      lookups += 1;
      return [next];
    },
    {
      lookupFailed: (error) => assert.fail(error),
      lookupRecovered: () => undefined,
      addressesChanged: () => undefined,
    },
  );
  const destination = new DialedTargets(targets, {
    bind: undefined,
    timeoutMs: 60_000,
    keepAlive: true,
    descriptors: new DescriptorBudget(Number.POSITIVE_INFINITY),
    resolveIntervalMs,
  });
  return { destination, targets, lookups: () => lookups };
}

async function open(t: TestContext, target: Target): Promise<string> {
  const { signal } = new AbortController();
  const channel = await target.open({ readBuffer: createReadBuffer(), exactLength: 0, signal });
  afterwards(t, () => channel.close());
  return channel.peer;
}

test("a connection dials the addresses known when it began, the next one newer ones", limits, async (t) => {
  const [old, moved] = [await Listener.listen(t, "tcp"), await Listener.listen(t, "unix")];
  const { destination, targets } = destinationAt(socketAddressOf(old.address), socketAddressOf(moved.address));
  const begun = destination.next();
  await targets.refresh();
  assert.equal(await open(t, begun), "target.example:80");
  await old.next();
  assert.equal(moved.acceptedCount, 0);
  await open(t, destination.next());
  await moved.next();
  assert.equal(old.acceptedCount, 1);
});

test("addresses are resolved again between start and stop", (t) => {
  t.mock.timers.enable({ apis: ["setInterval"] });
  const nowhere = { kind: "unix", path: "/nowhere" } as const;
  const { destination, lookups } = destinationAt(nowhere, nowhere);
  t.mock.timers.tick(resolveIntervalMs);
  assert.equal(lookups(), 0);
  destination.start();
  t.mock.timers.tick(resolveIntervalMs);
  assert.equal(lookups(), 1);
  destination.stop();
  t.mock.timers.tick(10 * resolveIntervalMs);
  assert.equal(lookups(), 1);
});
