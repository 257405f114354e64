// A program at one end of a tunnel, for trials with networks: connects or listens as ordered, checks every byte that
// arrives, and reports by messages how each connection went. Both ends run this program. The first line of a connection
// names its purpose: `transfer` so many bytes each way, `busy` for ever, `echo`, or `idle`.

import { createCipheriv, createHash } from "node:crypto";
import { connect, createServer } from "node:net";
import { pendingSocketError } from "../../dist/net/socket-error.js";

const PIECE = Buffer.alloc(16_384);

/** The endless bytes of one seed. */
class Stream {
  constructor(seed) {
    this.cipher = createCipheriv(
      "aes-128-ctr",
      createHash("sha256").update(seed).digest().subarray(0, 16),
      PIECE.subarray(0, 16),
    );
  }
  next(length) {
    return this.cipher.update(length === PIECE.length ? PIECE : Buffer.alloc(length));
  }
}

const states = new Map();
const sockets = new Set();

/** Reports how a connection ended. */
function tellEnd(socket, state, more) {
  socket.on("end", () => {
    // Node.js reports a reset right behind data as an end.
    state.end ??= pendingSocketError(socket) ?? "end";
  });
  socket.on("error", (error) => {
    state.end = error.code;
  });
  sockets.add(socket);
  socket.on("close", () => {
    sockets.delete(socket);
    state.endedAt = Date.now();
    process.send({ ended: { ...state, ...more } });
  });
}

/** Sends and checks what the purpose asks for, until the connection ends. */
function converse(socket, { id, purpose, forward, reverse }, own, other) {
  const bytes = (own === "client" ? forward : reverse) ?? Infinity;
  const state = {
    id,
    role: own,
    sent: 0,
    received: 0,
    wrongAt: null,
    end: null,
    begunAt: Date.now(),
    heardAt: Date.now(),
  };
  states.set(id, state);
  const [mine, theirs] = [new Stream(`${id} ${own}`), new Stream(`${id} ${other}`)];
  const sends = purpose === "transfer" || purpose === "busy";
  let isResting = false;
  const pour = () => {
    while (state.sent < bytes) {
      const piece = mine.next(Math.min(PIECE.length, bytes - state.sent));
      state.sent += piece.length;
      if (!socket.write(piece)) return;
      if (purpose === "busy") return rest();
    }
    socket.end();
  };
  const rest = () => {
    if (isResting) return;
    isResting = true;
    setTimeout(() => {
      isResting = false;
      if (!socket.writableNeedDrain && socket.writable) pour();
    }, 10);
  };
  socket.on("drain", () => sends && (purpose === "busy" ? rest() : pour()));
  socket.on("data", (data) => {
    state.heardAt = Date.now();
    if (purpose === "echo" && own === "server") socket.write(data);
    if (sends && state.wrongAt === null && !data.equals(theirs.next(data.length))) state.wrongAt = state.received;
    state.received += data.length;
  });
  tellEnd(socket, state);
  socket.on("end", () => {
    if (purpose !== "transfer") socket.end();
  });
  if (sends) pour();
  return state;
}

const orders = {
  listen({ port, host }) {
    createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
      let line = Buffer.alloc(0);
      const onData = (data) => {
        line = Buffer.concat([line, data]);
        const end = line.indexOf(10);
        if (end === -1) return;
        socket.off("data", onData).off("error", ignore);
        const rest = line.subarray(end + 1);
        converse(socket, JSON.parse(line.subarray(0, end)), "server", "client");
        if (rest.length > 0) socket.emit("data", rest);
      };
      const ignore = () => undefined;
      socket.on("data", onData).on("error", ignore);
    }).listen(port, host, () => process.send({ listening: true }));
  },

  /** Opens a connection whose end is reported. */
  open({ host, port, ...what }) {
    const socket = connect({ host, port, allowHalfOpen: true, noDelay: true });
    socket.write(`${JSON.stringify(what)}\n`);
    converse(socket, what, "client", "server");
  },

  /** Questions of so many bytes, one after the other, `everyMs` apart or at once. Reports the time of each. */
  ask({ host, port, id, count, bytes = 64, everyMs = 0 }) {
    const begun = performance.now();
    const socket = connect({ host, port, noDelay: true });
    const [question, times] = [Buffer.alloc(bytes, 120), []];
    const state = { id, role: "asking", answers: 0, end: null, heardAt: Date.now() };
    states.set(id, state);
    let [left, askedAt] = [bytes, begun];
    socket.write(`${JSON.stringify({ id, purpose: "echo" })}\n`);
    socket.write(question);
    socket.on("data", (data) => {
      left -= data.length;
      if (left > 0) return;
      left = bytes;
      state.heardAt = Date.now();
      state.answers += 1;
      times.push(performance.now() - askedAt);
      if (times.length === count) {
        socket.end();
        return;
      }
      setTimeout(() => {
        askedAt = performance.now();
        socket.write(question);
      }, everyMs);
    });
    tellEnd(socket, state, { times });
  },

  /** Resets all connections. */
  drop() {
    for (const socket of sockets) socket.resetAndDestroy();
  },

  look() {
    process.send({ look: [...states.values()] });
  },
};

process.on("message", ({ order, ...what }) => orders[order](what));
process.on("disconnect", () => process.exit(0));
process.send({ ready: true });
