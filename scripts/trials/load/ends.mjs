// Connections that end in every way, at every stage.

import { setTimeout as sleep } from "node:timers/promises";
import { settle, settled, startPair, until } from "../../support/pairs.mjs";
import { freePort } from "../../support/processes.mjs";
import { dataOf, dial, echo, inParallel, serve, Tally, visit, Watched } from "./clients.mjs";
import { Cutter } from "./cutter.mjs";

export const scenarios = {
  abortive: { run: abortive },
  cuts: { run: cuts },
  "half-close": { run: halfClose },
  flapping: { run: flapping },
};

const unlimited = ["-n", "0"];
const LENGTH = 300_000;

/** Ways to reset a connection, on either cleartext side. */
const breaks = {
  "the client, at once": ({ app }) => app.socket.once("connect", () => app.socket.resetAndDestroy()),
  "the client, with data on the way": ({ app, sent }) => {
    app.socket.once("connect", () => app.socket.write(sent, () => app.socket.resetAndDestroy()));
  },
  "the client, in the handshake": ({ app }) => {
    app.socket.once("connect", () => setTimeout(() => app.socket.resetAndDestroy(), Math.random() * 20));
  },
  "the client, while both send": ({ app, sent }) => {
    app.socket.write(sent);
    app.socket.once("data", () => app.socket.resetAndDestroy());
  },
  "the client, after its end": ({ app, sent }) => {
    app.socket.end(sent);
    app.socket.once("data", () => app.socket.resetAndDestroy());
  },
  "the service, at once": ({ app, sent, whenServed }) => {
    app.socket.write(sent);
    whenServed((socket) => socket.resetAndDestroy());
  },
  "the service, while both send": ({ app, sent, whenServed }) => {
    app.socket.write(sent);
    whenServed((socket) => {
      socket.write(sent);
      socket.once("data", () => socket.resetAndDestroy());
    });
  },
  "the service, after its end": ({ app, sent, whenServed }) => {
    app.socket.write(sent.subarray(0, 1_000));
    whenServed((socket) => {
      socket.end(sent.subarray(0, 1_000));
      socket.once("finish", () => setTimeout(() => socket.resetAndDestroy(), 20));
    });
  },
};

async function abortive(kinds, { isLong }) {
  const pair = await startPair(kinds, { flags: unlimited });
  let act = echo;
  const service = await serve(pair.ports.far, (socket) => {
    socket.on("error", () => undefined);
    act(socket);
  });
  try {
    const rounds = isLong ? 1_000 : 100;
    const seen = [];
    let number = 0;
    for (const [name, breakOff] of Object.entries(breaks)) {
      const tally = new Tally();
      act = echo;
      await inParallel(rounds, 20, async () => {
        number += 1;
        const app = dial(pair.ports.near);
        const sent = dataOf(number, LENGTH);
        breakOff({ app, sent, whenServed: (then) => (act = then) });
        app.over.then(() => setTimeout(() => app.socket.destroy(), 1_000).unref());
        await app.closed;
        // A client that has reset its own connection sees nothing more.
        tally.add(name.startsWith("the client") ? "broken off" : app.how);
      });
      act = echo;
      number += 1;
      const wrong = await visit(pair.ports.near, number, 1_000);
      if (wrong !== undefined) throw new Error(`a client after "${name}": ${wrong}`);
      seen.push(`${name}: ${tally}`);
    }
    return `${number} connections; ${seen.join("; ")}; ${await reasonsOf(pair)}`;
  } finally {
    await Promise.all([service.close(), pair.stop()]);
  }
}

/** Where the link is cut: in and around the nonce, the public value, and packets. */
const PLACES = [0, 1, 31, 32, 33, 100, 319, 320, 321, 1_379, 1_380, 1_381, 5_619, 5_620, 5_621, 70_000];

