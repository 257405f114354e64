// Fair shares: what each direction may read before all others have been served.

import assert from "node:assert/strict";
import { connect } from "node:net";
import { Writable } from "node:stream";
import { type TestContext, test } from "node:test";
import fc from "fast-check";
import { createReadBuffer, READ_BUFFER_BYTES, SocketReader } from "#dist/net/socket-reader.js";
import { ChunkBudget, ChunkPool } from "#dist/tunnel/chunk-pool.js";
import { CoalescingTimer } from "#dist/tunnel/coalescing.js";
import { FAIR_SHARE_BYTES, FairScheduler, FairShare, WHOLE_SHARE_BYTES } from "#dist/tunnel/fairness.js";
import { Pump } from "#dist/tunnel/pump.js";
import { socketOptionsOf } from "../../support/addresses.js";
import { afterwards, limits, until } from "../../support/cleanup.js";
import { Listener } from "../../support/listener.js";
import { CopyingFraming } from "../support/framings.js";

/** An event loop controlled by the test. */
class GivenLoop {
  readonly scheduler = new FairScheduler((callback) => this.#next.push(callback));
  #next: Array<() => void> = [];
  /** Iterations so far. */
  count = 0;

  /** Whether anything waits for the next iteration. */
  get isAwaited(): boolean {
    return this.#next.length > 0;
  }

  turn(): void {
    this.count += 1;
    for (const callback of this.#next.splice(0)) callback();
  }
}

/** A direction that reads as much as it may. */
class Reader {
  readonly #share: FairShare;
  isResting = false;

  constructor({ scheduler }: GivenLoop) {
    this.#share = new FairShare(scheduler, this);
  }

  readOn(): void {
    this.isResting = false;
  }

  /** Reads until it may not, or this many times. Returns the bytes. */
  read(pieceBytes: number, times = 1_000): number {
    let bytes = 0;
    for (let time = 0; time < times && !this.isResting; time += 1) {
      bytes += pieceBytes;
      if (this.#share.spend(pieceBytes)) continue;
      this.isResting = true;
      this.#share.rest();
    }
    return bytes;
  }
}

test("a lone reader has a whole share of each iteration", () => {
  const loop = new GivenLoop();
  const only = new Reader(loop);
  for (let turn = 0; turn < 5; turn += 1) {
    assert.equal(only.read(1_024), WHOLE_SHARE_BYTES);
    assert.ok(only.isResting && loop.isAwaited);
    loop.turn();
    assert.ok(!only.isResting);
  }
});

test("readers share fairly, and the last one has a whole share again", () => {
  const loop = new GivenLoop();
  const [one, other] = [new Reader(loop), new Reader(loop)];
  one.read(1_024);
  assert.equal(other.read(1_024), FAIR_SHARE_BYTES);
  for (let turn = 0; turn < 5; turn += 1) {
    loop.turn();
    assert.deepEqual([one.read(1_024), other.read(1_024)], [FAIR_SHARE_BYTES, FAIR_SHARE_BYTES]);
  }
  loop.turn();
  assert.equal(one.read(1_024), FAIR_SHARE_BYTES, "the other may still come");
  loop.turn();
  assert.equal(one.read(1_024), WHOLE_SHARE_BYTES);
});

test("a few bytes from another reader are enough to make a share fair", () => {
  const loop = new GivenLoop();
  const [busy, quiet] = [new Reader(loop), new Reader(loop)];
  busy.read(1_024);
  loop.turn();
  quiet.read(64, 1);
  assert.equal(busy.read(1_024), FAIR_SHARE_BYTES);
});

test("a reader of little data is asked to yield only once per share", () => {
  const loop = new GivenLoop();
  const quiet = new Reader(loop);
  for (let message = 1; message < WHOLE_SHARE_BYTES / 64; message += 1) {
    assert.equal(quiet.read(64, 1), 64);
    assert.ok(!loop.isAwaited, `message ${message} costs a turn`);
  }
  quiet.read(64, 1);
  assert.ok(loop.isAwaited);
});

test("all that yield continue in the next iteration, once, even if others yield again at once", () => {
  const loop = new GivenLoop();
  const calls: number[] = [];
  const takers = Array.from({ length: 5 }, (_, index) => {
    const share: FairShare = new FairShare(loop.scheduler, {
      readOn: () => {
        calls.push(index);
        share.rest();
      },
    });
    return share;
  });
  for (const share of takers) share.rest();
  for (let turn = 1; turn <= 3; turn += 1) {
    loop.turn();
    assert.deepEqual(calls.splice(0), [0, 1, 2, 3, 4]);
  }
});

test("within one iteration nobody reads more than a share and one read beyond it", () => {
  const readers = fc.array(
    fc.record({ pieceBytes: fc.integer({ min: 1, max: READ_BUFFER_BYTES }), times: fc.integer({ min: 0, max: 32 }) }),
    { minLength: 2, maxLength: 8 },
  );
  fc.assert(
    fc.property(fc.array(readers, { minLength: 1, maxLength: 20 }), (rounds) => {
      const loop = new GivenLoop();
      const all = Array.from({ length: 8 }, () => new Reader(loop));
      const read = all.map(() => 0);
      for (const round of rounds) {
        const turn = loop.count;
        const wereMany = round.filter(({ times }) => times > 0).length > 1;
        for (const [index, { pieceBytes, times }] of round.entries()) {
          const before = read[index] ?? 0;
          const bytes = all[index]?.read(pieceBytes, times) ?? 0;
          read[index] = before + bytes;
          const first = round.slice(0, index).every((one) => one.times === 0);
          const share = wereMany && !first ? FAIR_SHARE_BYTES : WHOLE_SHARE_BYTES;
          assert.ok(bytes < share + pieceBytes, `${bytes} bytes in turn ${turn}`);
        }
        if (loop.isAwaited) loop.turn();
      }
      loop.turn();
      assert.ok(
        all.every(({ isResting }) => !isResting),
        "nobody rests for ever",
      );
    }),
  );
});

/** A pump from a real socket whose peer has written as much as the system accepts. */
async function fullPump(t: TestContext, scheduler: FairScheduler, wrote: (bytes: number) => void): Promise<Pump> {
  const listener = await Listener.listen(t, "tcp");
  const reader = new SocketReader(createReadBuffer(), 0);
  const options = { ...socketOptionsOf(listener.address), allowHalfOpen: true, onread: reader.onread };
  const socket = connect(options).pause();
  afterwards(t, () => socket.destroy());
  const peer = await listener.next();
  reader.attach(socket);
  while (peer.socket.writableLength === 0) peer.socket.write(Buffer.alloc(READ_BUFFER_BYTES));
  const to = new Writable({
    write: (bytes: Buffer, _encoding, done) => {
      wrote(bytes.length);
      done();
    },
  });
  return new Pump({
    from: reader,
    framing: new CopyingFraming(),
    chunks: new ChunkPool(new ChunkBudget(1e9)),
    scheduler,
    to,
    timer: new CoalescingTimer(),
    coalescing: false,
    arrived: () => undefined,
    ended: () => undefined,
    failed: () => undefined,
  });
}

test("of real sockets with full buffers, none reads beyond its share before the others", limits, async (t) => {
  const scheduler = new FairScheduler();
  const written = [0, 0, 0, 0];
  const most = WHOLE_SHARE_BYTES + READ_BUFFER_BYTES;
  const ahead = () => Math.max(...written) - Math.min(...written);
  let furthest = 0;
  let isOver = false;
  const pumps = await Promise.all(
    written.map((_, index) =>
      fullPump(t, scheduler, (bytes) => {
        written[index] = (written[index] ?? 0) + bytes;
        // The system's initial buffers suffice for this much.
        if (written.every((total) => total > 0) && Math.min(...written) >= most) isOver = true;
        if (!isOver) furthest = Math.max(furthest, ahead());
      }),
    ),
  );
  for (const pump of pumps) pump.start();
  await until(
    () => isOver || undefined,
    () => `${written.join(", ")} bytes to be more`,
  );
  assert.ok(furthest <= most, `one is ${furthest} bytes ahead`);
  for (const pump of pumps) pump.stop();
});
