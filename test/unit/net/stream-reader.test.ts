// Reading other streams: standard input, for example, and sockets that Node has accepted.

import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type Socket } from "node:net";
import { PassThrough, Readable } from "node:stream";
import { test } from "node:test";
import fc from "fast-check";
import { StreamReader } from "#dist/net/stream-reader.js";
import { afterwards, contractLimits as limits } from "../../support/cleanup.js";
import { randomData } from "../../support/random-data.js";
import { TestSocket } from "../../support/test-socket.js";
import { sameBytes } from "../support/bytes.js";
import { rejectsEarlyEnd } from "../support/errors.js";
import { eventLoopTurns, KeepingSink } from "../support/sink.js";

test("exact reads followed by a flow give all bytes in order, however the stream is cut", async () => {
  const pieces = fc.array(fc.uint8Array({ minLength: 1, maxLength: 500 }), { minLength: 1, maxLength: 10 });
  await fc.assert(
    fc.asyncProperty(pieces, fc.integer({ min: 1, max: 320 }), async (chunks, first) => {
      const all = Buffer.concat([new Uint8Array(320), ...chunks]);
      const stream = Readable.from([new Uint8Array(320), ...chunks], { objectMode: false });
      const reader = new StreamReader(stream, 320);
      const exact = [await reader.readExactly(first)];
      if (first < 320) exact.push(await reader.readExactly(320 - first));
      const sink = new KeepingSink();
      reader.flowInto(sink);
      await sink.untilEnd();
      sameBytes(Buffer.concat([...exact, sink.bytes]), all);
      assert.equal(sink.ends, 1);
    }),
    { numRuns: 50 },
  );
});

test("without exact reads, the sink receives everything from the beginning", async () => {
  const stream = new PassThrough();
  const reader = new StreamReader(stream, 0);
  stream.write("early");
  await eventLoopTurns();
  const sink = new KeepingSink();
  reader.flowInto(sink);
  stream.end("late");
  await sink.untilEnd();
  assert.equal(Buffer.from(sink.bytes).toString(), "earlylate");
});

test("a sink that stops receives nothing until it resumes, and then everything", async () => {
  const stream = new PassThrough();
  const reader = new StreamReader(stream, 0);
  const sink = new KeepingSink();
  sink.goesOn = false;
  reader.flowInto(sink);
  stream.write("one");
  await sink.untilBytes(3);
  stream.write("two");
  await eventLoopTurns();
  assert.equal(sink.takes, 1);
  sink.goesOn = true;
  reader.resume();
  stream.end();
  await sink.untilEnd();
  assert.equal(Buffer.from(sink.bytes).toString(), "onetwo");
  assert.equal(sink.ends, 1);
});

test("a stopped reader puts backpressure on the stream's writer", async () => {
  const stream = new PassThrough({ highWaterMark: 1_024 });
  const reader = new StreamReader(stream, 0);
  const sink = new KeepingSink();
  sink.goesOn = false;
  reader.flowInto(sink);
  stream.write("stop");
  await sink.untilBytes(4);
  let written = 0;
  while (stream.write(new Uint8Array(256))) written += 256;
  await eventLoopTurns();
  assert.equal(sink.keptBytes, 4);
  assert.ok(written < 8 * 1_024, "it does not take bytes for ever");
});

test("an end during the exact reads reports how much arrived", async () => {
  for (const cut of [0, 1, 31]) {
    const reader = new StreamReader(Readable.from(cut === 0 ? [] : [new Uint8Array(cut)], { objectMode: false }), 320);
    await rejectsEarlyEnd(reader.readExactly(32), "orderly", cut, 320);
  }
});

test("an end right after the handshake is the end of the flow", async () => {
  const reader = new StreamReader(Readable.from([new Uint8Array(320)], { objectMode: false }), 320);
  await reader.readExactly(320);
  await eventLoopTurns();
  const sink = new KeepingSink();
  reader.flowInto(sink);
  await sink.untilEnd();
  assert.equal(sink.keptBytes, 0);
});

test("an empty stream ends without a byte", async () => {
  const reader = new StreamReader(Readable.from([], { objectMode: false }), 0);
  await eventLoopTurns();
  const sink = new KeepingSink();
  reader.flowInto(sink);
  await sink.untilEnd();
  assert.equal(sink.takes, 0);
  assert.equal(sink.ends, 1);
});

test("destroying the stream fails the exact reads, and not as an orderly end", async () => {
  const stream = new PassThrough();
  const reader = new StreamReader(stream, 32);
  const read = rejectsEarlyEnd(reader.readExactly(32), "closed", 0, 32);
  stream.destroy();
  await read;
});

test("a stream that is destroyed during the flow does not end in an orderly way", async () => {
  const stream = new PassThrough();
  const reader = new StreamReader(stream, 0);
  const sink = new KeepingSink();
  reader.flowInto(sink);
  stream.write("before");
  await sink.untilBytes(6);
  const closed = once(stream, "close");
  stream.destroy();
  await closed;
  assert.equal(sink.ends, 0);
});

test("a socket that Node accepted is read as a stream, including stop and end", limits, async (t) => {
  const server = createServer({ allowHalfOpen: true, pauseOnConnect: true }).listen(0, "127.0.0.1");
  afterwards(t, () => server.close());
  await once(server, "listening");
  const address = server.address();
  assert.ok(address !== null && typeof address !== "string");
  const accepted = once(server, "connection");
  const peer = await TestSocket.connect(t, { kind: "tcp", host: "127.0.0.1", port: address.port });
  const [socket] = (await accepted) as [Socket];
  afterwards(t, () => socket.destroy());
  const reader = new StreamReader(socket, 320);
  const all = randomData("accepted", 320 + 500_000);
  const written = peer.write(all);
  const exact = [await reader.readExactly(32), await reader.readExactly(288)];
  const sink = new KeepingSink();
  sink.goesOn = false;
  reader.flowInto(sink);
  await sink.untilBytes(1);
  await eventLoopTurns();
  assert.equal(sink.takes, 1);
  sink.goesOn = true;
  reader.resume();
  await written;
  peer.finish();
  await sink.untilEnd();
  sameBytes(Buffer.concat([...exact, sink.bytes]), all);
});
