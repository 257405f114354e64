// Two ends in the same role, with any implementation at the other end: what ours reports.

import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { type TestContext, test } from "node:test";
import { type Address, socketOptionsOf } from "./addresses.js";
import { afterwards, limits, until } from "./cleanup.js";
import { Listener } from "./listener.js";
import { rowsOf } from "./listening.js";
import { ours, type Program } from "./programs.js";
import { TestSocket } from "./test-socket.js";
import { type Key, newKey, patience, startSpiped } from "./tunnel.js";

/** Two listeners whose first clients become one connection. */
async function joined(t: TestContext): Promise<readonly [Address, Address]> {
  const open = async (): Promise<readonly [Address, Promise<Socket>]> => {
    const server = createServer({ pauseOnConnect: true, allowHalfOpen: true }).listen(0, "127.0.0.1");
    afterwards(t, () => server.close());
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    const client = once(server, "connection").then(([socket]: Socket[]) => socket as Socket);
    return [{ kind: "tcp", host: "127.0.0.1", port }, client];
  };
  const [[one, a], [other, b]] = [await open(), await open()];
  void Promise.all([a, b]).then(([left, right]) => join(t, left, right));
  return [one, other];
}

function join(t: TestContext, left: Socket, right: Socket): void {
  for (const [from, to] of [
    [left, right],
    [right, left],
  ] as const) {
    afterwards(t, () => from.destroy());
    from.on("error", () => to.destroy()).pipe(to);
  }
}

/** Whether a connection to `address` has this many unread bytes. */
function waitsIn(address: Address, lengthBytes: number): boolean {
  const hex = (number: number, digits: number): string => number.toString(16).toUpperCase().padStart(digits, "0");
  if (address.kind === "unix") return false;
  // sl local_address rem_address st tx_queue:rx_queue …
  return rowsOf("/proc/net/tcp").some(
    ([, local, , state, queues]) =>
      local?.endsWith(`:${hex(address.port, 4)}`) === true &&
      state === "01" &&
      queues?.endsWith(`:${hex(lengthBytes, 8)}`) === true,
  );
}

/** Declares the tests, with an end of `program` on the other side. */
export function declareSameRoles(program: Program): void {
  const flags = patience;
  const start = (t: TestContext, key: Key, end: "-d" | "-e", target: Address, which = ours) =>
    // With pumps, unread bytes cannot be counted.
    startSpiped(t, { program: which, end, source: "tcp", target, key, flags, env: { SPIPED_RELAY: "on" } });

  test(`reports two joined clients (the other is ${program.name}) as both -e`, limits, async (t) => {
    const key = await newKey(t);
    const [one, other] = await joined(t);
    const first = await start(t, key, "-e", one);
    const second = await start(t, key, "-e", other, program);
    const apps = [await TestSocket.connect(t, first.source), await TestSocket.connect(t, second.source)];
    await first.command.line(/the peer is a client too: another client with the same key.*both ends run -e/);
    await Promise.all(apps.map((app) => app.end()));
  });

  test(
    `an -e behind an -e (${program.name}) recognizes its client when its own target is not spiped`,
    limits,
    async (t) => {
      const key = await newKey(t);
      const service = await Listener.listen(t, "tcp");
      const far = await start(t, key, "-e", service.address);
      const near = await start(t, key, "-e", far.source, program);
      const app = await TestSocket.connect(t, near.source);
      const accepted = await service.next();
      await until(
        () => (process.platform === "linux" && !waitsIn(far.source, 32) ? undefined : true),
        "the nonce to wait",
      );
      await accepted.write("SSH-2.0-service\r\n");
      accepted.finish();
      const line = await far.command.line(/SSH/);
      await app.end();
      // Elsewhere the service may be faster than the client's nonce.
      assert.match(line, process.platform === "linux" ? /both ends run -e/ : /both ends run -e|it speaks SSH/);
      if (program === ours) await near.command.line(/the peer sent nothing .*is that a `spiped -d`/);
    },
  );

  test(`reports two joined servers (the other is ${program.name}) as both -d`, limits, async (t) => {
    const key = await newKey(t);
    const service = await Listener.listen(t, "tcp");
    const end = await startSpiped(t, {
      end: "-d",
      source: "tcp",
      target: service.address,
      key,
      flags: ["-o", "0.5"],
    });
    const other = await start(t, key, "-d", service.address, program);
    join(t, connect(socketOptionsOf(end.source)), connect(socketOptionsOf(other.source)));
    await end.command.line(/the peer is waiting too, .*\(32 of 320 handshake bytes\).*both ends run -d/);
  });
}
