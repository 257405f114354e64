// How much connections with full receivers may buffer, all together.

import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { ChunkBudget, ChunkPool } from "#dist/tunnel/chunk-pool.js";
import { CoalescingTimer } from "#dist/tunnel/coalescing.js";
import { FairScheduler } from "#dist/tunnel/fairness.js";
import { setFlowSettings } from "#dist/tunnel/flow-settings.js";
import { packetMemory } from "#dist/tunnel/memory.js";
import { Pump, SMALL_READ_BYTES } from "#dist/tunnel/pump.js";
import { limits, until } from "../../support/cleanup.js";
import { established } from "../support/established.js";
import { framingPair } from "../support/framings.js";
import { ManualReader, ManualWritable } from "../support/manual-streams.js";
import { eventLoopTurns } from "../support/sink.js";

const LIMIT_BYTES = 32 * 1_024 * 1_024;
const MANY = 2_500;
/** The largest piece of memory, and those for a small read and for a packet. */
const [LARGE, SMALL, PACKET] = [68 * 1_024, 16 * 1_060, 1_060];

/** A pump from an endless stream, whose reads are as large as the pump wants. */
class Endless {
  readonly reader = new ManualReader();
  readonly writable = new ManualWritable();
  readonly pump: Pump;
  /** The memory given to the system for the next read. */
  #offeredBytes: number;

  constructor(chunks: ChunkPool, loop: FairScheduler) {
    this.writable.on("error", () => undefined);
    this.pump = new Pump({
      from: this.reader,
      framing: framingPair().sealer,
      chunks,
      scheduler: loop,
      to: this.writable,
      timer: new CoalescingTimer(),
      coalescing: false,
      arrived: () => undefined,
      ended: () => undefined,
      failed: () => undefined,
    });
    this.#offeredBytes = this.pump.mostBytes;
    this.reader.onResume = () => this.readUntilStopped();
    this.pump.start();
  }

  read(): boolean {
    const goesOn = this.reader.give(new Uint8Array(this.#offeredBytes));
    this.#offeredBytes = this.pump.mostBytes;
    return goesOn;
  }

  readUntilStopped(): void {
    for (let reads = 0; this.read(); reads += 1) assert.ok(reads < 1_000, "it reads for ever");
  }
}

async function stalled(count: number): Promise<{ readonly all: readonly Endless[]; readonly budget: ChunkBudget }> {
  const budget = new ChunkBudget(LIMIT_BYTES);
  const chunks = new ChunkPool(budget);
  const loop = new FairScheduler();
  const all: Endless[] = [];
  for (let index = 0; index < count; index += 1) {
    const one = new Endless(chunks, loop);
    one.read();
    await eventLoopTurns(1);
    one.writable.holds = true;
    one.readUntilStopped();
    all.push(one);
  }
  return { all, budget };
}

test("a stalled connection buffers one read, and less the more of them there are", async () => {
  assert.ok((await stalled(1)).budget.usedBytes <= LARGE);
  assert.ok((await stalled(10)).budget.usedBytes <= 10 * LARGE);
  const { budget } = await stalled(450);
  assert.ok(budget.usedBytes <= LIMIT_BYTES / 8 + LARGE + 450 * SMALL, `${budget.usedBytes} bytes`);
  assert.ok(budget.usedBytes <= 450 * 32 * 1_024, `${budget.usedBytes} bytes`);
});

test("all stalled connections together buffer the budget, plus a packet each", async () => {
  const { all, budget } = await stalled(MANY);
  assert.ok(budget.usedBytes > LIMIT_BYTES, "there are enough of them to fill it");
  assert.ok(budget.usedBytes <= LIMIT_BYTES + LARGE + MANY * PACKET, `${budget.usedBytes} bytes`);
  const before = budget.usedBytes;
  for (const one of all.slice(-100)) await one.writable.release();
  assert.ok(budget.usedBytes <= before, "who reads on beyond it holds no more than before");
});

test("all memory is returned when receivers drain, and when they fail", async () => {
  const { all, budget } = await stalled(100);
  assert.ok(budget.usedBytes > 0);
  for (const [index, { pump, writable }] of all.entries()) {
    pump.stop();
    if (index % 2 === 0) await writable.release();
    else await writable.release(new Error("broken pipe"));
  }
  assert.equal(budget.usedBytes, 0);
});

test("a quiet stream is offered a small read, a busy one a large read", async () => {
  const one = new Endless(new ChunkPool(new ChunkBudget(LIMIT_BYTES)), new FairScheduler());
  assert.equal(one.pump.mostBytes, SMALL_READ_BYTES);
  one.reader.give(new Uint8Array(SMALL_READ_BYTES));
  assert.ok(one.pump.mostBytes > SMALL_READ_BYTES);
  one.reader.give(new Uint8Array(SMALL_READ_BYTES - 1));
  assert.equal(one.pump.mostBytes, SMALL_READ_BYTES);
});

for (const kind of ["tcp", "unix"] as const) {
  test(`${kind}: connections of real sockets buffer one read each when their readers stall`, limits, async (t) => {
    setFlowSettings({ relay: false });
    const { budget } = packetMemory.chunks;
    assert.equal(budget.usedBytes, 0);
    const count = 8;
    const connections = [];
    for (let index = 0; index < count; index += 1) connections.push(await stall(t, kind));
    await until(
      () => budget.usedBytes >= count * PACKET || undefined,
      () => `${budget.usedBytes} bytes to be what ${count} stalled readers hold`,
    );
    await eventLoopTurns(100);
    assert.ok(budget.usedBytes <= count * LARGE, `${budget.usedBytes} bytes`);
    for (const { connection } of connections) connection.cancel();
    await until(() => budget.usedBytes === 0 || undefined, "all memory to come back");
  });
}

/** A connection whose target does not read, and whose source writes more than the system accepts. */
async function stall(t: TestContext, kind: "tcp" | "unix") {
  const running = await established(t, "encrypt", { kind });
  running.target.socket.pause();
  const piece = new Uint8Array(65_536);
  const { socket } = running.plain;
  socket.on("error", () => undefined);
  for (let written = 0; written < 32 * 1_024 * 1_024; written += piece.length) socket.write(piece);
  return running;
}
