// What any tunnel must carry, with any implementation at either end.

import assert from "node:assert/strict";
import { expectAll, expectBytes } from "./expect.js";
import { digestOfRandomData, randomData } from "./random-data.js";
import type { TestSocket } from "./test-socket.js";
import type { Tunnel } from "./tunnel.js";

/** The ends of one connection through a tunnel. */
interface Ends {
  readonly app: TestSocket;
  readonly service: TestSocket;
}

/** `lengthBytes` bytes one way, then as many the other way after the first side has ended. */
export async function carriesReplyAfterEnd(tunnel: Tunnel, lengthBytes: number): Promise<void> {
  const { app, service } = await tunnel.connectThrough();
  await sendAllThenReceiveReply({ app, service }, lengthBytes);
}

async function sendAllThenReceiveReply({ app, service }: Ends, lengthBytes: number): Promise<void> {
  const request = randomData(`request ${lengthBytes}`, lengthBytes);
  const reply = randomData(`reply ${lengthBytes}`, lengthBytes);
  const received = service.readToEnd();
  await app.write(request);
  app.finish();
  expectAll(await received, request);
  const replied = app.readToEnd();
  await service.write(reply);
  service.finish();
  expectAll(await replied, reply);
}

/** `lengthBytes` bytes in both directions at once; digests are compared. */
export async function carriesBothWaysAtOnce(tunnel: Tunnel, lengthBytes: number): Promise<void> {
  const ends = await tunnel.connectThrough();
  await sendBothWaysAtOnce(ends, lengthBytes);
}

/** @param lengthBytes - In each direction. */
export async function sendBothWaysAtOnce({ app, service }: Ends, lengthBytes: number): Promise<void> {
  const send = async (socket: TestSocket, seed: string): Promise<void> => {
    await socket.writeRandomData(seed, lengthBytes);
    socket.finish();
  };
  const [, , atService, atApp] = await Promise.all([
    send(app, "forward"),
    send(service, "reverse"),
    service.digestToEnd(),
    app.digestToEnd(),
  ]);
  assert.deepEqual(atService, { digest: digestOfRandomData("forward", lengthBytes), lengthBytes, end: "fin" });
  assert.deepEqual(atApp, { digest: digestOfRandomData("reverse", lengthBytes), lengthBytes, end: "fin" });
}

/**
 * `count` connections, all open before the first one ends, each with data of its own.
 *
 * @param openedTogether - So many are opened at the same moment; all of them when absent.
 */
export async function carriesManyAtOnce(tunnel: Tunnel, count: number, openedTogether: number = count): Promise<void> {
  tunnel.target.echo();
  const greeting = (index: number): string => `connection ${index}`.padEnd(16);
  const apps: TestSocket[] = [];
  const open = async (index: number): Promise<void> => {
    const app = await tunnel.connect();
    apps[index] = app;
    await app.write(greeting(index));
    expectBytes(await app.read(16), greeting(index));
  };
  const indices = Array.from({ length: count }, (_, index) => index);
  for (let at = 0; at < count; at += openedTogether) {
    await Promise.all(indices.slice(at, at + openedTogether).map(open));
  }
  await Promise.all(
    apps.map(async (app, index) => {
      const data = randomData(greeting(index), 10_000 + index);
      await app.write(data);
      app.finish();
      expectAll(await app.readToEnd(), data);
    }),
  );
}
