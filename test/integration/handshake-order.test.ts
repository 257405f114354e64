// Handshakes in other orders and pieces than the usual: any split of a stream and any order that the wire allows work.

import assert from "node:assert/strict";
import { test } from "node:test";
import { limits } from "../support/cleanup.js";
import { expectAll } from "../support/expect.js";
import { allEnds, isAlive, startClientEnd, startServerEnd } from "../support/one-end.js";
import { randomData } from "../support/random-data.js";
import { handshakeBytes, macedPublicValueBytes, nonceBytes } from "../support/reference-protocol.js";

const data = randomData("split", 5000);

for (const { name, start } of allEnds) {
  test(`${name} reads a stream in pieces of any size`, limits, async (t) => {
    const end = await start(t);
    for (const pieceBytes of [1, 7, 31, 33, 287, 289, 1059, 1060, 1061]) {
      await t.test(`pieces of ${pieceBytes} bytes`, async () => {
        const { peer, plain } = await end.establish({ pieceBytes });
        await peer.send(data);
        peer.link.finish();
        expectAll(await plain.readToEnd(), data);
        plain.finish();
        expectAll(await peer.receiveToEnd(), "");
      });
    }
  });

  test(`${name} sends each piece of data at once`, limits, async (t) => {
    const { peer, plain } = await (await start(t)).establish();
    for (let count = 1; count <= 100; count += 1) {
      await plain.write(Uint8Array.of(count));
      assert.deepEqual([...(await peer.receive(1))], [count]);
      await peer.send(Uint8Array.of(count));
      assert.deepEqual([...(await plain.read(1))], [count]);
    }
  });
}

for (const kind of ["tcp", "unix"] as const) {
  test(`spiped -d on ${kind} sends its nonce to a client that waits for it first`, limits, async (t) => {
    const end = await startServerEnd(t, { kind });
    const peer = await end.client();
    await peer.readNonce();
    await peer.sendNonce();
    await peer.write(peer.macedPublicValue());
    await peer.readPublicValue();
    assert.ok(await isAlive({ peer, plain: await end.target.next() }));
  });

  test(`spiped -e on ${kind} sends its nonce to a server that waits for it first`, limits, async (t) => {
    const end = await startClientEnd(t, { kind });
    const { app, peer } = await end.server();
    await peer.readNonce();
    await peer.sendNonce();
    await peer.readPublicValue();
    await peer.write(peer.macedPublicValue());
    assert.ok(await isAlive({ peer, plain: app }));
  });

  test(`spiped -d on ${kind} does not send its public value before the client is authenticated`, limits, async (t) => {
    const end = await startServerEnd(t, { kind });
    const peer = await end.client();
    await peer.sendNonce();
    await peer.readNonce();
    const maced = peer.macedPublicValue();
    await peer.write(maced.subarray(0, macedPublicValueBytes - 1));
    // Another client completes its handshake meanwhile, so the server had time to send.
    assert.ok(await isAlive(await end.establish()));
    assert.equal(peer.link.waitingBytes, 0);
    assert.equal(end.target.acceptedCount, 1);
    await peer.write(maced.subarray(macedPublicValueBytes - 1));
    await peer.readPublicValue();
    assert.ok(await isAlive({ peer, plain: await end.target.next() }));
  });

  test(`spiped -d on ${kind} accepts packets and the end right after the client's public value`, limits, async (t) => {
    const end = await startServerEnd(t, { kind });
    for (const withNonce of [false, true]) {
      // A client without forward secrecy knows the keys as soon as it knows the server's nonce.
      const peer = await end.client({ x: 0n, nonce: new Uint8Array(nonceBytes) });
      await peer.readNonce();
      peer.assumeSharedValue(1n);
      if (!withNonce) await peer.sendNonce();
      const nonce = withNonce ? new Uint8Array(nonceBytes) : new Uint8Array(0);
      await peer.write(Buffer.concat([nonce, peer.macedPublicValue(), peer.sealAll(data)]));
      peer.link.finish();
      const service = await end.target.next();
      expectAll(await service.readToEnd(), data);
      await service.write("an answer");
      service.finish();
      await peer.readPublicValue();
      expectAll(await peer.receiveToEnd(), "an answer");
    }
  });

  test(`spiped -e on ${kind} accepts packets and the end right after the server's public value`, limits, async (t) => {
    const end = await startClientEnd(t, { kind });
    const { app, peer } = await end.server();
    await peer.sendNonce();
    await peer.readNonce();
    await peer.readPublicValue();
    await peer.write(Buffer.concat([peer.macedPublicValue(), peer.sealAll(data)]));
    peer.link.finish();
    expectAll(await app.readToEnd(), data);
    await app.write("an answer");
    app.finish();
    expectAll(await peer.receiveToEnd(), "an answer");
  });

  test(
    `spiped -e on ${kind} sends what the application sent, and its end, before the server was connected`,
    limits,
    async (t) => {
      const end = await startClientEnd(t, { kind });
      const { app, peer } = await end.server();
      await app.write(data);
      app.finish();
      await peer.sendNonce();
      await peer.readNonce();
      await peer.readPublicValue();
      assert.equal(peer.link.waitingBytes, 0, `nothing may follow the ${handshakeBytes} bytes of the handshake yet`);
      await peer.write(peer.macedPublicValue());
      expectAll(await peer.receiveToEnd(), data);
      await peer.send(data);
      peer.link.finish();
      expectAll(await app.readToEnd(), data);
    },
  );
}
