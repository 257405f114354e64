// A program's writes on their way into the tunnel: never more than the tunnel wants.

import assert from "node:assert/strict";
import { test } from "node:test";
import { StreamChannel } from "#dist/library/stream-channel.js";
import { randomData } from "../../support/random-data.js";
import { sameBytes } from "../support/bytes.js";
import { KeepingSink } from "../support/sink.js";

function channelInto(sink: KeepingSink): {
  readonly channel: StreamChannel;
  readonly write: (bytes: Uint8Array) => void;
  written: number;
} {
  const channel = new StreamChannel({ push: () => true, moved: () => undefined }, "somebody");
  const state = {
    channel,
    written: 0,
    write: (bytes: Uint8Array) =>
      channel.send(bytes, () => {
        state.written += 1;
      }),
  };
  channel.flowInto(sink);
  return state;
}

test("a write waits while the tunnel has stopped reading", () => {
  const sink = new KeepingSink();
  const state = channelInto(sink);
  sink.goesOn = false;
  state.write(Uint8Array.of(1));
  assert.deepEqual([state.written, sink.takes], [1, 1]);
  state.write(Uint8Array.of(2));
  assert.deepEqual([state.written, sink.takes], [1, 1]);
  state.channel.resume();
  assert.deepEqual([state.written, sink.takes], [2, 2]);
  state.write(Uint8Array.of(3));
  assert.deepEqual([state.written, sink.takes], [2, 2]);
  sink.goesOn = true;
  state.channel.resume();
  state.write(Uint8Array.of(4));
  assert.equal(state.written, 4);
  sameBytes(sink.bytes, Uint8Array.of(1, 2, 3, 4));
});

test("a large write is split, and stops when the tunnel does", () => {
  const sink = new KeepingSink();
  const state = channelInto(sink);
  const all = randomData("cut", 200_000);
  sink.mostBytes = 1_024;
  sink.onReceive = ({ length }) => assert.ok(length <= sink.mostBytes);
  sink.goesOn = false;
  state.write(all);
  for (let takes = 1; takes <= 3; takes += 1) {
    assert.deepEqual([state.written, sink.takes, sink.keptBytes], [0, takes, takes * 1_024]);
    state.channel.resume();
  }
  sink.goesOn = true;
  sink.mostBytes = 1e6;
  sink.onReceive = ({ length }) => assert.ok(length <= 65_536);
  state.channel.resume();
  assert.equal(state.written, 1);
  sameBytes(sink.bytes, all);
});

test("an end follows the bytes buffered before it", () => {
  const sink = new KeepingSink();
  const state = channelInto(sink);
  sink.goesOn = false;
  state.write(Uint8Array.of(1));
  state.write(Uint8Array.of(2));
  assert.equal(sink.keptBytes, 1);
  sink.goesOn = true;
  state.channel.resume();
  state.channel.sendEnd(() => undefined);
  assert.deepEqual([sink.keptBytes, sink.ends], [2, 1]);
});
