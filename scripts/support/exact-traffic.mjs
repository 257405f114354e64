// A service and clients that know every byte to expect, and record what was delivered and how the stream ended.

import { connect, createServer } from "node:net";
import { pendingSocketError } from "../../dist/net/socket-error.js";
import { freePort } from "./processes.mjs";
import { until } from "./scenarios.mjs";

/** A prime, so that a lost or repeated packet shows at once. */
const PERIOD = 65_521;
const pattern = Buffer.alloc(4 * PERIOD);
for (let at = 0, state = 1; at < pattern.length; at += 1) {
  if (at % PERIOD === 0) state = 1;
  state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
  pattern[at] = state >>> 16;
}
const PIECE = 16 * 1_024;
const PAUSE_MS = 4;

/** The bytes of a stream from `at` on. */
function bytesAt(at, length) {
  const from = at % PERIOD;
  return pattern.subarray(from, from + length);
}

/** One socket: what it sent and received, whether every byte was right, and how its stream ended. */
export class Exact {
  received = 0;
  sent = 0;
  wrongAt = undefined;
  /** `fin`, `reset`, or the code of another error; undefined while it is open. */
  end = undefined;
  #hasFin = false;

  constructor(socket) {
    this.socket = socket;
    socket.setNoDelay(true);
    socket.on("data", (data) => {
      for (let at = 0; at < data.length; at += PIECE) {
        const piece = data.subarray(at, at + PIECE);
        if (this.wrongAt === undefined && !piece.equals(bytesAt(this.received, piece.length)))
          this.wrongAt = this.received;
        this.received += piece.length;
      }
    });
    socket.on("end", () => {
      // Node.js reports a reset right behind data as an end; the system knows better.
      if (pendingSocketError(socket) !== undefined) {
        this.end ??= "reset";
        socket.destroy();
        return;
      }
      this.#hasFin = true;
      this.end ??= "fin";
      this.onFin?.();
    });
    socket.on("error", ({ code }) => {
      // An error after a FIN concerns the other direction.
      if (!this.#hasFin) this.end = code === "ECONNRESET" || code === "EPIPE" ? "reset" : code;
      else this.late = code;
    });
    socket.on("close", () => {
      this.isClosed = true;
      this.end ??= "closed";
    });
  }

  /** Sends for ever, so the other side must never see a FIN. */
  sendForEver() {
    const next = () => {
      if (this.socket.destroyed) return;
      const more = this.socket.write(bytesAt(this.sent, PIECE));
      this.sent += PIECE;
      if (more) setTimeout(next, PAUSE_MS);
      else this.socket.once("drain", next);
    };
    next();
    return this;
  }

  /** Sends `length` bytes, and ends. */
  send(length) {
    const next = () => {
      for (;;) {
        if (this.socket.destroyed) return;
        const count = Math.min(PIECE, length - this.sent);
        if (count === 0) {
          this.socket.end();
          return;
        }
        this.sent += count;
        if (!this.socket.write(bytesAt(this.sent - count, count))) {
          this.socket.once("drain", next);
          return;
        }
      }
    };
    next();
    return this;
  }

  /** Sends a few more bytes, and waits until an echo has returned as many. */
  async ask(length = 100, limitMs = undefined) {
    this.socket.write(bytesAt(this.sent, length));
    this.sent += length;
    const all = this.sent;
    await until(
      () => {
        if (this.end !== undefined) throw new Error(`a connection ended (${this.end}) instead of answering`);
        return this.received >= all;
      },
      "an answer",
      limitMs,
    );
    if (this.wrongAt !== undefined) throw new Error(`wrong byte at ${this.wrongAt}`);
  }

  destroy() {
    this.socket.destroy();
  }
}

/** A service on loopback. `conduct` is `echo`, `endless` (sends and reads for ever), `take`, or a function. */
export class Service {
  connections = [];
  conduct = "echo";
  #sockets = new Set();

  static async start(trial, conduct = "echo", port = undefined) {
    const service = new Service();
    service.conduct = conduct;
    service.port = port ?? (await freePort());
    await service.open();
    trial.afterwards(() => service.close());
    return service;
  }

  async open() {
    const server = createServer({ allowHalfOpen: true }, (socket) => {
      this.#sockets.add(socket);
      socket.once("close", () => this.#sockets.delete(socket));
      const exact = new Exact(socket);
      this.connections.push(exact);
      if (typeof this.conduct === "function") this.conduct(exact);
      else if (this.conduct === "echo") socket.pipe(socket);
      else if (this.conduct === "endless") exact.sendForEver();
      else if (this.conduct === "take") exact.onFin = () => socket.end();
    });
    await new Promise((done, failed) => server.once("error", failed).listen(this.port, "127.0.0.1", 1_024, done));
    this.server = server;
  }

  /** Refuses new clients; open connections go on, unless `resets` is set. */
  async shut({ resets = false } = {}) {
    const { server } = this;
    this.server = undefined;
    if (server === undefined) return;
    const closed = new Promise((done) => server.close(done));
    if (resets) for (const socket of this.#sockets) socket.resetAndDestroy();
    if (resets) await closed;
  }

  async close() {
    this.server?.close();
    for (const socket of this.#sockets) socket.destroy();
  }
}

/** A connection to a port of loopback. */
export function dial(port) {
  return new Exact(connect({ port, host: "127.0.0.1", allowHalfOpen: true }));
}

/** Sends `length` bytes to an echo, and ends. @returns `whole`, `truncated` for a FIN before the end, or the error. */
export async function visit(port, length = 5_000, limitMs = 60_000) {
  const client = dial(port).send(length);
  try {
    await until(() => client.end !== undefined, "the end of a visit", limitMs);
  } finally {
    client.destroy();
  }
  if (client.wrongAt !== undefined) return "wrong";
  if (client.end !== "fin") return client.end;
  return client.received === length ? "whole" : "truncated";
}

/** Visits in a loop, `count` at a time, until stopped. @returns The counts of their results. */
export function keepVisiting(trial, port, { count = 2, length = 5_000, pauseMs = 0 } = {}) {
  const counts = {};
  let going = true;
  const loops = Array.from({ length: count }, async () => {
    while (going) {
      const how = await visit(typeof port === "function" ? port() : port, length).catch(() => "none");
      counts[how] = (counts[how] ?? 0) + 1;
      if (pauseMs > 0 || how !== "whole") await new Promise((wake) => setTimeout(wake, pauseMs + 1));
    }
  });
  const stop = async () => {
    going = false;
    await Promise.all(loops);
    return counts;
  };
  trial.afterwards(() => {
    going = false;
  });
  return { counts, stop };
}

/** Counts strings, as text: `3 × reset, 1 × fin`. */
export function tally(words) {
  const counts = new Map();
  for (const word of words) counts.set(word ?? "open", (counts.get(word ?? "open") ?? 0) + 1);
  return [...counts].map(([word, count]) => `${count} × ${word}`).join(", ") || "none";
}