/** Cuts the link by a reset or a FIN after a number of bytes in one direction: each end must name the cause. */
async function cuts(kinds, { isLong }) {
  const port = await freePort();
  let cutter;
  const pair = await startPair(kinds, {
    flags: unlimited,
    between: async (middle) => {
      cutter = await Cutter.listen(port, middle);
      return port;
    },
  });
  const tally = new Tally();
  const sent = dataOf("forward", LENGTH);
  const back = dataOf("reverse", LENGTH);
  const check = (watched, whole, who) => {
    const { received, how } = watched;
    if (!received.equals(whole.subarray(0, received.length))) throw new Error(`${who} received wrong bytes`);
    if (how === "end" && watched.plan.how === "reset") tally.add(`${who} saw a reset as an orderly end`);
    const { direction } = watched.plan;
    const isReceiver = (direction === "forward") === (who === "the service");
    if (how === "end" && isReceiver && isInPacket(watched.plan)) tally.add(`${who} saw a cut packet as an orderly end`);
  };
  let served = 0;
  const service = await serve(pair.ports.far, (socket) => {
    const watched = Object.assign(new Watched(socket), { plan: cutter.plan });
    served += 1;
    watched.over.then(() => setTimeout(() => socket.destroy(), 100).unref());
    watched.closed.then(() => check(watched, sent, "the service"));
    socket.write(back);
  });
  try {
    const rounds = isLong ? 50 : 5;
    let count = 0;
    for (const how of ["reset", "end"]) {
      for (const direction of ["forward", "reverse"]) {
        for (const at of PLACES) {
          const plan = { how, direction, at };
          cutter.plan = plan;
          const before = await reasonsBefore(pair);
          await inParallel(rounds, 5, async () => {
            count += 1;
            const app = Object.assign(dial(pair.ports.near), { plan });
            app.socket.write(sent);
            app.over.then(() => setTimeout(() => app.socket.destroy(), 100).unref());
            await app.closed;
            check(app, back, "the client");
          });
          for (const one of pair.ends.filter(({ isOurs }) => isOurs)) {
            const after = (await until(() => settled(one), `the ${one.name} end`)).reasons;
            for (const [reason, times] of Object.entries(after)) {
              const more = times - (before.get(one)[reason] ?? 0);
              if (more > 0 && !expected(plan, one.name).includes(reason)) {
                tally.add(`${one.name} end says ${reason} of ${how} ${direction} after ${at}, ${more} times`);
              }
            }
          }
        }
      }
    }
    const what = `${count} connections cut in 64 ways; ${served} reached the service; wrong: ${tally.total === 0 ? 0 : tally}`;
    if (tally.total > 0) throw new Error(what);
    return `${what}; ${await reasonsOf(pair)}`;
  } finally {
    await Promise.all([service.close(), cutter.close(), pair.stop()]);
  }
}

const isInPacket = ({ at }) => at > 320 && (at - 320) % 1_060 !== 0;

/** The reasons an end may log. The other direction is cut at whatever byte it has reached. */
function expected(plan, end) {
  const { how, direction, at } = plan;
  const isReceiver = (direction === "forward") === (end === "far");
  // If the link is cut before the dial is known to have succeeded, the dial fails.
  if (how === "reset")
    return direction === "reverse" && at === 0 && end === "near" ? ["reset", "connect-failed"] : ["reset"];
  // Without the server's whole nonce the client cannot prove its key; its own nonce is sent last.
  if (direction === "forward" && at === 320 && end === "near") return ["handshake-failed", "closed", "reset"];
  if (direction === "reverse" && at <= 32) return ["handshake-failed"];
  if (at < 320) return direction === "forward" || isReceiver ? ["handshake-failed"] : ["closed", "reset"];
  if (isReceiver && isInPacket(plan)) return ["truncated"];
  return ["closed", "reset", "truncated"];
}

async function reasonsBefore(pair) {
  const before = new Map();
  for (const one of pair.ends.filter(({ isOurs }) => isOurs)) before.set(one, (await settled(one)).reasons);
  return before;
}

