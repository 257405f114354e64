// The traffic of the soak's clients and services, and the checks of both: every byte, which end closed first, and
// whether by a FIN or a reset. Both sides run in this process, and meet in the ledger.

import { createCipheriv } from "node:crypto";
import { connect, createServer } from "node:net";

const PERIOD = 1_048_573; // a prime: a lost or repeated packet shifts everything after it
const PIECE = 65_536;
const HEADER = 20;
const MAGIC = 0x50a150a1;
/** Nothing here takes this long, however busy the machine is. */
const STUCK_MS = 120_000;

const pattern = createCipheriv("aes-256-ctr", Buffer.alloc(32, 7), Buffer.alloc(16)).update(
  Buffer.alloc(PERIOD + PIECE),
);
pattern.copy(pattern, PERIOD, 0, PIECE);

/** How a connection proceeds and ends; the ledger knows which reason both ends of the tunnel must log for it. */
export const MODES = /** @type {const} */ ([
  "answer", // a request and an answer; the service ends first
  "client-first", // the client half-closes before the answer
  "service-first", // the service sends and half-closes, then the client sends
  "duplex", // both at once
  "client-aborts", // the client resets, after an answer
  "service-aborts", // the service resets, after a request
  "conversation", // an echo, until the client ends
  "lines", // small writes one way for a while; the service answers with their number
]);

/** What was seen, and what was wrong. */
export class Ledger {
  /** Violations by kind, and how often each occurred. */
  failures = new Map();
  /** Connections by outcome. */
  connections = new Map();
  bytes = 0;
  /** `${end} ${tunnel} ${reason}` → how many connections must have ended for it. */
  expected = new Map();
  #served = new Map();
  #lastId = 0;

  #inKinds;

  /** @param inKinds Whether failures that differ only in numbers count as one. */
  constructor({ inKinds = false } = {}) {
    this.#inKinds = inKinds;
  }

  fail(words) {
    const text = this.#inKinds ? words.replaceAll(/\d+/g, "N") : words;
    this.failures.set(text, (this.failures.get(text) ?? 0) + 1);
    if (this.failures.get(text) === 1) console.error(`${new Date().toISOString()} FAILED: ${text}`);
  }

  newId() {
    this.#lastId += 1;
    this.#served.set(this.#lastId, Promise.withResolvers?.() ?? deferred());
    return this.#lastId;
  }

  expect(tunnel, near, far) {
    for (const [end, reason] of [
      ["near", near],
      ["far", far],
    ]) {
      if (reason === undefined) continue;
      const name = `${end} ${tunnel} ${reason}`;
      this.expected.set(name, (this.expected.get(name) ?? 0) + 1);
    }
  }

  count(what) {
    this.connections.set(what, (this.connections.get(what) ?? 0) + 1);
  }

  /** A service has finished with a connection. */
  serve(id, outcome) {
    const served = this.#served.get(id);
    if (served === undefined) this.fail(`a service got connection ${id}, which no client made, or got it twice`);
    else served.resolve(outcome);
  }

  /** What the service saw of a connection. */
  async served(id) {
    const outcome = await within(this.#served.get(id).promise, "the service to be done");
    this.#served.delete(id);
    return outcome;
  }

  /** No service will see this connection. */
  dismiss(id) {
    this.#served.delete(id);
  }

  /** Connections that only one side has reported. */
  get unaccounted() {
    return this.#served.size;
  }
}

function deferred() {
  let resolve;
  const promise = new Promise((done) => {
    resolve = done;
  });
  return { promise, resolve };
}

async function within(promise, what, limitMs = STUCK_MS) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`timed out after ${limitMs / 1_000} s waiting for ${what}`)), limitMs);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** A socket with a known sequence of bytes. */
export class Side {
  #socket;
  #ledger;
  #kept = [];
  #isEnded = false;
  #error;
  #isClosed = false;
  #wakers = [];
  #limitMs = STUCK_MS;

