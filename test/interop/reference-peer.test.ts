// The reference peer against the C original, in both roles, so that its own mistakes are not blamed on the product.

import { test } from "node:test";
import { limits } from "../support/cleanup.js";
import { expectAll, expectBytes } from "../support/expect.js";
import { Listener } from "../support/listener.js";
import { withCOriginal } from "../support/programs.js";
import { randomData } from "../support/random-data.js";
import { type PeerOptions, ReferencePeer } from "../support/reference-peer.js";
import { TestSocket } from "../support/test-socket.js";
import { newKey, startSpiped } from "../support/tunnel.js";

const data = randomData("reference peer", 5000);

withCOriginal((c) => {
  for (const kind of ["tcp", "unix"] as const) {
    for (const [what, options] of [
      ["with forward secrecy", {}],
      ["without forward secrecy", { x: 0n }],
      ["in pieces of 7 bytes", { pieceBytes: 7 }],
    ] as const satisfies readonly (readonly [string, Partial<PeerOptions>])[]) {
      test(`the reference peer as a client ${what} works with the C original on ${kind}`, limits, async (t) => {
        const key = await newKey(t);
        const target = await Listener.listen(t, kind);
        const { source } = await startSpiped(t, { program: c, end: "-d", source: kind, target: target.address, key });
        const peer = ReferencePeer.client(await TestSocket.connect(t, source), { keyFile: key.bytes, ...options });
        await peer.handshake();
        await talk(peer, await target.next());
      });

      test(`the reference peer as a server ${what} works with the C original on ${kind}`, limits, async (t) => {
        const key = await newKey(t);
        const link = await Listener.listen(t, kind);
        const { source } = await startSpiped(t, { program: c, end: "-e", source: kind, target: link.address, key });
        const app = await TestSocket.connect(t, source);
        const peer = ReferencePeer.server(await link.next(), { keyFile: key.bytes, ...options });
        await peer.handshake();
        await talk(peer, app);
      });
    }
  }
});

/** Sends data, then the end, in both directions. */
async function talk(peer: ReferencePeer, application: TestSocket): Promise<void> {
  await peer.send(data);
  expectBytes(await application.read(data.length), data);
  await application.write(data);
  expectBytes(await peer.receive(data.length), data);
  peer.link.finish();
  expectAll(await application.readToEnd(), "");
  application.finish();
  expectAll(await peer.receiveToEnd(), "");
}
