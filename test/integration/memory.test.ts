// Secrets are in the memory of the real commands while in use, and never afterwards. The test is the peer, so it knows them
// all; it finds the commands' own exponents by their public values.

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { test } from "node:test";
import { limits } from "../support/cleanup.js";
import { Command } from "../support/command.js";
import { ClientKeys, startForMany } from "../support/key-folder.js";
import { Listener } from "../support/listener.js";
import { isAlive, startClientEnd, startServerEnd } from "../support/one-end.js";
import { exponentsIn, findSecrets, namesOf } from "../support/process-memory.js";
import { ours } from "../support/programs.js";
import { ReferencePeer } from "../support/reference-peer.js";
import { publicValueOf } from "../support/reference-protocol.js";
import { aesKey, exponent, residue } from "../support/secret-forms.js";
import {
  comesToHold,
  endInPeace,
  exponentsAhead,
  holds,
  isSkipped,
  macs,
  ofConnection,
  ofDhMacs,
  ofKey,
  PACKET_KEYS,
} from "../support/secrets-in-memory.js";
import { Spipe } from "../support/spipe.js";
import { newKey } from "../support/tunnel.js";

const tooSlow = "the peer says nothing more";
const failures: ReadonlyArray<readonly [string, (peer: ReferencePeer) => unknown]> = [
  ["the peer goes away", (peer) => peer.link.reset()],
  ["the peer ends the stream", (peer) => peer.link.finish()],
  ["the peer has another key", (peer) => peer.write(peer.macedPublicValue({ macIsWrong: true }))],
  ["the peer's public value is out of range", (peer) => peer.write(peer.macedPublicValue({ y: (1n << 2048n) - 1n }))],
  [tooSlow, () => undefined],
];

test("the search finds eight bytes of each secret in a process, in every form", limits, async (t) => {
  const secrets = [
    ...ofKey(randomBytes(96)),
    residue("y", publicValueOf(12_345_678_901_234_567_890n)),
    aesKey("E", randomBytes(32)),
    exponent("x", (1n << 258n) + BigInt(`0x${randomBytes(32).toString("hex")}`)),
  ];
  const code = "process.stdin.once('data', (bytes) => { globalThis.kept = bytes; console.error('holds it'); })";
  for (const { name, forms } of secrets) {
    for (const held of [Object.values(forms).slice(0, 1), Object.values(forms).slice(1)]) {
      const holder = Command.start(t, [process.execPath, "-e", `${code}; setInterval(() => 0, 1e6)`]);
      if (isSkipped(t, holder)) return;
      // The last eight bytes of each, after one byte that puts them at odd addresses.
      holder.stdin.write(Buffer.concat([Buffer.of(0), ...held.map((bytes) => bytes.subarray(-8))]));
      await holder.line(/holds it/);
      const found = findSecrets(holder.id, secrets);
      assert.deepEqual(namesOf(found, secrets), [name]);
      assert.ok(found.length >= held.length, `${found.length} of ${held.length} forms of ${name}`);
      await holder.kill();
    }
  }
});

