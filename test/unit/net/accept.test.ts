// Accepted sockets that read into shared memory, and the fallback if Node has no way to create them.

import assert from "node:assert/strict";
import { createServer } from "node:net";
import { test } from "node:test";
import type { SpipedError } from "#dist/errors.js";
import { takeHandles } from "#dist/net/accept.js";
import type { Accepted } from "#dist/net/accepted.js";
import { createReadBuffer, SocketReader } from "#dist/net/socket-reader.js";
import type { Address } from "../../support/addresses.js";
import { afterwards, contractLimits as limits, within } from "../../support/cleanup.js";
import { TestSocket } from "../../support/test-socket.js";
import { eventLoopTurns } from "../support/sink.js";

test("a failure to accept a client is reported, and the next client is accepted", limits, async (t) => {
  const server = createServer({ allowHalfOpen: true, pauseOnConnect: true }).listen(0, "127.0.0.1");
  afterwards(t, () => server.close());
  await new Promise((resolve) => server.once("listening", resolve));
  const failures: SpipedError[] = [];
  const accepted: Accepted[] = [];
  takeHandles(server, {
    createReader: () => new SocketReader(createReadBuffer(), 0),
    accepted: (client) => {
      afterwards(t, () => client.socket.destroy());
      accepted.push(client);
    },
    failed: (error) => failures.push(error),
  });
  const handle = Reflect.get(server, "_handle");
  Reflect.apply(Reflect.get(handle, "onconnection"), handle, [-24, undefined]);
  assert.deepEqual(
    failures.map(({ code, message }) => [code, message]),
    [["SPIPED_LISTEN", "cannot accept a connection (error -24)"]],
  );
  await TestSocket.connect(t, portOf(server.address()));
  await eventLoopTurns();
  assert.equal(accepted.length, 1);
});

test("a client for which no socket can be created is dropped, and the next client is accepted", limits, async (t) => {
  const server = createServer({ allowHalfOpen: true, pauseOnConnect: true }).listen(0, "127.0.0.1");
  afterwards(t, () => server.close());
  await new Promise((resolve) => server.once("listening", resolve));
  const failures: SpipedError[] = [];
  const accepted: Accepted[] = [];
  takeHandles(server, {
    createReader: () => new SocketReader(createReadBuffer(), 0),
    accepted: (client) => {
      afterwards(t, () => client.socket.destroy());
      accepted.push(client);
    },
    failed: (error) => failures.push(error),
  });
  const broken = t.mock.method(SocketReader.prototype, "attach", () => {
    throw Object.assign(new Error("EINVAL"), { code: "EINVAL" });
  });
  const handle = Reflect.get(server, "_handle");
  Reflect.apply(Reflect.get(handle, "onconnection"), handle, [0, {}]);
  broken.mock.restore();
  assert.deepEqual(
    failures.map(({ code }) => code),
    ["SPIPED_LISTEN"],
  );
  await TestSocket.connect(t, portOf(server.address()));
  await eventLoopTurns();
  assert.equal(accepted.length, 1);
});

test(
  "if the handles are not accessible, the server's own sockets are accepted, without a reader",
  limits,
  async (t) => {
    const server = createServer({ allowHalfOpen: true, pauseOnConnect: true });
    const accepted = new Promise<Accepted>((resolve, reject) => {
      // A server that is not listening has no handle, just as if Node stored it elsewhere.
      takeHandles(server, {
        createReader: () => new SocketReader(createReadBuffer(), 0),
        accepted: resolve,
        failed: reject,
      });
    });
    server.listen(0, "127.0.0.1");
    afterwards(t, () => server.close());
    await new Promise((resolve) => server.once("listening", resolve));
    await TestSocket.connect(t, portOf(server.address()));
    const { socket, reader } = await within(accepted, "a client");
    afterwards(t, () => socket.destroy());
    assert.equal(reader, undefined);
  },
);

function portOf(address: ReturnType<ReturnType<typeof createServer>["address"]>): Address {
  assert.ok(address !== null && typeof address !== "string");
  return { kind: "tcp", host: "127.0.0.1", port: address.port };
}
