// The load of the soak: workers, each with its own kind of connection, which repeat until they are stopped or have done
// the requested number of rounds.

import { once } from "node:events";
import { connect } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { call, Service, talk } from "./traffic.mjs";

const SIZES = [0, 1, 1_023, 1_024, 1_025, 2_048, 65_535, 65_536, 65_537];

/** How often each worker begins a round, in milliseconds. */
const PAUSES = {
  short: 70,
  plain: 90,
  aborts: 700,
  bulk: 2_500,
  metrics: 500,
  idle: 1_000,
  changed: 700,
  flapping: 15_000,
  strangers: 900,
  "wrong keys": 1_700,
  scrapes: 2_000,
};

/** The load; see the head of this file. */
export class Load {
  #ledger;
  #layout;
  #ends;
  #services = new Map();
  #random;
  #isStopping = false;
  #stop = () => undefined;
  #stopped;

  constructor({ ledger, layout, ends, seed }) {
    this.#ledger = ledger;
    this.#layout = layout;
    this.#ends = ends;
    this.#random = randomFrom(seed);
  }

  async listen() {
    for (const [name, { service }] of this.#layout.tunnels) {
      if (name === "door") continue; // no connection reaches a service
      this.#services.set(name, new Service(this.#ledger, service));
      await this.#services.get(name).listen();
    }
  }

