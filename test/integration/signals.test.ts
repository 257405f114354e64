// SIGTERM and SIGINT, and the files left after them; and a log without a reader.

import assert from "node:assert/strict";
import { access } from "node:fs/promises";
import { connect } from "node:net";
import { test } from "node:test";
import { type Address, socketOptionsOf, textOf } from "../support/addresses.js";
import { limits } from "../support/cleanup.js";
import { Command } from "../support/command.js";
import { expectAll } from "../support/expect.js";
import { Listener } from "../support/listener.js";
import { allEnds, isAlive, startServerEnd } from "../support/one-end.js";
import { ours } from "../support/programs.js";
import { reasonsOf, toldToEnd } from "../support/reasons.js";
import { TestSocket } from "../support/test-socket.js";
import { newKey, startSpiped } from "../support/tunnel.js";

/** The message on SIGTERM with so many open connections. */
function draining(connections: number): string {
  return `spiped: SIGTERM: shutting down, draining ${connections === 1 ? "1 connection" : `${connections} connections`}`;
}

/** Whether anything listens. */
function isAnswered(address: Address): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(socketOptionsOf(address));
    socket.once("error", () => resolve(false));
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
  });
}

for (const { name, start } of allEnds) {
  test(`${name} without connections logs one message on SIGTERM or SIGINT and exits 0`, limits, async (t) => {
    for (const signal of ["SIGTERM", "SIGINT"] as const) {
      const { command, source } = (await start(t)).spiped;
      assert.equal(command.lines.length, 1);
      command.signal(signal);
      assert.deepEqual(await command.exit(), { status: 0, signal: null });
      assert.deepEqual(command.lines.slice(1), ["spiped: stopped: all connections closed"]);
      assert.equal(await isAnswered(source), false);
    }
  });

  test(`${name} drains its connections after SIGTERM, accepts no new ones, and exits 0`, limits, async (t) => {
    const end = await start(t);
    const { command, source } = end.spiped;
    const first = await end.establish();
    const second = await end.establish();
    command.signal("SIGTERM");
    assert.equal(await command.line(/SIGTERM/), draining(2));
    assert.equal(await isAnswered(source), false);
    for (const { peer, plain } of [first, second]) {
      assert.ok(await isAlive({ peer, plain }));
      assert.ok(!command.isGone);
      peer.link.finish();
      expectAll(await plain.readToEnd(), "");
      await plain.write("goodbye");
      plain.finish();
      expectAll(await peer.receiveToEnd(), "goodbye");
    }
    assert.deepEqual(await command.exit(), { status: 0, signal: null });
    assert.deepEqual(reasonsOf(end.spiped), []);
    assert.equal(command.lines.at(-1), "spiped: stopped: all connections closed");
  });

  test(`${name} resets its connections on a second SIGTERM and exits`, limits, async (t) => {
    const end = await start(t);
    const { command } = end.spiped;
    const { peer, plain } = await end.establish();
    command.signal("SIGTERM");
    assert.equal(await command.line(/SIGTERM/), draining(1));
    assert.ok(await isAlive({ peer, plain }));
    command.signal("SIGTERM");
    assert.equal(await plain.endWhileOpen(), "reset");
    assert.equal(await peer.link.endWhileOpen(), "reset");
    assert.deepEqual(await command.exit(), { status: 1, signal: null });
    assert.deepEqual(reasonsOf(end.spiped), [toldToEnd]);
    assert.equal(command.lines.at(-1), "spiped: stopped: reset 1 open connection");
  });

  test(`${name} continues when the reader of its standard error is gone`, limits, async (t) => {
    const end = await start(t);
    const friend = await end.establish();
    end.spiped.command.child.stderr?.destroy();
    for (let count = 0; count < 3; count += 1) {
      const { peer, plain } = await end.establish();
      await peer.write(peer.seal(Buffer.from("wrong"), { flippedBit: 0 }));
      assert.equal(await plain.endWhileOpen(), "reset");
    }
    assert.ok(await isAlive(friend));
    assert.ok(await isAlive(await end.establish()));
  });
}

test("spiped closes a stranger's connection on SIGINT and exits", limits, async (t) => {
  const end = await startServerEnd(t, { kind: "tcp" });
  const stranger = await end.dial();
  await stranger.read(32);
  end.spiped.command.signal("SIGINT");
  // It has sent no data that would be discarded.
  assert.equal(await stranger.end(), "fin");
  assert.deepEqual(await end.spiped.command.exit(), { status: 1, signal: null });
  assert.deepEqual(reasonsOf(end.spiped), [toldToEnd]);
  assert.equal(end.target.acceptedCount, 0);
});

test("spiped removes its UNIX socket at exit", limits, async (t) => {
  const { command, source } = (await startServerEnd(t, { kind: "unix" })).spiped;
  await access(textOf(source));
  command.signal("SIGTERM");
  assert.deepEqual(await command.exit(), { status: 0, signal: null });
  await assert.rejects(access(textOf(source)));
});

test("spiped replaces a stale UNIX socket", limits, async (t) => {
  const key = await newKey(t);
  const target = await Listener.listen(t, "unix");
  const killed = await startSpiped(t, { end: "-e", source: "unix", target: target.address, key });
  await killed.command.kill();
  await access(textOf(killed.source));
  const args = ["-F", "-e", "-s", textOf(killed.source), "-t", textOf(target.address), "-k", key.path];
  const successor = Command.start(t, [...ours.spiped, ...args], { stdin: "ignore" });
  await successor.line(/listening/i);
  await TestSocket.connect(t, killed.source);
  assert.equal((await target.next()).waitingBytes, 0);
});
