// All tunnels of a process under any order of reloads, connections, ends and cancels, against a model of which tunnels
// listen, who answers, what is open, and which clients wait in the backlog for a connection slot or for descriptors. At the
// end nothing may be left: no descriptor, handle or timer.
//
// Longer than most files because the model has to know all of that at once.

import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { connect, createServer, type Server, type Socket } from "node:net";
import { join } from "node:path";
import { changesBetween } from "#dist/flags/config-changes.js";
import type { FileTunnel } from "#dist/flags/config-file.js";
import { DESCRIPTORS_PER_CONNECTION, DescriptorBudget } from "#dist/net/descriptors.js";
import { InheritedSockets } from "#dist/net/inherited-sockets.js";
import { createLog } from "#dist/observe/log.js";
import type { ServedTunnel } from "#dist/service/served-tunnel.js";
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
  /** The connection limit. */
  readonly limit: number;
}

type Wish = ReadonlyMap<Name, Wanted>;

/** How many descriptors the supervisor books for each tunnel. */
const DESCRIPTORS_PER_TUNNEL = 3;

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
    return [...wish].map(([name, { place, mode, hasKey, limit }]) => {
      const host = place === "one" ? "[127.0.0.1]" : "[0.0.0.0]";
      const isTcp = place === "one" || place === "all";
      const source = isTcp ? `${host}:${this.port}` : join(this.folder, place);
      return tunnelOfArguments(name, [
        ..."-e -f -o 600 --target".split(" "),
        this.servicePath(name),
        `--source=${source}`,
        `--max-connections=${limit}`,
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

/** A client that is connected to a listening socket. */
interface Waiting {
  readonly socket: Socket;
  /** Whether the client has closed its socket. */
  hasLeft: boolean;
}

/** An accepted client, and its connection at the service. */
interface Client extends Waiting {
  readonly service: Socket;
  /** The tunnel that has accepted it; a reload that changes a tunnel replaces it. */
  readonly of: Instance;
}

/** A tunnel from its start to its end. */
interface Instance {
  readonly name: Name;
}

/** One supervisor and its model. */
class Trial {
  readonly #world: World;
  readonly #supervisor: Supervisor;
  readonly #errors: string[] = [];
  readonly #descriptors: number;
  readonly #budget: DescriptorBudget;
  #wish: Wish;
  #instances: ReadonlyMap<Name, Instance>;
  #clients: Client[] = [];
  /** The clients in the backlog of each listening socket, in their order. */
  #waiting = new Map<Place, Waiting[]>();

  /** @param descriptors - How many the process may open. */
  constructor(world: World, wish: Wish, descriptors: number) {
    this.#world = world;
    this.#wish = wish;
    this.#instances = new Map([...wish.keys()].map((name) => [name, { name }]));
    this.#descriptors = descriptors;
    this.#budget = new DescriptorBudget(descriptors);
    const log = createLog({ write: ({ level, message }) => level === "error" && this.#errors.push(message) });
    const inherited = new InheritedSockets({ kind: "nothing", why: "nothing", hint: "nothing" });
    this.#supervisor = new Supervisor(world.tunnels(wish), { log, inherited });
  }

  async start(): Promise<void> {
    // Measured once, when the first tunnel listens.
    DescriptorBudget.measure = () => this.#budget;
    await this.#supervisor.lookup();
    await this.#supervisor.readKeys();
    this.#supervisor.listen();
    await this.#supervisor.start();
  }

  async step(choices: Choices): Promise<void> {
    switch (choices.byte() % 8) {
      case 0:
      case 1:
        await this.#change(wishOf(choices));
        break;
      case 2:
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
      await this.#apply(wish, changes.unchanged);
    } else {
      // Clients in the backlog are still there.
      assert.equal(outcome.failures, this.#errors.length - before);
      assert.ok(outcome.failures > 0);
    }
  }

  async #apply(wish: Wish, unchanged: readonly string[]): Promise<void> {
    const instanceOf = (name: Name) => (unchanged.includes(name) ? this.#instances.get(name) : undefined) ?? { name };
    this.#instances = new Map([...wish.keys()].map((name) => [name, instanceOf(name)]));
    const isKept = (place: Place) => {
      const [before, after] = [this.#wish, wish].map((each) => [...each.values()].find((one) => one.place === place));
      return before !== undefined && after !== undefined && (isTcp(place) || before.mode === after.mode);
    };
    const closed = [...this.#waiting.keys()].filter((place) => !isKept(place));
    this.#wish = wish;
    for (const place of closed) {
      for (const { socket } of this.#waiting.get(place) ?? []) {
        await until(
          () => hasEnded(socket),
          () => `a client of a socket that was closed to end: ${place}`,
        );
        socket.destroy();
      }
      this.#waiting.delete(place);
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
    const real = this.#wish.get(owner)?.place ?? place;
    this.#waiting.set(real, [...(this.#waiting.get(real) ?? []), { socket: socket.resume(), hasLeft: false }]);
  }

  /** Clients that a tunnel has accepted since the last time: the first ones in its backlog. */
  #takeAccepted(): void {
    for (const [name, { accepted }] of this.#world.services) {
      const known = this.#clients.map(({ service }) => service);
      const of = this.#instances.get(name);
      const waiting = this.#waiting.get(this.#wish.get(name)?.place ?? "taken");
      for (const service of accepted.filter((one) => !known.includes(one) && !one.destroyed)) {
        const next = waiting?.shift();
        assert.ok(next !== undefined && of !== undefined, `a connection of nobody at the service of ${name}`);
        this.#clients.push({ ...next, service, of });
      }
    }
  }

  /**
   * Closes one connection at either side. The services never answer, so all connections are in the handshake. There
   * `-e` reads nothing from its client, which may have half-closed: a client that leaves ends nothing. The service
   * does.
   */
  async #end(choices: Choices): Promise<void> {
    if (choices.bool()) {
      const leaving = choices.of([undefined, ...this.#clients, ...[...this.#waiting.values()].flat()]);
      if (leaving === undefined) return;
      leaving.socket.destroy();
      leaving.hasLeft = true;
      return;
    }
    const client = choices.of([undefined, ...this.#clients]);
    if (client === undefined) return;
    const { socket, service } = client;
    this.#clients = this.#clients.filter((each) => each !== client);
    service.destroy();
    await until(() => hasEnded(socket), "the client to be closed");
    socket.destroy();
  }

  async #allEnded(): Promise<void> {
    const ending = this.#clients;
    this.#clients = [];
    for (const { socket, service } of ending) {
      service.resume();
      await until(() => hasEnded(socket), "a cancelled client to end");
      socket.destroy();
      // Not before: the service must not have it as a new one.
      service.destroy();
    }
  }

  async #check(): Promise<void> {
    const names = this.#supervisor.tunnels.map(({ config }) => config.name).sort();
    assert.deepEqual(names, [...this.#wish.keys()].sort());
    await until(
      () => {
        this.#takeAccepted();
        return this.#supervisor.connections === this.#clients.length && this.#areWaitsRight() ? true : undefined;
      },
      () => `${this.#clients.length} connections; there are ${this.#supervisor.connections}; ${this.#waits}`,
    );
    for (const [name, of] of this.#instances) {
      const own = this.#clients.filter((client) => client.of === of).length;
      const served = this.#supervisor.tunnels.find(({ config }) => config.name === name);
      assert.equal(served?.connections, own);
      assert.ok(own <= (this.#wish.get(name)?.limit ?? 0), `${name} keeps its connection limit`);
    }
    const booked = this.#wish.size * DESCRIPTORS_PER_TUNNEL + this.#clients.length * DESCRIPTORS_PER_CONNECTION;
    assert.equal(this.#budget.connections, Math.floor((this.#descriptors - booked) / DESCRIPTORS_PER_CONNECTION));
    for (const { socket, service, hasLeft } of this.#clients) {
      assert.ok(socket.destroyed === hasLeft && !service.destroyed, "it goes on");
    }
    for (const { socket, hasLeft } of [...this.#waiting.values()].flat()) {
      assert.ok(hasEnded(socket) === undefined || hasLeft, "a client in the backlog waits on");
    }
    const leaving = this.#supervisor.describe().length - this.#wish.size;
    assert.ok(leaving <= this.#clients.length, `${leaving} tunnels leave for ${this.#clients.length} clients`);
  }

  /** Whether each tunnel waits exactly as long as it lacks something, and no client waits at one that accepts. */
  #areWaitsRight(): boolean {
    const isRight = ({ tunnel, connections, config: { name } }: ServedTunnel): boolean => {
      assert.equal(tunnel?.state.name, "listening");
      const wanted = this.#wish.get(name as Name);
      const isFull = connections >= (wanted?.limit ?? 0);
      const hasClients = (this.#waiting.get(wanted?.place ?? "taken") ?? []).length > 0;
      switch (tunnel.state.waitsFor) {
        case "slots":
          return isFull;
        case "descriptors":
          return !isFull && !this.#budget.hasRoom;
        case undefined:
          return !isFull && !hasClients;
        case "strangers":
          // All clients of -e count as authenticated.
          return false;
      }
    };
    return this.#supervisor.tunnels.every(isRight);
  }

  get #waits(): string {
    const waits = this.#supervisor.tunnels.map(({ tunnel, connections, config: { name } }) => {
      const wanted = this.#wish.get(name as Name);
      const clients = (this.#waiting.get(wanted?.place ?? "taken") ?? []).length;
      const what = tunnel?.state.name === "listening" ? tunnel.state.waitsFor : tunnel?.state.name;
      return `${name}: ${connections} of ${wanted?.limit}, ${clients} wait for ${what}`;
    });
    return [...waits, `room for ${this.#budget.connections}`].join("; ");
  }

  /** Ends everything, in one order or another. */
  async end(choices: Choices): Promise<void> {
    const draining = this.#supervisor.drain();
    if (choices.bool()) this.#supervisor.cancel();
    for (const { socket } of [...this.#clients, ...[...this.#waiting.values()].flat()]) socket.destroy();
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

/** Whether a client sees the end of its connection, or has left. */
function hasEnded(socket: Socket): true | undefined {
  return socket.destroyed || socket.readableEnded ? true : undefined;
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
      limit: [100, 100, 1, 2][(options >> 3) & 3] ?? 100,
    });
  }
  return wish;
}

const { measure } = DescriptorBudget;

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
    // A connection limit of one, four clients, and one that the service ends.
    "\u0000\u0000\u0010\u0000\u0003\u0000\u0003\u0000\u0003\u0003\u0000\u0003\u0000\u0003\u0000\u0003\u0000\u0005\u0000\u0001",
    // Few descriptors, for two tunnels: one has to wait for a connection of the other to end.
    "\u0007\u0000\u0000\u0001\u0000\u0000\u0003\u0000\u0003\u0003\u0000\u0003\u0000\u0003\u0001\u0003\u0001\u0005\u0000\u0001\u0005\u0000\u0001",
    "\u0007\u0000\u0000\u0000\u0003\u0000\u0003\u0000\u0003\u0003\u0000\u0003\u0000\u0003\u0000\u0003\u0000\u0005\u0000\u0001",
    "\u0006\u0007",
    "\u0000\u0003\u0004\u0000\u0003\u0000\u0003\u0000\u0003",
  ],
  async run(input) {
    if (process.platform !== "linux") return;
    made ??= World.make();
    const world = await made;
    const choices = new Choices(input);
    const scarce = choices.byte();
    const descriptors = scarce % 2 === 0 ? 1_000 : 4 + (scarce % 32);
    const trial = new Trial(world, wishOf(choices, true), descriptors);
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
    DescriptorBudget.measure = measure;
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
