// The contract that every channel keeps, whatever its socket and its reader are: exact reads, the flow after them, failures,
// and silence after the end. What a channel has beyond that is tested in its own file.

import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:net";
import { type TestContext, test } from "node:test";
import type { SpipedError } from "#dist/errors.js";
import { addonSockets } from "#dist/net/addon-sockets.js";
import { type Channel, SocketChannel, sendAhead } from "#dist/net/channel.js";
import { DescriptorBudget } from "#dist/net/descriptors.js";
import { dial } from "#dist/net/dial.js";
import { createReadBuffer } from "#dist/net/socket-reader.js";
import { StreamReader } from "#dist/net/stream-reader.js";
import { type AddressKind, socketOptionsOf } from "../../support/addresses.js";
import { afterwards, contractLimits as limits, until } from "../../support/cleanup.js";
import { kindsHere } from "../../support/environment.js";
import { Listener } from "../../support/listener.js";
import type { TestSocket } from "../../support/test-socket.js";
import { rejectsEarlyEnd } from "../support/errors.js";
import { eventLoopTurns, KeepingSink } from "../support/sink.js";

interface Pair {
  readonly channel: Channel;
  readonly peer: TestSocket;
}

interface Kind {
  readonly name: string;
  /** See `ByteReader.leavesBytesToSystem`. */
  readonly leavesBytesToSystem: boolean;
  /** Connects a channel whose exact reads are `exactLength` bytes together. */
  readonly connected: (t: TestContext, exactLength: number) => Promise<Pair>;
}

const MOST_BYTES = 1_024;

function dialed(kind: AddressKind, withAddon: boolean): Kind {
  return {
    name: `${kind}, ${withAddon ? "addon" : "Node"} socket`,
    leavesBytesToSystem: true,
    connected: async (t, exactLength) => {
      const listener = await Listener.listen(t, kind);
      const { address } = listener;
      const { signal } = new AbortController();
      const channel = await dial({
        addresses: [
          address.kind === "unix"
            ? address
            : { kind: "tcp", family: address.host === "::1" ? 6 : 4, address: address.host, port: address.port },
        ],
        name: "the peer",
        bind: undefined,
        timeoutMs: 60_000,
        keepAlive: false,
        readBuffer: createReadBuffer(),
        exactLength,
        descriptors: new DescriptorBudget(100),
        signal,
        addonSockets: withAddon ? addonSockets() : undefined,
      });
      afterwards(t, () => channel.close());
      return { channel, peer: await listener.next() };
    },
  };
}

/** As for clients that Node itself has accepted. */
function readAsStream(kind: AddressKind): Kind {
  return {
    name: `${kind}, read as a stream`,
    leavesBytesToSystem: false,
    connected: async (t, exactLength) => {
      const listener = await Listener.listen(t, kind);
      const socket = connect({ ...socketOptionsOf(listener.address), allowHalfOpen: true });
      const channel = new SocketChannel(socket, new StreamReader(socket, exactLength), "the peer");
      afterwards(t, () => channel.close());
      await once(socket, "connect");
      return { channel, peer: await listener.next() };
    },
  };
}

const kinds = kindsHere("tcp", "unix").flatMap((kind) => [
  dialed(kind, false),
  ...(addonSockets() === undefined ? [] : [dialed(kind, true)]),
  readAsStream(kind),
]);

function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString();
}

/** Collects the failures that a channel reports. */
function failuresOf(channel: Channel): SpipedError[] {
  const failures: SpipedError[] = [];
  channel.onFailure((error) => failures.push(error));
  assert.deepEqual(failures, [], "never during the call");
  return failures;
}

/**
 * Makes the system reset the connection. A UNIX socket does so if it is closed with unread data, on Linux: more than a
 * paused socket still reads.
 */
async function broken({ channel, peer }: Pair): Promise<void> {
  if (peer.socket.remoteAddress === undefined) {
    peer.socket.pause();
    for (let count = 0; count < 3; count += 1) {
      sendAhead(channel, new Uint8Array(65_536));
      await eventLoopTurns();
    }
  }
  peer.reset();
}