  constructor(socket, ledger) {
    this.#socket = socket;
    this.#ledger = ledger;
    const wake = () => {
      for (const one of this.#wakers.splice(0)) one();
    };
    socket
      .on("readable", wake)
      .on("drain", wake)
      .on("connect", wake)
      .on("end", () => {
        this.#isEnded = true;
        wake();
      })
      .on("error", (error) => {
        this.#error = error;
        wake();
      })
      .on("close", () => {
        this.#isClosed = true;
        wake();
      });
  }

  async #changed(what) {
    await within(new Promise((resolve) => this.#wakers.push(resolve)), what, this.#limitMs);
  }

  /** The other side may be silent for any time. */
  beVeryPatient() {
    this.#limitMs = 2 ** 31 - 1;
  }

  #check() {
    if (this.#error !== undefined) throw this.#error;
    if (this.#isClosed) throw new Error("closed");
  }

  async connected() {
    while (this.#socket.connecting) {
      this.#check();
      await this.#changed("a connection");
    }
    this.#check();
  }

  /** The next bytes; undefined at the end of the stream. */
  async read(most) {
    for (;;) {
      if (this.#kept.length === 0) {
        const data = this.#socket.read();
        if (data !== null) this.#kept.push(data);
      }
      const [first] = this.#kept;
      if (first !== undefined) {
        this.#kept.shift();
        if (first.length > most) this.#kept.unshift(first.subarray(most));
        const data = first.subarray(0, most);
        this.#ledger.bytes += data.length;
        return data;
      }
      if (this.#isEnded) return undefined;
      this.#check();
      await this.#changed("bytes");
    }
  }

  async readExactly(length) {
    const parts = [];
    for (let missing = length; missing > 0; ) {
      const data = await this.read(missing);
      if (data === undefined) throw new Error(`the end after ${length - missing} of ${length} bytes`);
      parts.push(data);
      missing -= data.length;
    }
    return Buffer.concat(parts);
  }

  /** Expects exactly these bytes of the pattern. */
  async receive(offset, length) {
    for (let got = 0; got < length; ) {
      const data = await this.read(Math.min(PIECE, length - got));
      if (data === undefined) throw new Error(`the end after ${got} of ${length} bytes`);
      const at = (offset + got) % PERIOD;
      if (!data.equals(pattern.subarray(at, at + data.length))) {
        throw new Error(`wrong bytes at ${got} to ${got + data.length} of ${length}`);
      }
      got += data.length;
    }
  }

  /** Expects the end of the stream. */
  async receiveEnd() {
    const data = await this.read(PIECE);
    if (data !== undefined) throw new Error(`${data.length} bytes too many`);
  }

  /** Expects a reset. */
  async receiveReset() {
    try {
      const data = await this.read(PIECE);
      throw new Error(data === undefined ? "a FIN instead of a reset" : `${data.length} bytes instead of a reset`);
    } catch (error) {
      if (error.code !== "ECONNRESET") throw error;
    }
  }

  /** Expects nothing but a reset, which may arrive before the connection is reported as established. */
  async resetFromTheStart() {
    try {
      await this.connected();
    } catch (error) {
      if (error.code === "ECONNRESET") return;
      throw error;
    }
    await this.receiveReset();
  }

  async send(offset, length) {
    for (let sent = 0; sent < length; ) {
      const at = (offset + sent) % PERIOD;
      const data = pattern.subarray(at, at + Math.min(PIECE, length - sent));
      await this.write(data);
      sent += data.length;
    }
  }

  async write(data) {
    this.#check();
    if (this.#socket.write(data)) return;
    while (this.#socket.writableNeedDrain) {
      this.#check();
      await this.#changed("room");
    }
  }

  end() {
    this.#socket.end();
  }

  reset() {
    this.#socket.resetAndDestroy();
  }

  /** Both directions have ended. */
  async closed() {
    while (!this.#isClosed) await this.#changed("the close");
    if (this.#error !== undefined) throw this.#error;
  }

  destroy() {
    this.#socket.destroy();
  }
}

const forward = (id) => (id * 7_919) % PERIOD;
const reverse = (id) => (id * 104_729 + 13) % PERIOD;

/** Connects through a tunnel. */
export function call(address, ledger) {
  const socket = connect({ ...address, allowHalfOpen: true, noDelay: true });
  return new Side(socket, ledger);
}

/** One connection in one mode, from the client's side, checked against what the service saw. Never throws. */
export async function talk({ ledger, address, tunnel, mode, up = 0, down = 0, during = async () => undefined }) {
  const id = ledger.newId();
  const isAbort = mode === "client-aborts" || mode === "service-aborts";
  ledger.expect(tunnel, isAbort ? "reset" : "closed", isAbort ? "reset" : "closed");
  ledger.count(mode);
  const side = call(address, ledger);
  try {
    await side.connected();
    await side.write(headerOf({ id, mode, up, down }));
    await clientSide(side, { id, mode, up, down, during });
    const outcome = await ledger.served(id);
    const wanted = mode === "client-aborts" ? "reset" : mode === "service-aborts" ? "has reset" : "closed";
    if (outcome !== wanted) throw new Error(`the service saw: ${outcome}`);
    return true;
  } catch (error) {
    ledger.fail(`${tunnel}, ${mode}, ${up} bytes up, ${down} down: ${error.message}`);
    ledger.dismiss(id);
    side.destroy();
    return false;
  }
}

async function clientSide(side, { id, mode, up, down, during }) {
  switch (mode) {
    case "answer":
      await side.send(forward(id), up);
      await side.receive(reverse(id), down);
      await side.receiveEnd();
      side.end();
      break;
    case "client-first":
      await side.send(forward(id), up);
      side.end();
      await side.receive(reverse(id), down);
      await side.receiveEnd();
      break;
    case "service-first":
      await side.receive(reverse(id), down);
      await side.receiveEnd();
      await side.send(forward(id), up);
      side.end();
      break;
    case "duplex":
      await Promise.all([
        side.send(forward(id), up).then(() => side.end()),
        side.receive(reverse(id), down).then(() => side.receiveEnd()),
      ]);
      break;
    case "client-aborts":
      await side.send(forward(id), up);
      await side.receive(reverse(id), down);
      side.reset();
      return;
    case "service-aborts":
      await side.send(forward(id), up);
      await side.receiveReset();
      return;
    case "conversation": {
      const say = async (length) => {
        await side.send(forward(id), length);
        await side.receive(forward(id), length);
      };
      await say(1);
      await during(say);
      side.end();
      await side.receiveEnd();
      break;
    }
    case "lines": {
      let lines = 0;
      await during(async (count) => {
        for (const last = lines + count; lines < last; lines += 1) await side.write(lineOf(id, lines));
      });
      side.end();
      const answer = await side.readExactly(4);
      if (answer.readUInt32BE() !== lines) throw new Error(`${answer.readUInt32BE()} of ${lines} lines arrived`);
      await side.receiveEnd();
      break;
    }
  }
  await side.closed();
}

/** A service for every kind of client. It can be away for a while. */
export class Service {
  #ledger;
  #address;
  #server;
  #sockets = new Set();

  constructor(ledger, address) {
    this.#ledger = ledger;
    this.#address = address;
  }

  async listen() {
    this.#server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
      this.#sockets.add(socket);
      socket.once("close", () => this.#sockets.delete(socket));
      void this.#serve(new Side(socket, this.#ledger));
    });
    await new Promise((resolve, reject) => {
      this.#server.once("error", reject).listen({ ...this.#address, backlog: 511 }, resolve);
    });
  }

  /** As if the service were killed. */
  async die() {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    for (const socket of this.#sockets) socket.resetAndDestroy();
    await closed;
  }

  get connections() {
    return this.#sockets.size;
  }

  async #serve(side) {
    let header;
    try {
      header = readHeader(await side.readExactly(HEADER));
    } catch (error) {
      this.#ledger.fail(`a service got no PROXY header: ${error.message}`);
      side.destroy();
      return;
    }
    const { id, mode } = header;
    try {
      await serviceSide(side, header);
      this.#ledger.serve(id, mode === "service-aborts" ? "has reset" : "closed");
    } catch (error) {
      const isReset = error.code === "ECONNRESET" || (error.code === undefined && error.message === "closed");
      this.#ledger.serve(id, isReset ? "reset" : error.message);
      side.destroy();
    }
  }
}

async function serviceSide(side, { id, mode, up, down }) {
  switch (mode) {
    case "answer":
      await side.receive(forward(id), up);
      await side.send(reverse(id), down);
      side.end();
      await side.receiveEnd();
      break;
    case "client-first":
      await side.receive(forward(id), up);
      await side.receiveEnd();
      await side.send(reverse(id), down);
      side.end();
      break;
    case "service-first":
      await side.send(reverse(id), down);
      side.end();
      await side.receive(forward(id), up);
      await side.receiveEnd();
      break;
    case "duplex":
      await Promise.all([
        side.send(reverse(id), down).then(() => side.end()),
        side.receive(forward(id), up).then(() => side.receiveEnd()),
      ]);
      break;
    case "client-aborts":
      await side.receive(forward(id), up);
      await side.send(reverse(id), down);
      await side.receiveEnd(); // never comes
      throw new Error("a FIN instead of a reset");
    case "service-aborts":
      await side.receive(forward(id), up);
      side.reset();
      return;
    case "conversation":
      side.beVeryPatient();
      for (;;) {
        const data = await side.read(PIECE);
        if (data === undefined) break;
        await side.write(data);
      }
      side.end();
      break;
    case "lines": {
      let [lines, rest] = [0, Buffer.alloc(0)];
      for (;;) {
        const data = await side.read(PIECE);
        if (data === undefined) break;
        rest = Buffer.concat([rest, data]);
        for (let end = rest.indexOf(10) + 1; end > 0; end = rest.indexOf(10) + 1) {
          const line = rest.toString("latin1", 0, end);
          if (line !== lineOf(id, lines)) throw new Error(`line ${lines} is ${JSON.stringify(line)}`);
          lines += 1;
          rest = rest.subarray(end);
        }
      }
      if (rest.length > 0) throw new Error("the last line is incomplete");
      const answer = Buffer.alloc(4);
      answer.writeUInt32BE(lines);
      await side.write(answer);
      side.end();
      break;
    }
  }
  await side.closed();
}

function lineOf(id, number) {
  return `soak.machine${id}.cpu0.user.percent ${number}.${(number * 7_919) % 1_000} ${1_700_000_000 + number}\n`;
}

function headerOf({ id, mode, up, down }) {
  const header = Buffer.alloc(HEADER);
  [MAGIC, MODES.indexOf(mode), id, up, down].forEach((value, index) => {
    header.writeUInt32BE(value, index * 4);
  });
  return header;
}

function readHeader(header) {
  const [magic, mode, id, up, down] = [0, 4, 8, 12, 16].map((at) => header.readUInt32BE(at));
  if (magic !== MAGIC || MODES[mode] === undefined) throw new Error("wrong bytes");
  return { mode: MODES[mode], id, up, down };
}