/** Each direction is half-closed, in every order; the other goes on until its own end. */
async function halfClose(kinds, { isLong }) {
  const pair = await startPair(kinds, { flags: unlimited });
  const services = new Map();
  const service = await serve(pair.ports.far, (socket) => {
    const one = new Watched(socket);
    socket.once("data", () => services.get(one.pieces[0].toString("latin1", 0, one.pieces[0].indexOf(":")))?.(one));
  });
  try {
    const count = isLong ? 3_000 : 300;
    let bytes = 0;
    const wrong = new Tally();
    await inParallel(count, 20, async (number) => {
      const sent = dataOf(number, (number * 7_919) % 100_000);
      const back = dataOf(`back ${number}`, (number * 104_729) % 100_000);
      const arrived = new Promise((resolve) => services.set(String(number), resolve));
      const app = dial(pair.ports.near);
      const first = sent.subarray(0, 20);
      app.socket.write(first);
      const other = await arrived;
      services.delete(String(number));
      if (number % 3 === 0) {
        app.socket.end(sent.subarray(20));
        await other.over;
        other.socket.end(back);
      } else if (number % 3 === 1) {
        other.socket.end(back);
        await app.over;
        app.socket.end(sent.subarray(20));
      } else {
        app.socket.end(sent.subarray(20));
        other.socket.end(back);
      }
      await Promise.all([app.closed, other.closed]);
      bytes += sent.length + back.length;
      if (!other.received.equals(sent) || other.how !== "end") wrong.add(`service: ${other.how}`);
      if (!app.received.equals(back) || app.how !== "end") wrong.add(`client: ${app.how}`);
    });
    if (wrong.total > 0) throw new Error(`${wrong}`);
    const reasons = await reasonsOf(pair);
    if (/[a-z-]+: [^;]*(?!closed)\b(reset|truncated|failed)\b/.test(reasons)) throw new Error(reasons);
    return `${count} connections, ${bytes} bytes, none lost; ${reasons}`;
  } finally {
    await Promise.all([service.close(), pair.stop()]);
  }
}

/** A service that comes and goes. Each client is served completely or sees a reset, and both ends count it. */
async function flapping(kinds, { isLong }) {
  const pair = await startPair(kinds, { flags: unlimited });
  try {
    const seconds = isLong ? 60 : 10;
    const tally = new Tally();
    let isOver = false;
    let number = 0;
    let flaps = 0;
    const clients = Array.from({ length: 20 }, async () => {
      while (!isOver) {
        number += 1;
        tally.add((await visit(pair.ports.near, number, 20_000)) ?? "served");
      }
    });
    const deadline = performance.now() + seconds * 1_000;
    while (performance.now() < deadline) {
      const service = await serve(pair.ports.far, echo);
      await sleep(200);
      await service.close();
      flaps += 1;
      await sleep(200);
    }
    isOver = true;
    await Promise.all(clients);
    const reasons = await reasonsOf(pair);
    const what = `the service went ${flaps} times; ${tally}; ${reasons}`;
    if (tally.get("wrong bytes") + tally.get("an orderly end that came too early") > 0) throw new Error(what);
    for (const one of pair.ends.filter(({ isOurs }) => isOurs)) {
      const counts = await settle(one);
      if (counts.reasons.closed !== tally.get("served") + 1)
        throw new Error(`the ${one.name} end counts differently: ${what}`);
    }
    return what;
  } finally {
    await pair.stop();
  }
}

/** The end reasons of all connections, at each of our ends, once nothing is left of them. */
export async function reasonsOf(pair) {
  const found = [];
  for (const one of pair.ends) {
    const counts = await settle(one);
    if (counts === undefined) continue;
    const reasons = Object.entries(counts.reasons).map(([reason, count]) => `${count} ${reason}`);
    found.push(`${one.name}: ${reasons.join(", ")}`);
  }
  return found.length === 0 ? "nothing left open" : found.join("; ");
}
