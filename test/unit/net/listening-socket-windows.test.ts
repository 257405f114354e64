// Listening on systems without descriptors, such as Windows: the server itself listens, and a pause refuses clients.

import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import type { SpipedError } from "#dist/errors.js";
import { addon } from "#dist/native/native.js";
import type { Accepted } from "#dist/net/accepted.js";
import { ListeningSocket } from "#dist/net/listening-socket.js";
import { createReadBuffer, SocketReader } from "#dist/net/socket-reader.js";
import type { Address } from "../../support/addresses.js";
import { afterwards, limits, until } from "../../support/cleanup.js";
import { TestSocket } from "../../support/test-socket.js";
import { rejectsSpipedError } from "../support/errors.js";
import { onPlatform } from "../support/platform.js";

interface Listening {
  readonly socket: ListeningSocket;
  readonly accepted: readonly Accepted[];
  readonly failures: readonly SpipedError[];
}

function listen(t: TestContext, port: number): Listening {
  onPlatform(t, "win32");
  t.mock.method(addon, "listenTcp", () => assert.fail("there is no such function on Windows"));
  t.mock.method(addon, "duplicate", () => assert.fail("there is no such function on Windows"));
  const accepted: Accepted[] = [];
  const failures: SpipedError[] = [];
  const socket = ListeningSocket.listen({ kind: "tcp", family: 4, address: "127.0.0.1", port }, undefined);
  const handlers = {
    createReader: () => new SocketReader(createReadBuffer(), 0),
    accepted: (client: Accepted) => {
      afterwards(t, () => client.socket.destroy());
      accepted.push(client);
    },
    failed: (error: SpipedError) => failures.push(error),
  };
  socket.attach(handlers, false);
  afterwards(t, () => socket.close());
  return { socket, accepted, failures };
}

function addressOf({ socket }: Listening): Address {
  assert.ok(socket.address.kind === "tcp" && socket.address.port > 0);
  return { kind: "tcp", host: "127.0.0.1", port: socket.address.port };
}

test(
  "without descriptors, clients are refused during a pause, and accepted on the same port after it",
  limits,
  async (t) => {
    const listening = listen(t, 0);
    await listening.socket.accept();
    const address = addressOf(listening);
    await TestSocket.connect(t, address);
    await until(() => listening.accepted[0], "the first client");
    assert.equal(listening.socket.pause(), true);
    await assert.rejects(TestSocket.connect(t, address), { code: "ECONNREFUSED" });
    await listening.socket.accept();
    assert.deepEqual(addressOf(listening), address);
    await TestSocket.connect(t, address);
    await until(() => listening.accepted[1], "the second client");
    listening.socket.close();
    await assert.rejects(TestSocket.connect(t, address), { code: "ECONNREFUSED" });
    assert.deepEqual(listening.failures, []);
  },
);

test("an address in use is reported when accepting begins", limits, async (t) => {
  const first = listen(t, 0);
  await first.socket.accept();
  const { port } = addressOf(first) as { readonly port: number };
  t.mock.restoreAll();
  const second = listen(t, port);
  await rejectsSpipedError(
    second.socket.accept(),
    "SPIPED_LISTEN",
    /^cannot listen on \[127\.0\.0\.1\]:\d+: .*in use/i,
  );
});
