// Both directions of a connection as pumps: reads of one affect the other.

import assert from "node:assert/strict";
import { test } from "node:test";
import type { Channel } from "#dist/net/channel.js";
import { CoalescingTimer, SMALL_READS, WAIT_MS } from "#dist/tunnel/coalescing.js";
import { setFlowSettings } from "#dist/tunnel/flow-settings.js";
import { PumpedFlow } from "#dist/tunnel/pumped-flow.js";
import { framingPair } from "../support/framings.js";
import { ManualClock } from "../support/manual-clock.js";
import { ManualReader, ManualWritable } from "../support/manual-streams.js";

class GivenChannel implements Channel {
  readonly reader = new ManualReader();
  readonly writable = new ManualWritable();
  readonly peer = "given";

  onFailure(): void {}
  close(): void {}
  reset(): void {}
}

/** A connection that encrypts; `line` comes from its source, the packet of an `answer` from its target. */
function flowing() {
  const clock = new ManualClock();
  const [source, target] = [new GivenChannel(), new GivenChannel()];
  const flow = new PumpedFlow(
    {
      encrypts: true,
      source,
      target,
      keys: framingPair(),
      endWithTarget: false,
      forwardEnded: undefined,
      ended: () => undefined,
      failed: (error) => assert.fail(error),
    },
    new CoalescingTimer(clock),
  );
  flow.start();
  const { sealer } = framingPair();
  const answer = (): boolean => {
    const packet = new Uint8Array(sealer.outputLength(2));
    sealer.transform(Buffer.from("ok"), packet);
    return target.reader.give(packet);
  };
  const line = (): boolean => source.reader.give(new Uint8Array(80));
  return { clock, source, target, flow, answer, line };
}

test("a busy one-way stream waits, in either direction", () => {
  for (const direction of ["line", "answer"] as const) {
    const { clock, ...flow } = flowing();
    for (let read = 1; read < SMALL_READS; read += 1) assert.equal(flow[direction](), true);
    assert.equal(flow[direction](), false);
    assert.equal(clock.waiting, 1);
    clock.pass(WAIT_MS);
    const { reader } = direction === "line" ? flow.source : flow.target;
    assert.equal(reader.resumes, 1);
    flow.flow.stop();
  }
});

test("data in one direction ends the other's wait, and both become a conversation", () => {
  for (const [one, other] of [
    ["line", "answer"],
    ["answer", "line"],
  ] as const) {
    const { clock, ...flow } = flowing();
    for (let read = 0; read < SMALL_READS; read += 1) flow[one]();
    assert.equal(clock.waiting, 1);
    assert.equal(flow[other](), true);
    assert.equal(clock.waiting, 0);
    const { reader } = one === "line" ? flow.source : flow.target;
    assert.equal(reader.resumes, 1);
    for (let turn = 0; turn < 3 * SMALL_READS; turn += 1) {
      assert.equal(flow[one](), true);
      assert.equal(flow[other](), true);
    }
    flow.flow.stop();
  }
});

test("a stopped connection leaves no timer behind", () => {
  const { clock, flow, line } = flowing();
  for (let read = 0; read < SMALL_READS; read += 1) line();
  assert.equal(clock.waiting, 1);
  flow.stop();
  assert.equal(clock.waiting, 0);
});

test("with coalescing disabled no direction waits", (t) => {
  setFlowSettings({ coalescing: false });
  t.after(() => setFlowSettings({ coalescing: true }));
  const { clock, line, answer } = flowing();
  for (const one of [line, answer]) {
    for (let read = 0; read < 3 * SMALL_READS; read += 1) assert.equal(one(), true);
  }
  assert.equal(clock.waiting, 0);
});
