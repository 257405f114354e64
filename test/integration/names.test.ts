// Targets by name: names are resolved again in the background, and all of their addresses are tried.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { type TestContext, test } from "node:test";
import { freeAddress, freePort, type LoopbackHost, textOf } from "../support/addresses.js";
import { limits } from "../support/cleanup.js";
import { Command } from "../support/command.js";
import { deafAddress } from "../support/deaf-listener.js";
import { Listener } from "../support/listener.js";
import { Names, withNames } from "../support/names.js";
import { type Established, isAlive } from "../support/one-end.js";
import { ours } from "../support/programs.js";
import { ReferencePeer } from "../support/reference-peer.js";
import { Spipe } from "../support/spipe.js";
import { TestSocket } from "../support/test-socket.js";
import { connectionLines, type Key, newKey, patience, type Spiped, startSpiped } from "../support/tunnel.js";

const name = "far.test";
/** A short interval, so that a test does not wait long. */
const often = ["-r", "0.02"];
const ends = ["-d", "-e"] as const;

/** Listeners on one port of several addresses. */
async function listenOn(t: TestContext, ...hosts: readonly LoopbackHost[]): Promise<readonly Listener[]> {
  const port = await freePort("127.0.0.1");
  return Promise.all(hosts.map((host) => Listener.listenAt(t, { kind: "tcp", host, port })));
}

function portOf(listener: Listener | undefined): number {
  if (listener?.address.kind !== "tcp") throw new Error("the test's listeners have ports");
  return listener.address.port;
}

/** One end of ours whose target is `name`. */
class NamedEnd {
  readonly spiped: Spiped;
  readonly #t: TestContext;
  readonly #end: "-d" | "-e";
  readonly #key: Key;

  private constructor(t: TestContext, end: "-d" | "-e", key: Key, spiped: Spiped) {
    this.#t = t;
    this.#end = end;
    this.#key = key;
    this.spiped = spiped;
  }

  static async start(
    t: TestContext,
    end: "-d" | "-e",
    { names, service, flags }: { names: Names; service: number | string; flags: readonly string[] },
  ): Promise<NamedEnd> {
    const key = await newKey(t);
    const target = `${name}:${service}`;
    const { env } = names;
    const spiped = await startSpiped(t, { end, source: "tcp", target, key, env, flags: [...patience, ...flags] });
    return new NamedEnd(t, end, key, spiped);
  }