for (const { name, leavesBytesToSystem, connected } of kinds) {
  const canBreak = name.startsWith("tcp") || process.platform === "linux";
  const breaking = { ...limits, skip: canBreak ? false : "no reset of UNIX sockets" };

  test(`${name}: exact reads get exactly their bytes, the sink gets the rest, and one end`, limits, async (t) => {
    const { channel, peer } = await connected(t, 8);
    assert.equal(channel.reader.leavesBytesToSystem, leavesBytesToSystem);
    const first = channel.reader.readExactly(5);
    for (const piece of ["a", "bc", "defghrest"]) await peer.write(piece);
    assert.equal(textOf(await first), "abcde");
    assert.equal(textOf(await channel.reader.readExactly(3)), "fgh");
    assert.equal(textOf(channel.reader.arrivedSoFar?.() ?? new Uint8Array()), "abcdefgh");
    const sink = new KeepingSink();
    channel.reader.flowInto(sink);
    await sink.untilBytes(4);
    await peer.write(", and more");
    peer.finish();
    await sink.untilEnd();
    await eventLoopTurns();
    assert.deepEqual([textOf(sink.bytes), sink.ends], ["rest, and more", 1]);
  });

  test(`${name}: an end before the length rejects the read, with what has arrived`, limits, async (t) => {
    const { channel, peer } = await connected(t, 8);
    const failures = failuresOf(channel);
    await peer.write("abcdef");
    assert.equal(textOf(await channel.reader.readExactly(4)), "abcd");
    peer.finish();
    await rejectsEarlyEnd(channel.reader.readExactly(4), "orderly", 6, 8);
    assert.equal(textOf(channel.reader.arrivedSoFar?.() ?? new Uint8Array()), "abcdef");
    await eventLoopTurns();
    assert.deepEqual(failures, [], "an end is no failure");
  });

  for (const end of ["close", "reset"] as const) {
    test(
      `${name}: ${end} rejects a pending read and later ones, and nothing is reported after it`,
      limits,
      async (t) => {
        const { channel, peer } = await connected(t, 8);
        const failures = failuresOf(channel);
        const pending = channel.reader.readExactly(8);
        await peer.write("abc");
        await until(() => (channel.reader.arrivedSoFar?.().length === 3 ? true : undefined), "three bytes");
        channel[end]();
        await rejectsEarlyEnd(pending, "closed", 3, 8);
        await rejectsEarlyEnd(channel.reader.readExactly(8), "closed", 3, 8);
        channel.close();
        channel.reset();
        peer.reset();
        await eventLoopTurns();
        assert.deepEqual(failures, []);
      },
    );
  }

  test(`${name}: a failure is reported once and rejects the pending read`, breaking, async (t) => {
    const pair = await connected(t, 8);
    const failures = failuresOf(pair.channel);
    const pending = rejectsEarlyEnd(pair.channel.reader.readExactly(8), "closed", 0, 8);
    await broken(pair);
    await pending;
    await until(() => failures[0], "the failure");
    await eventLoopTurns();
    assert.deepEqual(
      failures.map(({ code, message }) => [code, message]),
      [["SPIPED_RESET", "connection reset by peer"]],
    );
  });

  test(`${name}: a failure before there is a listener is reported to it`, breaking, async (t) => {
    const pair = await connected(t, 8);
    const pending = rejectsEarlyEnd(pair.channel.reader.readExactly(8), "closed", 0, 8);
    await broken(pair);
    await pending;
    await eventLoopTurns();
    const failures = failuresOf(pair.channel);
    await eventLoopTurns();
    assert.deepEqual(
      failures.map(({ message }) => message),
      ["connection reset by peer"],
    );
  });

  test(`${name}: a failure just before the close is not reported`, breaking, async (t) => {
    const pair = await connected(t, 8);
    const pending = rejectsEarlyEnd(pair.channel.reader.readExactly(8), "closed", 0, 8);
    await broken(pair);
    await pending;
    await eventLoopTurns();
    const failures = failuresOf(pair.channel);
    pair.channel.close();
    await eventLoopTurns();
    assert.deepEqual(failures, []);
  });

  test(`${name}: a sink that stops receives nothing until it resumes, never more than it takes`, limits, async (t) => {
    const { channel, peer } = await connected(t, 0);
    const sink = new KeepingSink();
    sink.mostBytes = MOST_BYTES;
    sink.onReceive = ({ length }) => assert.ok(length >= 1 && length <= MOST_BYTES);
    sink.goesOn = false;
    channel.reader.flowInto(sink);
    const all = Buffer.alloc(10 * MOST_BYTES, "0123456789abcdef");
    await peer.write(all);
    peer.finish();
    await sink.untilBytes(1);
    for (const takes of [1, 2, 3]) {
      await eventLoopTurns();
      assert.deepEqual([sink.takes, sink.ends], [takes, 0]);
      channel.reader.resume();
      await until(() => (sink.takes > takes ? true : undefined), "more");
    }
    sink.goesOn = true;
    channel.reader.resume();
    await sink.untilEnd();
    assert.ok(all.equals(sink.bytes));
    assert.equal(sink.ends, 1);
  });

  test(`${name}: close in the middle of the flow: the sink gets neither data nor an end`, limits, async (t) => {
    const { channel, peer } = await connected(t, 0);
    const failures = failuresOf(channel);
    const sink = new KeepingSink();
    sink.goesOn = false;
    channel.reader.flowInto(sink);
    await peer.write("one");
    await sink.untilBytes(3);
    await peer.write("two");
    channel.close();
    peer.finish();
    await peer.end();
    await eventLoopTurns();
    assert.deepEqual([textOf(sink.bytes), sink.ends, failures.length], ["one", 0, 0]);
  });
}