  /** Connections still open at services. */
  get served() {
    return [...this.#services.values()].reduce((sum, { connections }) => sum + connections, 0);
  }

  /**
   * Runs all workers.
   *
   * @param rounds How many rounds each does; without it, they go on until `stop` is called.
   */
  async run(others, rounds) {
    this.#isStopping = false;
    this.#stopped = new Promise((resolve) => {
      this.#stop = resolve;
    });
    const workers = {
      short: (round) => this.#short("short", round),
      plain: (round) => this.#short("plain", round),
      aborts: (round) => this.#abort(round),
      bulk: (round) => this.#bulk(round),
      metrics: () => this.#metrics(rounds),
      idle: () => this.#idle(rounds),
      changed: () => this.#changed(rounds),
      flapping: () => this.#flap(),
      strangers: (round) => this.#stranger(round, rounds),
      "wrong keys": () => this.#wrongKey(),
      scrapes: (round) => this.#scrape(round),
      ...others,
    };
    await Promise.all(Object.entries(workers).map(([name, work]) => this.#go(name, work, rounds)));
  }

  /** Lets every worker finish its round, and ends lasting connections. */
  stop() {
    this.#isStopping = true;
    this.#stop();
  }

  get isStopping() {
    return this.#isStopping;
  }

  async #go(name, work, rounds) {
    const inFlight = new Set();
    for (let round = 0; !this.#isStopping && (rounds === undefined || round < rounds); round += 1) {
      const working = Promise.resolve(work(round))
        .catch((error) => this.#ledger.fail(`${name}: ${error.stack}`))
        .finally(() => inFlight.delete(working));
      inFlight.add(working);
      // After a delay of the machine, do not make up for missed rounds all at once.
      if (rounds !== undefined || inFlight.size >= (MOST_AT_ONCE[name] ?? 1)) await Promise.race(inFlight);
      if (rounds === undefined) await this.pause((PAUSES[name] ?? 5_000) * (0.5 + this.#random()));
    }
    await Promise.all(inFlight);
  }

  /** Waits, but no longer than the load runs. */
  async pause(milliseconds) {
    const ending = new AbortController();
    await Promise.race([
      sleep(milliseconds, undefined, { signal: ending.signal }).catch(() => undefined),
      this.#stopped,
    ]);
    ending.abort();
  }

  talk(tunnel, mode, more = {}) {
    return talk({
      ledger: this.#ledger,
      address: this.#layout.tunnels.get(tunnel).near,
      tunnel,
      mode,
      ...more,
    });
  }

  #size(most) {
    const pick = this.#random();
    return pick < 0.3 ? SIZES[Math.floor((pick / 0.3) * SIZES.length)] : Math.floor(this.#random() ** 3 * most);
  }

  async #short(tunnel, round) {
    const mode = ["answer", "client-first", "service-first", "duplex"][round % 4];
    await this.talk(tunnel, mode, { up: this.#size(16_384), down: this.#size(32_768) });
  }

  async #abort(round) {
    const tunnel = round % 4 < 2 ? "short" : "plain";
    await this.talk(tunnel, round % 2 === 0 ? "client-aborts" : "service-aborts", {
      up: this.#size(16_384),
      // Node.js reports a reset behind unread bytes as an end: when the service answers, it has read everything.
      down: 1 + this.#size(16_384),
    });
  }

  async #bulk(round) {
    const mode = ["client-first", "service-first", "duplex", "answer"][round % 4];
    await this.talk("bulk", mode, { up: this.#size(8_000_000), down: this.#size(8_000_000) });
  }

  /** A few programs that send metrics ten times a second, and now and then many of them. */
  async #metrics(rounds) {
    const isShort = rounds !== undefined;
    const seconds = isShort ? 0 : 10 + 40 * this.#random();
    await this.talk("metrics", "lines", {
      during: async (write) => {
        for (const end = performance.now() + seconds * 1_000; ; await this.pause(100)) {
          await write(this.#random() < 0.02 ? 400 : 8);
          if (this.#isStopping || performance.now() >= end) return;
        }
      },
    });
  }

  /** Connections that last for the whole run and send little. */
  async #idle(rounds) {
    const one = () =>
      this.talk("idle", "conversation", {
        during: async (say) => {
          while (!this.#isStopping && rounds === undefined) {
            await this.pause(20_000 + 40_000 * this.#random());
            await say(1 + this.#size(4_096));
          }
        },
      });
    await Promise.all(Array.from({ length: rounds === undefined ? 20 : 3 }, one));
  }

  /** Connections of a tunnel that reloads change under them. */
  async #changed(rounds) {
    await this.talk("changed", "conversation", {
      during: async (say) => {
        const count = rounds === undefined ? 3 + Math.floor(this.#random() * 12) : 2;
        for (let times = 0; times < count && !this.#isStopping; times += 1) {
          await say(this.#size(4_096));
          if (rounds === undefined) await this.pause(1_000);
        }
      },
    });
  }

  /** The service dies with connections open, stays away for a while, and comes back. */
  async #flap() {
    const ledger = this.#ledger;
    const service = this.#services.get("flapping");
    const address = this.#layout.tunnels.get("flapping").near;
    await this.talk("flapping", "answer", { up: 100, down: 100 });
    const dead = [1, 2, 3].map(() => {
      ledger.count("of a service that dies");
      ledger.expect("flapping", "reset", "reset");
      return cutConversation({ ledger, address });
    });
    const cut = await Promise.all(dead);
    await service.die();
    await Promise.all(cut.map((isCut) => isCut()));
    for (const _ of [1, 2]) {
      ledger.count("of a service that is away");
      ledger.expect("flapping", "reset", "connect-failed");
      const side = call(address, ledger);
      try {
        await side.resetFromTheStart();
      } catch (error) {
        ledger.fail(`an absent service: ${error.message}`);
      }
      side.destroy();
    }
    await service.listen();
    await this.talk("flapping", "answer", { up: 1_000, down: 100 });
  }

  /** A client without a key, or one that does not speak spiped. */
  async #stranger(round, rounds) {
    const { far } = this.#layout.tunnels.get("door");
    const kinds = rounds === undefined ? STRANGERS : STRANGERS.filter(([, , { isSlow = false } = {}]) => !isSlow);
    const [reason, act] = kinds[round % kinds.length];
    this.#ledger.count("strangers");
    this.#ledger.expect("door", undefined, reason);
    const socket = connect({ ...far, allowHalfOpen: true });
    let received = 0;
    socket
      .on("error", () => undefined)
      .on("end", () => socket.end())
      .on("data", (data) => {
        received += data.length;
      });
    const closed = once(socket, "close").catch(() => undefined);
    try {
      await once(socket, "connect");
    } catch (error) {
      this.#ledger.fail(`a stranger was refused: ${error.message}`);
      return;
    }
    await act(socket);
    await closed;
    if (received > 32) this.#ledger.fail(`a stranger received ${received} bytes`);
  }

  async #wrongKey() {
    const ledger = this.#ledger;
    ledger.count("wrong keys");
    ledger.expect("door", "handshake-failed", "handshake-failed");
    const side = call(this.#layout.tunnels.get("door").near, ledger);
    try {
      await side.resetFromTheStart();
    } catch (error) {
      ledger.fail(`a wrong key: ${error.message}`);
    }
    side.destroy();
  }

  /** Requests to the status address, some of which are abandoned. */
  async #scrape(round) {
    for (const end of Object.values(this.#ends)) {
      const path = ["/metrics", "/status", "/healthz", "/"][round % 4];
      const answer = await end.ask(path);
      const isRight =
        path === "/healthz"
          ? answer === "ok\n"
          : path === "/status"
            ? JSON.parse(answer).tunnels.every(({ accepting }) => accepting)
            : answer.length > 1_000;
      if (!isRight) this.#ledger.fail(`${path}: ${answer.slice(0, 200)}`);
      this.#ledger.count("scrapes");
      if (round % 3 === 0) await this.#halfScrape(end, round);
    }
  }

  async #halfScrape(end, round) {
    const socket = connect(end.statusAddress).on("error", () => undefined);
    const closed = once(socket, "close").catch(() => undefined);
    await once(socket, "connect");
    if (round % 2 === 0) socket.write("GET /metr");
    socket.destroy();
    await closed;
  }
}

/** How many rounds of one worker may run at once. */
const MOST_AT_ONCE = { short: 4, plain: 4, bulk: 2, metrics: 4, changed: 6, strangers: 40 };

/** The far end's reason for each kind of unauthenticated client, and what the client does. */
const STRANGERS = [
  [
    "handshake-failed",
    async (socket) => void socket.write("GET / HTTP/1.1\r\nHost: far.example\r\n\r\n".padEnd(320, "x")),
  ],
  ["handshake-failed", async (socket) => void socket.end()],
  [
    "reset",
    async (socket) => {
      socket.write(Buffer.alloc(32));
      await once(socket, "readable").catch(() => undefined);
      socket.resetAndDestroy();
    },
  ],
  ["handshake-failed", async (socket) => void socket.end(Buffer.alloc(100, 1))],
  ["handshake-failed", async (socket) => void socket.end(Buffer.alloc(10_000, 2))],
  ["timed-out", async () => undefined, { isSlow: true }],
];

/** A conversation that the service cuts off. @returns The function that waits for that. */
async function cutConversation({ ledger, address }) {
  const id = ledger.newId();
  const cut = await openConversation({ ledger, address, id });
  return async () => {
    try {
      await cut();
      const outcome = await ledger.served(id);
      if (outcome !== "reset") throw new Error(`the service saw: ${outcome}`);
    } catch (error) {
      ledger.fail(`a service that dies: ${error.message}`);
      ledger.dismiss(id);
    }
  };
}

/** A conversation that will be reset. @returns The function that waits for that. */
export async function openConversation({ ledger, address, id }) {
  const side = call(address, ledger);
  const header = Buffer.alloc(20);
  [0x50a150a1, 6, id, 0, 0].forEach((value, index) => {
    header.writeUInt32BE(value, index * 4);
  });
  try {
    await side.connected();
    await side.write(header);
    await side.write(Buffer.from("a"));
    await side.readExactly(1);
  } catch (error) {
    ledger.fail(`a conversation to be cut: ${error.message}`);
  }
  return async () => {
    await side.receiveReset();
    side.destroy();
  };
}

/** The same numbers for the same seed. */
function randomFrom(seed) {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}