  /** A new connection that must dial this listener. */
  async reaches(listener: Listener | undefined): Promise<Established> {
    assert.ok(listener !== undefined);
    const near = await TestSocket.connect(this.#t, this.spiped.source);
    if (this.#end === "-d") {
      const peer = ReferencePeer.client(near, { keyFile: this.#key.bytes });
      await peer.handshake();
      return { peer, plain: await listener.next() };
    }
    const peer = ReferencePeer.server(await listener.next(), { keyFile: this.#key.bytes });
    await peer.handshake();
    return { peer, plain: near };
  }

  /** Waits for its message about the target's addresses. */
  async sees(...hosts: readonly LoopbackHost[]): Promise<void> {
    const listed = hosts.map((host) => `\\[${host}\\]:\\d+`).join(", ");
    await this.spiped.command.line(new RegExp(`^spiped: target ${name}:\\d+ now resolves to ${listed}$`));
  }
}

withNames(() => {
  for (const end of ends) {
    test(`spiped ${end} dials a name's new address, and connections to the old one continue`, limits, async (t) => {
      const names = await Names.create(t);
      const [old, young] = await listenOn(t, "127.0.0.2", "127.0.0.3");
      names.set(name, "127.0.0.2");
      const named = await NamedEnd.start(t, end, { names, service: portOf(old), flags: often });
      const before = await named.reaches(old);
      names.set(name, "127.0.0.3");
      await named.sees("127.0.0.3");
      const after = await named.reaches(young);
      assert.ok(await isAlive(before));
      assert.ok(await isAlive(after));
      assert.equal(old?.acceptedCount, 1);
      assert.deepEqual(connectionLines(named.spiped.command), []);
    });

    test(`spiped ${end} keeps the old addresses of a name that can no longer be resolved`, limits, async (t) => {
      const names = await Names.create(t);
      const [old, young] = await listenOn(t, "127.0.0.2", "127.0.0.3");
      names.set(name, "127.0.0.2");
      const named = await NamedEnd.start(t, end, { names, service: portOf(old), flags: often });
      for (let outage = 1; outage <= 2; outage += 1) {
        const [now, later, laterHost] =
          outage === 1 ? ([old, young, "127.0.0.3"] as const) : ([young, old, "127.0.0.2"] as const);
        names.set(name);
        await named.spiped.command.line(/cannot resolve far\.test:\d+: .*keeping the old addresses/, outage);
        assert.ok(await isAlive(await named.reaches(now)));
        names.set(name, laterHost);
        await named.sees(laterHost);
        assert.ok(await isAlive(await named.reaches(later)));
      }
      // Logged once for each outage, however often it retried.
      const lines = named.spiped.command.lines.filter((line) => /keeping the old addresses/.test(line));
      assert.equal(lines.length, 2);
    });

    test(`spiped ${end} tries every address of a name`, limits, async (t) => {
      const names = await Names.create(t);
      const [last] = await listenOn(t, "127.0.0.9");
      names.set(name, "127.0.0.6", "127.0.0.7", "127.0.0.8", "127.0.0.9");
      const named = await NamedEnd.start(t, end, { names, service: portOf(last), flags: ["-R"] });
      assert.ok(await isAlive(await named.reaches(last)));
    });

    test(`spiped ${end} reaches the second address when the first one does not answer`, limits, async (t) => {
      const names = await Names.create(t);
      const deaf = await deafAddress(t);
      assert.ok(deaf.kind === "tcp");
      const alive = await Listener.listenAt(t, { ...deaf, host: "127.0.0.2" });
      names.set(name, "127.0.0.1", "127.0.0.2");
      // If the first address used up the timeout in `patience`, the test would fail.
      const named = await NamedEnd.start(t, end, { names, service: deaf.port, flags: ["-R"] });
      assert.ok(await isAlive(await named.reaches(alive)));
      assert.deepEqual(connectionLines(named.spiped.command), []);
    });

    test(`spiped ${end} with -R, or within the usual minute, resolves a name only once`, limits, async (t) => {
      const names = await Names.create(t);
      const [old, young] = await listenOn(t, "127.0.0.2", "127.0.0.3");
      names.set(name, "127.0.0.2");
      const service = portOf(old);
      const once = await NamedEnd.start(t, end, { names, service, flags: ["-R"] });
      const eachMinute = await NamedEnd.start(t, end, { names, service, flags: [] });
      const oftener = await NamedEnd.start(t, end, { names, service, flags: often });
      // While one has seen ten changes, the others had time for one.
      for (let change = 1; change <= 10; change += 1) {
        const host: LoopbackHost = `127.0.0.${change + 2}`;
        names.set(name, host);
        await oftener.sees(host);
      }
      names.set(name, "127.0.0.3");
      await oftener.spiped.command.line(/now resolves to \[127\.0\.0\.3\]/, 2);
      assert.ok(await isAlive(await oftener.reaches(young)));
      for (const other of [once, eachMinute]) {
        assert.ok(await isAlive(await other.reaches(old)));
        assert.equal(other.spiped.command.lines.length, 1);
      }
    });
  }

  test("spiped logs for every address of a name why dialing it failed", limits, async (t) => {
    const names = await Names.create(t);
    names.set(name, "127.0.0.6", "127.0.0.7");
    const port = await freePort("127.0.0.6");
    const named = await NamedEnd.start(t, "-e", { names, service: port, flags: ["-R"] });
    const app = await TestSocket.connect(t, named.spiped.source);
    assert.equal(await app.endWhileOpen(), "reset");
    await named.spiped.command.line(/far\.test:\d+: \[127\.0\.0\.6\]:\d+: .*refused; \[127\.0\.0\.7\]:\d+: .*refused/);
  });

  test("spiped -D waits for a target's name that appears later, and logs that once", limits, async (t) => {
    const names = await Names.create(t);
    const key = await newKey(t);
    const [target] = await listenOn(t, "127.0.0.2");
    const source = await freeAddress(t, "unix");
    const args = ["-F", "-D", "-d", "-s", textOf(source), "-t", `${name}:${portOf(target)}`, "-k", key.path];
    const command = Command.start(t, [...ours.spiped, ...args], { stdin: "ignore", env: names.env });
    await command.line(/cannot resolve far\.test:\d+: .*retrying every second$/);
    names.set(name, "127.0.0.2");
    await command.line(/listening on/);
    const peer = ReferencePeer.client(await TestSocket.connect(t, source), { keyFile: key.bytes });
    await peer.handshake();
    assert.ok(target !== undefined && (await isAlive({ peer, plain: await target.next() })));
    assert.equal(command.lines.length, 2);
  });

  test("a service name can be used as the port", limits, async (t) => {
    const names = await Names.create(t);
    names.set(name, "127.0.0.2");
    const found = await listenOnService(t, "127.0.0.2");
    if (found === undefined) {
      t.skip("the system knows no service above port 1024 whose port is free here");
      return;
    }
    const named = await NamedEnd.start(t, "-e", { names, service: found.service, flags: [] });
    assert.ok(await isAlive(await named.reaches(found.listener)));
    await named.spiped.command.line(new RegExp(`encrypting to far\\.test:${found.service}$`));
  });

  test("spipe tries every address of a name, also when the first one never answers", limits, async (t) => {
    const names = await Names.create(t);
    const deaf = await deafAddress(t);
    assert.ok(deaf.kind === "tcp");
    const alive = await Listener.listenAt(t, { ...deaf, host: "127.0.0.3" });
    names.set(name, "127.0.0.1", "127.0.0.2", "127.0.0.3");
    const key = await newKey(t);
    const target = `${name}:${deaf.port}`;
    const spipe = Spipe.start(t, { program: ours, target, key, env: names.env });
    const peer = ReferencePeer.server(await alive.next(), { keyFile: key.bytes });
    await peer.handshake();
    spipe.finish();
    peer.link.finish();
    assert.deepEqual(await spipe.command.exit(), { status: 0, signal: null });
  });
});

/** A listener on the port of a service that the system knows by name. */
async function listenOnService(
  t: TestContext,
  host: LoopbackHost,
): Promise<{ readonly service: string; readonly listener: Listener } | undefined> {
  const services = readFileSync("/etc/services", "utf8").matchAll(/^([a-z][a-z0-9-]*)\s+(\d+)\/tcp/gm);
  for (const [, service = "", digits] of services) {
    const port = Number(digits);
    if (port <= 1024) continue;
    try {
      return { service, listener: await Listener.listenAt(t, { kind: "tcp", host, port }) };
    } catch {
      // In use; try the next one.
    }
  }
  return undefined;
}
