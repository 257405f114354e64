// Clients and services in Node.js, for scenarios where speed does not matter: each reports exactly how its connection
// ended.

import { createHash } from "node:crypto";
import { readdirSync } from "node:fs";
import { createRequire } from "node:module";
import { connect, createServer } from "node:net";

const native = new URL("../../../native/", import.meta.url);
const [addonFile] = readdirSync(native).filter((name) => name.endsWith(".node"));
const { takeSocketError } = createRequire(import.meta.url)(new URL(addonFile, native).pathname);

const BLOCK = Buffer.concat(
  Array.from({ length: 2_048 }, (_none, at) => createHash("sha256").update(`load ${at}`).digest()),
);

/** Bytes that differ for any two numbers, and do not resemble themselves shifted. */
export function dataOf(number, length) {
  const head = Buffer.from(`${number}:${length}:`);
  const whole = Buffer.concat([head, ...Array(Math.ceil(length / BLOCK.length)).fill(BLOCK)]);
  return whole.subarray(0, Math.max(length, head.length));
}

/**
 * A socket that records what it received and how its stream ended: `end`, an error's code, or `close` if neither came.
 */
export class Watched {
  constructor(socket) {
    this.socket = socket;
    this.pieces = [];
    this.length = 0;
    this.sawEnd = false;
    this.error = undefined;
    socket.on("data", (data) => {
      this.pieces.push(data);
      this.length += data.length;
    });
    socket.on("end", () => {
      this.sawEnd = true;
      // libuv reports a reset right behind data as an end; the system knows better.
      this.error ??= takeSocketError(socket._handle?.fd ?? -1) ?? undefined;
    });
    socket.on("error", (error) => {
      this.error = error.code;
    });
    /** Resolves when nothing more can arrive. */
    this.over = new Promise((resolve) => {
      socket.once("end", resolve);
      socket.once("close", resolve);
    });
    this.closed = new Promise((resolve) => socket.once("close", resolve));
  }

  get received() {
    return Buffer.concat(this.pieces);
  }

  get how() {
    return this.error ?? (this.sawEnd ? "end" : "close");
  }
}

/** A connection to a port of loopback. */
export function dial(port, localAddress = "127.0.0.1") {
  return new Watched(connect({ port, host: "127.0.0.1", localAddress, allowHalfOpen: true, noDelay: true }));
}

/** A service on a port of loopback; `close` ends open connections. */
export async function serve(port, onConnection) {
  const sockets = new Set();
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
    onConnection(socket);
  });
  await new Promise((resolve, reject) => {
    server.once("error", reject).listen({ port, host: "127.0.0.1", backlog: 1_024 }, resolve);
  });
  return {
    sockets,
    async close() {
      const closed = new Promise((resolve) => server.close(resolve));
      for (const socket of sockets) socket.resetAndDestroy();
      await closed;
    },
  };
}

/** A service that echoes, and ends when its client does. */
export const echo = (socket) => {
  socket.on("error", () => undefined);
  socket.pipe(socket);
};

/** Sends, half-closes, and waits for the echo. @returns undefined, or what was wrong. */
export async function visit(port, number, length) {
  const sent = dataOf(number, length);
  const client = dial(port);
  client.socket.end(sent);
  await client.closed;
  const { received, how } = client;
  if (!received.equals(sent.subarray(0, received.length))) return "wrong bytes";
  if (how === "end") return received.length === sent.length ? undefined : "an orderly end that came too early";
  return how;
}

/** Counts equal values. */
export class Tally {
  #counts = new Map();

  add(what) {
    this.#counts.set(what, (this.#counts.get(what) ?? 0) + 1);
  }

  get(what) {
    return this.#counts.get(what) ?? 0;
  }

  get total() {
    return [...this.#counts.values()].reduce((sum, count) => sum + count, 0);
  }

  toString() {
    return [...this.#counts].map(([what, count]) => `${count} ${what}`).join(", ");
  }
}

/** Calls `work` for each number from 0, `parallel` at a time. */
export async function inParallel(count, parallel, work) {
  let next = 0;
  const worker = async () => {
    while (next < count) {
      next += 1;
      await work(next - 1);
    }
  };
  await Promise.all(Array.from({ length: parallel }, worker));
}