for (const { mac, env } of macs) {
  for (const start of [startServerEnd, startClientEnd]) {
    const name = `${start === startServerEnd ? "spiped -d" : "spiped -e"} with ${mac}`;
    // A server derives these after the client's nonce, a client before.
    const macKeys = start === startServerEnd ? [] : ["dhmac_C", "dhmac_S"];

    test(`${name} has secrets in memory only while it needs them`, limits, async (t) => {
      const end = await start(t, { kind: "tcp", env });
      const { command } = end.spiped;
      if (isSkipped(t, command)) return;
      const key = ofKey(end.key.bytes);
      const ahead = await exponentsAhead(command);
      holds(command, key, ["K"]);

      const first = await end.establish();
      const second = await end.establish();
      const ofFirst = ofConnection(first.peer, ahead);
      const ofSecond = ofConnection(second.peer, ahead);
      for (const established of [first, second]) assert.ok(await isAlive(established));
      holds(command, [...key, ...ofFirst], ["K", ...PACKET_KEYS]);
      holds(command, [...key, ...ofSecond], ["K", ...PACKET_KEYS]);

      await endInPeace(first);
      await comesToHold(command, [...key, ...ofFirst], ["K"]);
      holds(command, ofSecond, PACKET_KEYS);
      second.peer.link.reset();
      await second.plain.closed();
      await comesToHold(command, [...key, ...ofSecond], ["K"]);
    });

    test(`${name} wipes an old key after its last handshake when SIGHUP loads another`, limits, async (t) => {
      const end = await start(t, { kind: "tcp", env });
      const { command } = end.spiped;
      if (isSkipped(t, command)) return;
      const key = ofKey(end.key.bytes);
      const old = await end.establish();
      const { peer } = "client" in end ? { peer: await end.client() } : await end.server();
      await peer.sendNonce();
      await peer.readNonce();
      const another = randomBytes(32);
      await writeFile(end.key.path, another);
      command.signal("SIGHUP");
      await command.line(/SIGHUP: reloaded/);
      const ofHandshake = ofDhMacs(peer);
      await comesToHold(command, [...key, ...ofHandshake], ["K", ...macKeys]);
      holds(command, ofKey(another), ["K"]);
      peer.link.reset();
      await comesToHold(command, [...key, ...ofHandshake], []);
      holds(command, ofKey(another), ["K"]);
      assert.ok(await isAlive(old));
      assert.ok(await isAlive(await end.establish({ keyFile: another })));
      await writeFile(end.key.path, "");
      command.signal("SIGHUP");
      await command.line(/SIGHUP: /, 2);
      holds(command, key, []);
    });

    for (const [failure, fail] of failures) {
      test(`${name} wipes the secrets of a handshake that fails because ${failure}`, limits, async (t) => {
        const flags = failure === tooSlow ? ["-o", "1"] : undefined;
        const end = await start(t, { kind: "tcp", env, ...(flags && { flags }) });
        const { command } = end.spiped;
        if (isSkipped(t, command)) return;
        const { peer } = "client" in end ? { peer: await end.client() } : await end.server();
        await peer.sendNonce();
        await peer.readNonce();
        const ofHandshake = ofDhMacs(peer);
        if (failure !== tooSlow) await comesToHold(command, ofHandshake, macKeys);
        await fail(peer);
        await command.line(/^spiped: connection from /);
        await comesToHold(command, ofHandshake, []);
      });
    }
  }

  test(`spiped -d with ${mac} wipes a key that is removed from its folder`, limits, async (t) => {
    const keys = await ClientKeys.make(t, []);
    const [alice, bob] = [keys.add("alice"), keys.add("bob")];
    const end = await startForMany(t, keys, { env });
    const { command } = end.spiped;
    if (isSkipped(t, command)) return;
    const his = await end.establish(bob);
    holds(command, ofKey(bob.bytes), ["K"]);
    keys.remove("bob");
    await end.reload();
    await his.plain.untilWritesFail();
    await comesToHold(command, ofKey(bob.bytes), []);
    holds(command, ofKey(alice.bytes), ["K"]);
  });

  test(`spipe with ${mac} has secrets in memory only while it needs them`, limits, async (t) => {
    const key = await newKey(t);
    const link = await Listener.listen(t, "tcp");
    const spipe = Spipe.start(t, { program: ours, target: link.address, key, env });
    const { command } = spipe;
    if (isSkipped(t, command)) return;
    const peer = ReferencePeer.server(await link.next(), { keyFile: key.bytes });
    const ahead = await exponentsAhead(command, 1);
    await peer.sendNonce();
    await peer.readNonce();
    await comesToHold(command, [...ofKey(key.bytes), ...ofDhMacs(peer)], ["K", "dhmac_C", "dhmac_S"]);
    await peer.readPublicValue();
    await peer.write(peer.macedPublicValue());
    await spipe.write("hello");
    assert.equal(Buffer.from(await peer.receive(5)).toString(), "hello");
    await comesToHold(command, [...ofKey(key.bytes), ...ofConnection(peer, ahead)], PACKET_KEYS);
    assert.deepEqual(exponentsIn(command.id), [], "and needs no other pair");
  });
}
