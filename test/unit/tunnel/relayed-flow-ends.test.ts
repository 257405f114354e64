// Connections on the relay's threads: who is blamed for a failure, who keeps the process alive, and who closes descriptors.

import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { SpipedError } from "#dist/errors.js";
import type { Channel } from "#dist/net/channel.js";
import { PacketRelay, type RelayRequest, type Side } from "#dist/protocol/packet-relay.js";
import type { FlowOptions } from "#dist/tunnel/flow.js";
import { isRelayAvailable, relayedFlow } from "#dist/tunnel/relayed-flow.js";

const skip = isRelayAvailable() ? false : "needs the relay";

/** A channel that can be handed over, if it has a descriptor. */
function channelOf(peer: string, descriptor: number | undefined) {
  const calls: string[] = [];
  let end: ((resets: boolean) => void) | undefined;
  const copy = { take: () => descriptor ?? -1, close: () => calls.push("close copy") };
  const channel = {
    peer,
    copyDescriptor: () => (descriptor === undefined ? undefined : copy),
    handOver: (given: (resets: boolean) => void) => {
      calls.push("hand over");
      end = given;
    },
  };
  return { channel: channel as unknown as Channel, calls, end: (resets: boolean) => end?.(resets) };
}

/** Flows whose relay is the test. */
function relaying(t: TestContext) {
  const requests: RelayRequest[] = [];
  const calls: string[] = [];
  t.mock.method(PacketRelay.prototype, "handOver", (request: RelayRequest) => {
    requests.push(request);
    const end = (side: Side, resets: boolean) => calls.push(`end ${side} ${resets}`);
    return { bytesForward: 1, bytesReverse: 2, stop: () => calls.push("stop"), end };
  });
  const begin = (descriptors: readonly [number | undefined, number | undefined] = [10, 11]) => {
    const source = channelOf("near", descriptors[0]);
    const target = channelOf("far", descriptors[1]);
    const failures: SpipedError[] = [];
    const ends: string[] = [];
    const options = {
      encrypts: true,
      source: source.channel,
      target: target.channel,
      endWithTarget: false,
      forwardEnded: () => ends.push("forward"),
      ended: () => ends.push("both"),
      failed: (error: SpipedError) => failures.push(error),
    };
    const flow = relayedFlow(options as unknown as FlowOptions);
    return { flow, source, target, failures, ends, request: requests.at(-1) };
  };
  return { begin, calls };
}

test("the side whose socket has failed is named, in plain words", { skip }, (t) => {
  for (const [side, message] of [
    ["source", "source near: connection reset by peer"],
    ["target", "target far: connection reset by peer"],
  ] as const) {
    const { request, failures } = relaying(t).begin();
    request?.ended({ kind: "broken", side, code: "ECONNRESET", words: "Connection reset by peer (os error 104)" });
    assert.deepEqual(
      failures.map((error) => [error.code, error.message]),
      [["SPIPED_RESET", message]],
    );
  }
  const { request, failures } = relaying(t).begin();
  const error = new SpipedError("SPIPED_PACKET_MAC", "changed");
  request?.ended({ kind: "failed", error });
  assert.deepEqual(failures, [error]);
});

test("an orderly end is that of both directions, and nothing is stopped after it", { skip }, (t) => {
  const { begin, calls } = relaying(t);
  const { flow, request, ends } = begin();
  request?.ended({ kind: "orderly" });
  assert.deepEqual(ends, ["forward", "both"]);
  flow?.stop();
  assert.deepEqual(calls, []);
});

test("the channels end their sockets through the relay, and stop is passed on once", { skip }, (t) => {
  const { begin, calls } = relaying(t);
  const { flow, source, target, request } = begin();
  assert.deepEqual([source.calls, target.calls], [["hand over"], ["hand over"]]);
  assert.deepEqual([request?.source, request?.target], [10, 11]);
  assert.deepEqual([flow?.bytesForward, flow?.bytesReverse], [1, 2]);
  flow?.stop();
  flow?.stop();
  source.end(true);
  target.end(false);
  assert.deepEqual(calls, ["stop", "end source true", "end target false"]);
});

test("without the descriptor of one side, the other's copy is closed and both channels stay as they are", {
  skip,
}, (t) => {
  const { begin } = relaying(t);
  for (const [descriptors, closed] of [
    [[10, undefined], "source"],
    [[undefined, 11], "target"],
    [[undefined, undefined], undefined],
  ] as const) {
    const { flow, source, target } = begin(descriptors);
    assert.equal(flow, undefined);
    assert.deepEqual(source.calls, closed === "source" ? ["close copy"] : []);
    assert.deepEqual(target.calls, closed === "target" ? ["close copy"] : []);
  }
});

test("the process stays alive until the last connection has ended", { skip }, (t) => {
  const { begin } = relaying(t);
  const timers = () => process.getActiveResourcesInfo().filter((kind) => kind === "Timeout").length;
  const before = timers();
  const [one, other] = [begin(), begin()];
  assert.equal(timers(), before + 1);
  one.request?.ended({ kind: "orderly" });
  assert.equal(timers(), before + 1);
  other.flow?.stop();
  assert.equal(timers(), before);
});
