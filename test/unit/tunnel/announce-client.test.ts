// Connections that announce their source when that is impossible: the connection fails, and nothing is passed on.

import assert from "node:assert/strict";
import { test } from "node:test";
import { AddonChannel } from "#dist/net/addon-channel.js";
import { addonSockets } from "#dist/net/addon-sockets.js";
import type { Channel } from "#dist/net/channel.js";
import { DescriptorBudget } from "#dist/net/descriptors.js";
import { dial } from "#dist/net/dial.js";
import type { Target } from "#dist/tunnel/target.js";
import { limits, until } from "../../support/cleanup.js";
import { Listener } from "../../support/listener.js";
import { ReferencePeer } from "../../support/reference-peer.js";
import { runConnection, socketAddressOf, timeoutMs } from "../support/connections.js";
import { peerOptions } from "../support/established.js";

/** A target that is connected, and reset before the connection notices. */
function resetTarget(listener: Listener, viaAddon: boolean): Target {
  return {
    open: async (request) => {
      const channel: Channel = await dial({
        ...request,
        addresses: [socketAddressOf(listener.address)],
        name: "target.example:80",
        addonSockets: viaAddon ? addonSockets() : undefined,
        bind: undefined,
        timeoutMs,
        keepAlive: true,
        descriptors: new DescriptorBudget(Number.POSITIVE_INFINITY),
      });
      assert.equal(channel instanceof AddonChannel, viaAddon);
      const service = await listener.next();
      service.reset();
      await until(() => service.socket.destroyed || undefined, "the reset");
      return channel;
    },
  };
}

for (const [what, viaAddon] of [
  ["a socket of the addon's", true],
  ["a socket of Node's", false],
] as const) {
  const skip = viaAddon && addonSockets() === undefined ? "needs an event loop that watches descriptors" : false;
  test(`a target that was reset meanwhile ends the connection as reset: ${what}`, { ...limits, skip }, async (t) => {
    const listener = await Listener.listen(t, "tcp");
    const target = resetTarget(listener, viaAddon);
    const running = await runConnection(t, "decrypt", [], { target, proxyProtocol: true });
    // The source's own addresses are known.
    const peer = ReferencePeer.client(running.dialer, peerOptions());
    await peer.handshake();
    const report = await running.report();
    assert.deepEqual([report.reason, report.error?.code], ["reset", "SPIPED_RESET"]);
    assert.match(report.error?.message ?? "", /^target target\.example:80: (connection reset by peer|broken pipe)$/);
    assert.equal(await running.dialer.end(), "reset");
    assert.equal(running.reports.length, 1);
  });
}

for (const role of ["encrypt", "decrypt"] as const) {
  test(
    `a source whose address is no longer known ends the connection of ${role}, and nothing is announced`,
    limits,
    async (t) => {
      const listener = await Listener.listen(t, "tcp");
      const running = await runConnection(t, role, [socketAddressOf(listener.address)], { proxyProtocol: true });
      running.source.ends = () => undefined;
      const service = role === "encrypt" ? await listener.next() : undefined;
      const link = service ?? running.dialer;
      const peer =
        role === "encrypt" ? ReferencePeer.server(link, peerOptions()) : ReferencePeer.client(link, peerOptions());
      await peer.handshake();
      const report = await running.report();
      assert.deepEqual(
        [report.reason, report.error?.message],
        ["reset", "source somebody: its address is no longer known"],
      );
      const target = service ?? (await listener.next());
      assert.equal((await target.readToEnd()).bytes.length, 0);
    },
  );
}
