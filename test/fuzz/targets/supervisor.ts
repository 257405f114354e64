// All tunnels of a process under any order of reloads, connections, ends and cancels, against a model of which tunnels
// listen, who answers, and what is open. At the end nothing may be left: no descriptor, handle or timer.

import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { connect, createServer, type Server, type Socket } from "node:net";
import { join } from "node:path";
import { changesBetween } from "#dist/flags/config-changes.js";
import type { FileTunnel } from "#dist/flags/config-file.js";
import { InheritedSockets } from "#dist/net/inherited-sockets.js";
import { createLog } from "#dist/observe/log.js";
import { Supervisor } from "#dist/service/supervisor.js";
import { freePort } from "../../support/addresses.js";
import { until } from "../../support/cleanup.js";
import { temporaryRoot } from "../../support/environment.js";
import { Choices, type Target } from "../target.js";
import { tunnelOfArguments } from "./words.js";

const NAMES = ["a", "b", "c", "__proto__"] as const;
type Name = (typeof NAMES)[number];

/** Where tunnels may listen: no two in one place, and not in `one` and `all` at once. */
const PLACES = ["u", "v", "one", "all", "taken"] as const;
type Place = (typeof PLACES)[number];

/** What the file says about a tunnel. */
interface Wanted {
  readonly place: Place;
  readonly mode: "0600" | "0660";
  readonly hasKey: boolean;
}

type Wish = ReadonlyMap<Name, Wanted>;

/** Shared by all inputs: the services behind the tunnels, and a socket that another program listens on. */
class World {
  readonly folder = mkdtempSync(join(temporaryRoot, "spiped-fuzz-"));
  readonly services = new Map<Name, { readonly server: Server; readonly accepted: Socket[] }>();
  readonly #others: Server[] = [];
  readonly port: number;
  /** What is open while no tunnel runs. */
  baseline: Open | undefined;

  private constructor(port: number) {
    this.port = port;
  }

  static async make(): Promise<World> {
    const world = new World(await freePort("0.0.0.0"));
    writeFileSync(join(world.folder, "key"), "thirty-two bytes, or a few more..", { mode: 0o600 });
    for (const name of NAMES) {
      const accepted: Socket[] = [];
      const server = createServer({ allowHalfOpen: true }, (socket) =>
        accepted.push(socket.on("error", () => undefined)),
      );
      await listening(server, world.servicePath(name));
      world.services.set(name, { server, accepted });
    }
    const other = createServer((socket) => socket.destroy());
    await listening(other, join(world.folder, "taken"));
    world.#others.push(other);
    return world;
  }

  servicePath(name: Name): string {
    return join(this.folder, `service-${name}`);
  }

  /** Where a tunnel's clients connect. */
  dialed(place: Place): { readonly path: string } | { readonly port: number; readonly host: string } {
    return place === "one" || place === "all"
      ? { port: this.port, host: "127.0.0.1" }
      : { path: join(this.folder, place) };
  }

  tunnels(wish: Wish): readonly FileTunnel[] {
    return [...wish].map(([name, { place, mode, hasKey }]) => {
      const host = place === "one" ? "[127.0.0.1]" : "[0.0.0.0]";
      const isTcp = place === "one" || place === "all";
      const source = isTcp ? `${host}:${this.port}` : join(this.folder, place);
      return tunnelOfArguments(name, [
        ..."-e -f -o 600 --target".split(" "),
        this.servicePath(name),
        `--source=${source}`,
        `--key=${join(this.folder, hasKey ? "key" : "no-key")}`,
        ...(isTcp ? [] : [`--source-mode=${mode}`]),
      ]);
    });
  }

