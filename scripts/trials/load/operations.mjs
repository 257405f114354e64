// What operators do to a busy tunnel, and receivers that are slow or stalled.

import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { LOAD, settle, startPair, until } from "../../support/pairs.mjs";
import { descriptorLimit, end, start } from "../../support/processes.mjs";
import { dataOf, dial, echo, inParallel, serve, Tally, visit, Watched } from "./clients.mjs";
import { reasonsOf } from "./ends.mjs";
import { allClosed, load, nothingFailed } from "./volume.mjs";

const unlimited = ["-n", "0", "-o", "60"];

export const scenarios = {
  reload: { run: reload, pairs: ["ours", "ours, relay off"] },
  drain: { run: drain },
  scraped: { run: scraped, pairs: ["ours", "ours, relay off"] },
  "slow-readers": { run: slowReaders },
  stalled: { run: stalled },
};

/** SIGHUP to both ends again and again under load: no connection notices. */
async function reload(kinds, { isLong }) {
  const pair = await startPair(kinds, { flags: unlimited });
  try {
    const count = isLong ? 50_000 : 3_000;
    let isOver = false;
    const reloads = pair.ends.map(async (one) => {
      const read = () => one.log().match(/SIGHUP: /g)?.length ?? 0;
      for (let sent = 0; ; sent += 1) {
        if (isOver) return sent;
        one.child.kill("SIGHUP");
        await until(() => read() > sent, "a reload");
      }
    });
    const result = await load(pair, "churn", count, 16, 50_000);
    isOver = true;
    const [near, far] = await Promise.all(reloads);
    nothingFailed(result);
    await allClosed(pair, count);
    return `${count.toLocaleString("en")} connections, ${result.bytes} bytes each way, next to ${near} and ${far} reloads: 0 failures`;
  } finally {
    await pair.stop();
  }
}

/** SIGTERM to either end under load: all its connections are served to their end, then it exits with status 0. */
async function drain(kinds, { isLong }) {
  const rounds = isLong ? 20 : 3;
  const sums = new Tally();
  for (let round = 0; round < rounds; round += 1) {
    for (const stopped of ["near", "far"]) {
      const pair = await startPair(kinds, { flags: unlimited });
      const service = await serve(pair.ports.far, echo);
      try {
        let isOver = false;
        let number = 0;
        // A long conversation that sends its last message long after the signal.
        const lasting = Array.from({ length: 10 }, async (_none, at) => {
          const app = dial(pair.ports.near);
          const sent = dataOf(`lasting ${at}`, 50_000);
          app.socket.write(sent.subarray(0, 100));
          await until(() => app.length === 100 || app.error !== undefined, "the echo");
          await until(() => isOver, "the signal");
          await sleep(1_000);
          app.socket.end(sent.subarray(100));
          await app.closed;
          sums.add(
            app.received.equals(sent) && app.how === "end" ? "lasting ones whole" : `lasting ones cut: ${app.how}`,
          );
        });
        const clients = Array.from({ length: 20 }, async () => {
          while (!isOver) {
            number += 1;
            sums.add((await visit(pair.ports.near, number, 30_000)) ?? "short ones whole");
          }
        });
        await sleep(1_500);
        const { child } = pair[stopped];
        child.kill("SIGTERM");
        await sleep(200);
        isOver = true;
        await Promise.all([...clients, ...lasting]);
        await Promise.race([child.ended, sleep(30_000)]);
        if (child.exitCode !== 0)
          throw new Error(`the ${stopped} end exited after SIGTERM with status ${child.exitCode}`);
        sums.add("exits with 0");
        // Every accepted client was served; later clients are refused, which is not a failure of a connection.
        const failed = pair[stopped].isOurs && /connection from|more from/.exec(pair[stopped].log());
        if (failed) throw new Error(`the ${stopped} end, after SIGTERM: ${pair[stopped].log()}`);
        await settle(pair[stopped === "near" ? "far" : "near"]);
      } finally {
        await Promise.all([service.close(), pair.stop()]);
      }
    }
  }
  if (/cut|wrong|early/.test(`${sums}`)) throw new Error(`${sums}`);
  return `${sums}`;
}

/** Queries everything on the status endpoints of both ends all the time, next to many connections. */
async function scraped(kinds, { isLong }) {
  const pair = await startPair(kinds, { flags: unlimited });
  try {
    const count = isLong ? 50_000 : 3_000;
    let isOver = false;
    const asked = new Tally();
    const scrapers = pair.ends.flatMap((one) =>
      ["/metrics", "/status", "/healthz"].map(async (path) => {
        let before = 0;
        for (; !isOver; await sleep(20)) {
          const text = await one.status(path);
          asked.add(path);
          const accepted =
            path === "/metrics"
              ? Number(/^spiped_connections_accepted_total.* (\d+)$/m.exec(text)?.[1])
              : path === "/status"
                ? JSON.parse(text).tunnels[0].connections.accepted
                : before;
          if (!(accepted >= before)) throw new Error(`${path} of the ${one.name} end: ${accepted} after ${before}`);
          before = accepted;
        }
      }),
    );
    const result = await load(pair, "churn", count, 16, 50_000);
    isOver = true;
    await Promise.all(scrapers);
    nothingFailed(result);
    await allClosed(pair, count);
    return `${count.toLocaleString("en")} connections, 0 failures, next to answers: ${asked}`;
  } finally {
    await pair.stop();
  }
}

