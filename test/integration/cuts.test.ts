// Streams cut at every possible byte: a truncated stream is never taken for a complete one.

import assert from "node:assert/strict";
import { test } from "node:test";
import { limits } from "../support/cleanup.js";
import { expectBytes } from "../support/expect.js";
import { allEnds, startClientEnd, startServerEnd } from "../support/one-end.js";
import { handshakeEnded, reasonsOf, truncatedAfter } from "../support/reasons.js";
import { handshakeBytes, nonceBytes, packetBytes } from "../support/reference-protocol.js";
import { failuresTold, patience, type Spiped, stopAndGetLines } from "../support/tunnel.js";

// Without forward secrecy, to make a thousand handshakes fast.
const cheap = ["-f", ...patience];

/** Every offset inside a packet for TCP; some of them for UNIX sockets. */
function cutsOf(wholeBytes: number, kind: "tcp" | "unix"): readonly number[] {
  const everywhere = Array.from({ length: wholeBytes - 1 }, (_, index) => index + 1);
  if (kind === "tcp") return everywhere;
  return everywhere.filter((cut) => cut <= 2 || cut >= wholeBytes - 2 || cut % 100 === 0);
}

/** The log has the first cuts in one message each, in order, and the others summed up. */
async function expectToldOf(spiped: Spiped, cuts: readonly number[], reasonOf: (cut: number) => string): Promise<void> {
  await stopAndGetLines(spiped);
  const reasons = reasonsOf(spiped);
  assert.ok(reasons.length >= Math.min(10, cuts.length));
  assert.deepEqual(reasons, cuts.slice(0, reasons.length).map(reasonOf));
  const [kind = ""] = /^[a-z ]+/.exec(reasonOf(1)) ?? [];
  assert.equal(failuresTold(spiped, new RegExp(`: ${kind}: `)), cuts.length);
  assert.equal(failuresTold(spiped), cuts.length);
}

for (const { name, kind, start } of allEnds) {
  test(`${name} resets both sides wherever a stream is cut inside a packet`, limits, async (t) => {
    const end = await start(t, cheap);
    const cuts = cutsOf(packetBytes, kind);
    for (const cut of cuts) {
      const { peer, plain } = await end.establish({ x: 0n });
      const whole = peer.seal(Buffer.from("whole"));
      await peer.write(Buffer.concat([whole, peer.seal(Buffer.from("cut")).subarray(0, cut)]));
      // A reset discards data that the receiver has not read yet.
      expectBytes(await plain.read("whole".length), "whole");
      peer.link.finish();
      assert.equal(await plain.endWhileOpen(), "reset", `after ${cut} bytes`);
      assert.equal(plain.waitingBytes, 0);
      if (kind === "tcp") assert.equal(await peer.link.end(), "reset");
      await peer.link.closed();
    }
    await expectToldOf(end.spiped, cuts, truncatedAfter);
  });
}

for (const kind of ["tcp", "unix"] as const) {
  test(
    `spiped -d on ${kind} closes a connection that is cut at any byte of the handshake, without dialing`,
    limits,
    async (t) => {
      const end = await startServerEnd(t, { kind, flags: cheap });
      const cuts = [0, ...cutsOf(handshakeBytes, kind)];
      for (const cut of cuts) {
        const peer = await end.client({ x: 0n });
        if (cut <= nonceBytes) {
          await peer.write(new Uint8Array(cut));
        } else {
          await peer.sendNonce();
          await peer.readNonce();
          await peer.write(peer.macedPublicValue().subarray(0, cut - nonceBytes));
        }
        peer.link.finish();
        await peer.link.closed();
        assert.ok(peer.link.waitingBytes <= nonceBytes);
      }
      assert.equal(end.target.acceptedCount, 0);
      await expectToldOf(end.spiped, cuts, (cut) => handshakeEnded(cut, "-d"));
    },
  );

  test(
    `spiped -e on ${kind} resets the application when the server's handshake is cut at any byte`,
    limits,
    async (t) => {
      const end = await startClientEnd(t, { kind, flags: cheap });
      const cuts = [0, ...cutsOf(handshakeBytes, kind)];
      for (const cut of cuts) {
        const { app, peer } = await end.server({ x: 0n });
        if (cut <= nonceBytes) {
          await peer.write(new Uint8Array(cut));
        } else {
          await peer.sendNonce();
          await peer.readNonce();
          await peer.readPublicValue();
          await peer.write(peer.macedPublicValue().subarray(0, cut - nonceBytes));
        }
        peer.link.finish();
        assert.equal(await app.endWhileOpen(), "reset", `after ${cut} bytes`);
        assert.equal(app.waitingBytes, 0);
        await peer.link.closed();
      }
      await expectToldOf(end.spiped, cuts, (cut) => handshakeEnded(cut, "-e -f"));
    },
  );
}
