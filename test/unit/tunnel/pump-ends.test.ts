// When a pump considers its direction ended: only when everything has been written.

import assert from "node:assert/strict";
import { Writable } from "node:stream";
import { test } from "node:test";
import type { ByteReader, ByteSink } from "#dist/net/byte-reader.js";
import { ChunkBudget, ChunkPool } from "#dist/tunnel/chunk-pool.js";
import { CoalescingTimer } from "#dist/tunnel/coalescing.js";
import { FairScheduler } from "#dist/tunnel/fairness.js";
import { Pump } from "#dist/tunnel/pump.js";

/** A reader controlled by the test. */
class Source implements ByteReader {
  readonly leavesBytesToSystem = true;
  sink: ByteSink | undefined;

  readExactly(): Promise<Uint8Array> {
    return Promise.reject(new Error("nothing is read exactly here"));
  }

  flowInto(sink: ByteSink): void {
    this.sink = sink;
  }

  resume(): void {}
}

/** Passes bytes on as they are. */
const plain = {
  pendingBytes: 0,
  outputLength: (inputLength: number) => inputLength,
  transform: (input: Uint8Array, output: Uint8Array) => {
    output.set(input);
    return input.length;
  },
  destroy: () => undefined,
};

/** Called when the destination has accepted a write, or failed. */
type Taken = (error?: Error | null) => void;

/** Moves "hello" and an end of the stream to a destination that answers when the test lets it. */
function moveHello(): { readonly said: string[]; readonly answer: Taken; readonly pump: Pump } {
  const said: string[] = [];
  const answers: Taken[] = [];
  const to = new Writable({ write: (_bytes, _encoding, taken) => answers.push(taken) });
  to.on("error", (error) => said.push(error.message));
  const from = new Source();
  const ended = () => said.push("ended");
  const failed = (error: Error) => said.push(`failed: ${error.message}`);
  const chunks = new ChunkPool(new ChunkBudget(1e6));
  const pacing = {
    scheduler: new FairScheduler(),
    timer: new CoalescingTimer(),
    coalescing: false,
    arrived: () => undefined,
  };
  const pump = new Pump({ from, framing: plain, chunks, ...pacing, to, ended, failed });
  pump.start();
  from.sink?.receive(Buffer.from("hello"));
  from.sink?.end();
  const answer: Taken = (error) => answers.shift()?.(error);
  return { said, answer, pump };
}

async function settled(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve));
}

test("a direction ends when its last bytes are written, and not before", async () => {
  const { said, answer, pump } = moveHello();
  await settled();
  assert.deepEqual(said, []);
  assert.equal(pump.isEnded, false);
  answer();
  await settled();
  assert.deepEqual(said, ["ended"]);
  assert.equal(pump.isEnded, true);
});

test("a direction whose last bytes cannot be written has not ended", async () => {
  const { said, answer, pump } = moveHello();
  answer(new Error("no space left"));
  await settled();
  assert.deepEqual(said, ["no space left"]);
  assert.equal(pump.isEnded, false);
});