/** Receivers that read a little now and then, next to fast ones, which must not wait for them. */
async function slowReaders(kinds, { isLong }) {
  const pair = await startPair(kinds, { flags: unlimited });
  const slowLength = isLong ? 8_000_000 : 2_000_000;
  const waiting = new Map();
  const served = new Map();
  const service = await serve(pair.ports.far, (socket) => {
    const one = new Watched(socket);
    socket.once("data", (data) => {
      const [name] = data.toString("latin1", 0, 20).split(":");
      served.get(name)?.(one);
      if (!name.startsWith("slow")) return;
      socket.pause();
      waiting.set(one, socket);
    });
  });
  const taking = setInterval(() => {
    for (const socket of waiting.values()) {
      socket.resume();
      socket.once("data", () => socket.pause());
    }
  }, 250);
  try {
    const wrong = new Tally();
    let slowBytes = 0;
    let isSlowOver = false;
    const slow = Promise.all(
      Array.from({ length: 20 }, async (_none, at) => {
        const app = dial(pair.ports.near);
        const sent = dataOf(`slow ${at}`, slowLength);
        const arrived = new Promise((resolve) => served.set(`slow ${at}`, resolve));
        app.socket.end(sent);
        const mine = await arrived;
        await mine.over;
        waiting.delete(mine);
        if (!mine.received.equals(sent) || mine.how !== "end") wrong.add(`slow ones: ${mine.how}`);
        slowBytes += mine.length;
        mine.socket.end();
        await app.closed;
      }),
    ).then(() => {
      isSlowOver = true;
    });
    await until(() => waiting.size === 20, "the slow ones to be there");
    let fast = 0;
    let fastBytes = 0;
    await inParallel(isLong ? 400 : 100, 20, async (number) => {
      const app = dial(pair.ports.near);
      const sent = dataOf(`fast ${number}`, 1_000_000);
      const arrived = new Promise((resolve) => served.set(`fast ${number}`, resolve));
      app.socket.end(sent);
      const mine = await arrived;
      await mine.over;
      if (!mine.received.equals(sent) || mine.how !== "end") wrong.add(`fast ones: ${mine.how}`);
      fastBytes += mine.length;
      mine.socket.end();
      await app.closed;
      if (!isSlowOver) fast += 1;
    });
    await slow;
    if (wrong.total > 0) throw new Error(`${wrong}`);
    return `20 slow readers took ${slowBytes} bytes; ${fast} fast ones took ${fastBytes} meanwhile; ${await reasonsOf(pair)}`;
  } finally {
    clearInterval(taking);
    await Promise.all([service.close(), pair.stop()]);
  }
}

/**
 * Very many connections whose buffers are full from receiver back to sender: memory is bounded, and freed afterwards.
 */
async function stalled(kinds, { isLong }) {
  // Two descriptors for each connection.
  const counts = isLong ? [2_000, Math.min(10_000, (descriptorLimit() - 200) >> 1)] : [500, 1_500];
  const pair = await startPair(kinds, { flags: [...unlimited, "-f"], manyDescriptors: true });
  const args = ["stalled", `127.0.0.1:${pair.ports.near}`, `127.0.0.1:${pair.ports.far}`, ...counts.map(String)];
  const process = start([LOAD, ...args], { stdio: ["pipe", "pipe", "pipe"], manyDescriptors: true });
  process.stdin.on("error", () => undefined);
  const answers = createInterface({ input: process.stdout })[Symbol.asyncIterator]();
  const next = async () => {
    process.stdin.write("\n");
    const { done, value } = await answers.next();
    if (done) throw new Error(`the load program: ${process.failure.trim()}`);
    return JSON.parse(value);
  };
  try {
    const found = [`${memory(pair)} MB at rest`];
    for (const count of counts) {
      const { bytes } = await next();
      await sleep(1_000);
      found.push(`${memory(pair)} with ${count.toLocaleString("en")} (${(bytes / 1e6).toFixed(0)} MB on the way)`);
    }
    await next();
    process.stdin.write("\n");
    await process.ended;
    await allClosed(pair, counts.at(-1));
    found.push(`${memory(pair)} when all has been read, compared and closed`);
    return found.join(", ");
  } finally {
    await Promise.all([end(process), pair.stop()]);
  }
}

const memory = (pair) => pair.ends.map((one) => one.memory().toFixed(0)).join(" and ");