  close(): void {
    for (const { server, accepted } of this.services.values()) {
      for (const socket of accepted) socket.destroy();
      server.close();
    }
    for (const server of this.#others) server.close();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** An accepted client, and its connection at the service. */
interface Client {
  readonly socket: Socket;
  readonly service: Socket;
  /** Whether the client has closed its socket. */
  hasLeft: boolean;
}

/** One supervisor and its model. */
class Trial {
  readonly #world: World;
  readonly #supervisor: Supervisor;
  readonly #errors: string[] = [];
  #wish: Wish;
  #clients: Client[] = [];

  constructor(world: World, wish: Wish) {
    this.#world = world;
    this.#wish = wish;
    const log = createLog({ write: ({ level, message }) => level === "error" && this.#errors.push(message) });
    const inherited = new InheritedSockets({ kind: "nothing", why: "nothing", hint: "nothing" });
    this.#supervisor = new Supervisor(world.tunnels(wish), { log, inherited });
  }

  async start(): Promise<void> {
    await this.#supervisor.lookup();
    await this.#supervisor.readKeys();
    this.#supervisor.listen();
    await this.#supervisor.start();
  }

  async step(choices: Choices): Promise<void> {
    switch (choices.byte() % 8) {
      case 0:
      case 1:
      case 2:
        await this.#change(wishOf(choices));
        break;
      case 3:
      case 4:
        await this.#connect(choices.of(PLACES));
        break;
      case 5:
        await this.#end(choices);
        break;
      case 6:
        await this.#supervisor.reload();
        break;
      default:
        this.#supervisor.cancel();
        await this.#allEnded();
    }
    await this.#check();
  }

  async #change(wish: Wish): Promise<void> {
    const before = this.#errors.length;
    const [old, next] = [this.#world.tunnels(this.#wish), this.#world.tunnels(wish)];
    const changes = changesBetween({ process: {}, tunnels: old }, { process: {}, tunnels: next });
    const outcome = await this.#supervisor.change(changes);
    const isPossible = canListen(wish, changes.unchanged);
    assert.equal(outcome.kind, isPossible ? "changed" : "nothing changed", this.#errors.slice(before).join("; "));
    if (outcome.kind === "changed") {
      assert.equal(outcome.failed, 0);
      this.#wish = wish;
    } else {
      assert.equal(outcome.failures, this.#errors.length - before);
      assert.ok(outcome.failures > 0);
    }
  }

  #ownerOf(place: Place): Name | undefined {
    const isSame = (one: Place) => one === place || (isTcp(one) && isTcp(place));
    return [...this.#wish].find(([, wanted]) => isSame(wanted.place))?.[0];
  }

  async #connect(place: Place): Promise<void> {
    if (place === "taken") return;
    const owner = this.#ownerOf(place);
    const socket = connect({ ...this.#world.dialed(place), allowHalfOpen: true });
    const isConnected = await new Promise<boolean>((resolve) => {
      socket.on("error", () => resolve(false)).once("connect", () => resolve(true));
    });
    assert.equal(isConnected, owner !== undefined, `${place} listens`);
    if (owner === undefined) return;
    const { accepted } = this.#world.services.get(owner) ?? { accepted: [] };
    const known = this.#clients.map(({ service }) => service);
    const service = await until(
      () => accepted.find((one) => !known.includes(one) && !one.destroyed),
      `a connection at the service of ${owner}`,
    );
    socket.resume();
    this.#clients.push({ socket, service, hasLeft: false });
  }

  /**
   * Closes one connection at either side. The services never answer, so all connections are in the handshake. There
   * `-e` reads nothing from its client, which may have half-closed: a client that leaves ends nothing. The service
   * does.
   */
  async #end(choices: Choices): Promise<void> {
    const client = choices.of([undefined, ...this.#clients]);
    if (client === undefined) return;
    if (choices.bool() && !client.hasLeft) {
      client.socket.destroy();
      client.hasLeft = true;
      return;
    }
    const { socket, service } = client;
    service.destroy();
    await until(() => (socket.destroyed || socket.readableEnded ? true : undefined), "the client to be closed");
    socket.destroy();
    this.#clients = this.#clients.filter((each) => each !== client);
  }

  async #allEnded(): Promise<void> {
    for (const { socket, service } of this.#clients) {
      service.resume();
      await until(() => (socket.destroyed || socket.readableEnded ? true : undefined), "a cancelled client to end");
      socket.destroy();
      service.destroy();
    }
    this.#clients = [];
  }

  async #check(): Promise<void> {
    const names = this.#supervisor.tunnels.map(({ config }) => config.name).sort();
    assert.deepEqual(names, [...this.#wish.keys()].sort());
    for (const { tunnel } of this.#supervisor.tunnels) assert.equal(tunnel?.state.name, "listening");
    await until(
      () => (this.#supervisor.connections === this.#clients.length ? true : undefined),
      () => `${this.#clients.length} connections; there are ${this.#supervisor.connections}`,
    );
    for (const { socket, service, hasLeft } of this.#clients) {
      assert.ok(socket.destroyed === hasLeft && !service.destroyed, "it goes on");
    }
    const leaving = this.#supervisor.describe().length - this.#wish.size;
    assert.ok(leaving <= this.#clients.length, `${leaving} tunnels leave for ${this.#clients.length} clients`);
  }

  /** Ends everything, in one order or another. */
  async end(choices: Choices): Promise<void> {
    const draining = this.#supervisor.drain();
    if (choices.bool()) this.#supervisor.cancel();
    for (const { socket } of this.#clients) socket.destroy();
    for (const { accepted } of this.#world.services.values()) for (const one of accepted) one.resume().destroy();
    this.#supervisor.cancel();
    await draining;
    assert.equal(this.#supervisor.connections, 0);
    assert.ok(!readdirSync(this.#world.folder).some((name) => name === "u" || name === "v"), "the sockets' files go");
  }
}

function isTcp(place: Place): boolean {
  return place === "one" || place === "all";
}

/** Whether all tunnels can start. @param unchanged - Tunnels whose keys are not read again. */
function canListen(wish: Wish, unchanged: readonly string[]): boolean {
  const places = [...wish.values()].map(({ place }) => place);
  const isRight = ([name, { place, hasKey }]: readonly [Name, Wanted]) =>
    place !== "taken" && (hasKey || unchanged.includes(name));
  return [...wish].every(isRight) && !(places.includes("one") && places.includes("all"));
}

/** Never the same place twice: the file would be rejected before. */
function wishOf(choices: Choices, isGood = false): Wish {
  const wish = new Map<Name, Wanted>();
  for (const name of NAMES) {
    const [place, options] = [choices.of(PLACES), choices.byte()];
    if (options % 4 === 3 || [...wish.values()].some((one) => one.place === place)) continue;
    const isBad = options >= 240;
    if (isGood && (place === "taken" || (isTcp(place) && [...wish.values()].some((one) => isTcp(one.place))))) continue;
    wish.set(name, {
      place,
      mode: (options & 4) === 0 ? "0600" : "0660",
      hasKey: isGood || !isBad,
    });
  }
  return wish;
}

let made: Promise<World> | undefined;

export const supervisor: Target = {
  name: "supervisor",
  isLong: true,
  words: [
    "\u0000\u0000\u0000\u0001\u0000\u0002\u0000\u0003\u0003",
    "\u0000\u0002\u0000\u0003\u0003\u0000\u0003\u0000\u0003",
    "\u0000\u0003\u0000\u0002\u0003\u0000\u0003\u0000\u0003",
    "\u0003\u0000\u0003\u0001\u0003\u0002",
    "\u0005\u0001\u0001",
    "\u0006\u0007",
    "\u0000\u0003\u0004\u0000\u0003\u0000\u0003\u0000\u0003",
  ],
  async run(input) {
    if (process.platform !== "linux") return;
    made ??= World.make();
    const world = await made;
    const choices = new Choices(input);
    const trial = new Trial(world, wishOf(choices, true));
    await trial.start();
    for (let steps = 0; steps < 20 && !choices.isEmpty; steps += 1) await trial.step(choices);
    await trial.end(choices);
    for (const { accepted } of world.services.values()) accepted.length = 0;
    // The first run has created what a process creates once.
    world.baseline ??= await settled();
    const { baseline } = world;
    await until(
      () => (isNoMore(openNow(), baseline) ? true : undefined),
      () => `${JSON.stringify(openNow())} to become ${JSON.stringify(baseline)}`,
    );
  },
  async close() {
    (await made)?.close();
    made = undefined;
  },
};

/** What is open, by kind. */
type Open = Readonly<Record<string, number>>;

function openNow(): Open {
  const open: Record<string, number> = { descriptors: readdirSync("/proc/self/fd").length };
  for (const kind of process.getActiveResourcesInfo()) open[kind] = (open[kind] ?? 0) + 1;
  return open;
}

function isNoMore(now: Open, before: Open): boolean {
  return Object.entries(now).every(([kind, count]) => count <= (before[kind] ?? 0));
}

/** What is open once nothing changes any more. */
async function settled(): Promise<Open> {
  for (let before = openNow(); ; ) {
    await new Promise((resolve) => setTimeout(resolve, 300));
    const now = openNow();
    if (isNoMore(now, before) && isNoMore(before, now)) return now;
    before = now;
  }
}

function listening(server: Server, path: string): Promise<void> {
  return new Promise((resolve) => server.listen(path, resolve));
}
