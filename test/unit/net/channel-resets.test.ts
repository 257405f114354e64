// Resets in every state in which a connection can end: the peer sees the reset, and nothing stays open.

import assert from "node:assert/strict";
import { once } from "node:events";
import { Socket } from "node:net";
import { type TestContext, test } from "node:test";
import { addon } from "#dist/native/native.js";
import { SocketChannel } from "#dist/net/channel.js";
import { createReadBuffer, SocketReader } from "#dist/net/socket-reader.js";
import { type AddressKind, socketOptionsOf } from "../../support/addresses.js";
import { afterwards, contractLimits as limits, within } from "../../support/cleanup.js";
import { Listener } from "../../support/listener.js";
import type { TestSocket } from "../../support/test-socket.js";

const muchBytes = 64 * 1_024 * 1_024;

interface Connected {
  readonly channel: SocketChannel;
  readonly socket: Socket;
  /** The peer. */
  readonly peer: TestSocket;
}

async function connected(t: TestContext, kind: AddressKind): Promise<Connected> {
  const listener = await Listener.listen(t, kind);
  const reader = new SocketReader(createReadBuffer(), 0);
  const options = { allowHalfOpen: true, onread: reader.onread };
  const socket = new Socket(options).connect(socketOptionsOf(listener.address));
  socket.pause();
  afterwards(t, () => socket.destroy());
  await once(socket, "connect");
  reader.attach(socket);
  const channel = new SocketChannel(socket, reader, "peer");
  const ended = new Promise<void>((resolve) => socket.once("end", resolve));
  channel.reader.flowInto({ mostBytes: 65_536, receive: () => true, end: () => undefined });
  endOf.set(socket, ended);
  return { channel, socket, peer: await listener.next() };
}

/** Resolves once a socket has read the peer's end. */
const endOf = new WeakMap<Socket, Promise<void>>();

async function peerEnds({ socket, peer }: Connected): Promise<void> {
  peer.finish();
  await within(endOf.get(socket) ?? Promise.reject(new Error("a socket of somebody else's")), "the peer's end");
}

/** The states of a socket before it is reset. */
const states: Readonly<Record<string, (connected: Connected) => unknown>> = {
  "has done nothing": () => undefined,
  "has written": ({ socket }) => socket.write("hello"),
  "waits for the other side to read": ({ socket, peer }) => {
    peer.socket.pause();
    socket.write(Buffer.alloc(muchBytes));
  },
  "has been ended behind what it waits to write": ({ socket, peer }) => {
    peer.socket.pause();
    socket.write(Buffer.alloc(muchBytes));
    socket.end();
  },
  "has been ended a moment ago": ({ socket }) => socket.end(),
  "has been ended behind data a moment ago": ({ socket }) => socket.end("hello"),
  "has ended": async ({ socket }) => {
    socket.end();
    await once(socket, "finish");
  },
  "has read the other side's end": peerEnds,
};

for (const kind of ["tcp", "unix"] as const) {
  for (const [state, enter] of Object.entries(states)) {
    test(`a ${kind} socket that ${state} is reset`, limits, async (t) => {
      const ends = await connected(t, kind);
      await enter(ends);
      ends.channel.reset();
      if (!ends.socket.closed) await within(once(ends.socket, "close"), "the socket to be closed");
      assert.equal(ends.socket.readyState, "closed");
      ends.peer.socket.resume();
      if (!ends.peer.socket.writableEnded) assert.equal(await ends.peer.endWhileOpen(), "reset");
      else if (kind === "tcp") assert.equal(await ends.peer.end(), "reset");
      await ends.peer.closed();
    });
  }

  test(`a ${kind} socket that both sides have just ended is closed by a reset`, limits, async (t) => {
    const ends = await connected(t, kind);
    await peerEnds(ends);
    ends.socket.end();
    ends.channel.reset();
    if (!ends.socket.closed) await within(once(ends.socket, "close"), "the socket to be closed");
    await ends.peer.closed();
  });
}

test("a socket is reset where the system cannot be asked for that", limits, async (t) => {
  t.mock.method(addon, "setResetOnClose", () => {
    throw new Error("not known");
  });
  for (const state of ["has done nothing", "has written", "has been ended a moment ago"]) {
    const ends = await connected(t, "tcp");
    await states[state]?.(ends);
    ends.channel.reset();
    if (!ends.socket.closed) await within(once(ends.socket, "close"), "the socket to be closed");
    assert.equal(await ends.peer.endWhileOpen(), "reset");
  }
});
