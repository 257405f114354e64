// More clients than there are slots or descriptors for, and clients that never finish a handshake.

import { mkdirSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { newFolder, startEnd, startPair, until } from "../../support/pairs.mjs";
import { freePort } from "../../support/processes.mjs";
import { dataOf, dial, echo, inParallel, serve, Tally, visit } from "./clients.mjs";
import { reasonsOf } from "./ends.mjs";

export const scenarios = {
  strangers: { run: strangers, pairs: ["ours", "ours, relay off", "C → ours", "ours → C", "C"] },
  places: { run: (kinds, options) => places(kinds, options, { nearFlags: ["-n", "50"], farFlags: ["-n", "0"] }) },
  "places-far": {
    run: (kinds, options) => places(kinds, options, { nearFlags: ["-n", "0", "-o", "60"], farFlags: ["-n", "50"] }),
  },
  "accept-errors": { run: acceptErrors },
  "many-keys": { run: manyKeys, pairs: ["ours", "ours, relay off"] },
};

/** The longest that a good client may wait, in milliseconds. */
const MOST_MS = 1_000;

/**
 * Good clients next to 500 that send a byte a second and forty a second that send nothing: how long the good ones
 * wait.
 */
async function strangers(kinds, { isLong }) {
  const pair = await startPair(kinds);
  const service = await serve(pair.ports.far, echo);
  let isOver = false;
  try {
    const counts = { slow: 0, silent: 0 };
    const slow = Array.from({ length: 500 }, async (_none, at) => {
      await sleep(at * 2);
      while (!isOver) {
        counts.slow += 1;
        const { socket, closed } = dial(pair.ports.middle);
        const timer = setInterval(() => socket.write("x"), 1_000);
        await Promise.race([closed, until(() => isOver, "the end", 3_600_000)]);
        clearInterval(timer);
        socket.destroy();
        await sleep(100);
      }
    });
    const silent = setInterval(() => {
      counts.silent += 1;
      dial(pair.ports.middle);
    }, 25);
    await sleep(2_000);
    const waits = [];
    const failed = new Tally();
    const visits = [];
    for (let number = 0; number < (isLong ? 600 : 100); number += 1) {
      const begun = performance.now();
      visits.push(
        visit(pair.ports.near, number, 1_000).then((wrong) => {
          waits.push(performance.now() - begun);
          if (wrong !== undefined) failed.add(wrong);
        }),
      );
      await sleep(100);
    }
    await Promise.all(visits);
    isOver = true;
    clearInterval(silent);
    await Promise.all(slow);
    waits.sort((one, other) => one - other);
    const at = (share) => waits[Math.min(waits.length - 1, Math.floor(waits.length * share))].toFixed(0);
    const what =
      `${waits.length} good clients next to ${counts.slow} slow handshakes, 500 at once, and ${counts.silent} silent strangers; ` +
      `failed: ${failed.total === 0 ? 0 : failed}; waits in ms: median ${at(0.5)}, 90 % ${at(0.9)}, 99 % ${at(0.99)}, longest ${at(1)}`;
    if (failed.total > 0 || waits.at(-1) > MOST_MS) throw new Error(what);
    return `${what}; ${await reasonsOf(pair)}`;
  } finally {
    isOver = true;
    await Promise.all([service.close(), pair.stop()]);
  }
}

/** 300 clients for 50 connection slots, which come in order and stay for a while: all are served, in that order. */
async function places(kinds, { isLong }, flags) {
  const pair = await startPair(kinds, flags);
  const held = new Set();
  let most = 0;
  const order = [];
  const service = await serve(pair.ports.far, (socket) => {
    held.add(socket);
    most = Math.max(most, held.size);
    socket.once("data", (data) => order.push(Number.parseInt(data.toString("latin1"), 10)));
    socket.once("close", () => held.delete(socket));
    echo(socket);
  });
  try {
    const failed = new Tally();
    // Longer than a server's usual time limit, so that some wait for longer than that.
    const holdMs = isLong ? 6_000 : 2_000;
    const clients = [];
    for (let number = 0; number < 300; number += 1) {
      const app = dial(pair.ports.near);
      app.socket.write(dataOf(number, 20));
      await new Promise((resolve) => app.socket.once("connect", resolve).once("close", resolve));
      clients.push(
        (async () => {
          await Promise.race([until(() => app.length === 20, `client ${number}`), app.closed]);
          await sleep(holdMs);
          app.socket.end();
          await app.closed;
          if (app.how !== "end") failed.add(app.how);
        })(),
      );
    }
    await Promise.all(clients);
    const displaced = Math.max(...order.map((number, at) => Math.abs(number - at)));
    const what = `300 clients, ${order.length} served, at most ${most} at once, failed: ${failed.total === 0 ? 0 : failed}; the one furthest from its turn: by ${displaced}`;
    if (failed.total > 0 || most > 50) throw new Error(`${what}; ${await reasonsOf(pair)}; ${failuresIn(pair)}`);
    return `${what}; ${await reasonsOf(pair)}`;
  } finally {
    await Promise.all([service.close(), pair.stop()]);
  }
}

/** The failures our ends log, without addresses and times, each once. */
function failuresIn(pair) {
  const ours = [pair.near, pair.far].filter(({ isOurs }) => isOurs);
  const lines = ours.flatMap((end) => end.log().split("\n")).filter((line) => line.includes("connection from"));
  return [
    ...new Set(lines.map((line) => line.replace(/^.*connection from \S+: /, "").replace(/ \([\d.]+ s\)/, ""))),
  ].join("; ");
}

/** 500 clients at once at an end limited to 100 descriptors: they wait, and all are served. */
async function acceptErrors(kinds, { isLong }) {
  const found = [];
  for (const poor of ["near", "far"]) {
    const few = ["prlimit", "--nofile=100"];
    const flags = ["-n", "0", "-o", "60"];
    const pair = await startPair(kinds, { flags, [poor === "near" ? "nearBefore" : "farBefore"]: few });
    const service = await serve(pair.ports.far, echo);
    try {
      const failed = new Tally();
      for (let round = 0; round < (isLong ? 10 : 1); round += 1) {
        await inParallel(500, 500, async (number) => {
          const wrong = await visit(pair.ports.near, number, 10_000);
          if (wrong !== undefined) failed.add(wrong);
        });
      }
      const { exitCode, signalCode } = pair[poor].child;
      const said = pair[poor].isOurs ? "" : `; it says ${JSON.stringify(pair[poor].log().trim().split("\n").at(-1))}`;
      if (exitCode !== null || signalCode !== null)
        throw new Error(`the ${poor} end has died${said}; failed: ${failed}`);
      if (failed.total > 0) throw new Error(`with few descriptors at the ${poor} end, failed: ${failed}${said}`);
      found.push(`few at the ${poor} end: 0 failed; ${await reasonsOf(pair)}`);
    } finally {
      await Promise.all([service.close(), pair.stop()]);
    }
  }
  return `500 clients at once, 100 descriptors; ${found.join("; ")}`;
}

/**
 * Both ends in one process: a hundred tunnels with a key each; the far end has a folder of these keys, ten of which
 * come and go. Clients with the other keys are all served.
 */
async function manyKeys({ near: { relay } }, { isLong }) {
  const { folder } = newFolder();
  const [middle, far] = [await freePort(), await freePort()];
  const keys = join(folder, "keys");
  mkdirSync(keys, { mode: 0o700 });
  const sources = [];
  let tables = `[decrypt.far]\nsource = "[127.0.0.1]:${middle}"\ntarget = "[127.0.0.1]:${far}"\nkey = "${keys}"\nmax-connections = 0\n`;
  for (let at = 0; at < 100; at += 1) {
    const port = await freePort();
    sources.push(port);
    for (const place of [folder, keys])
      writeFileSync(join(place, `client${at}.key`), `key ${at}`.repeat(9), { mode: 0o600 });
    tables +=
      `[encrypt.near${at}]\nsource = "[127.0.0.1]:${port}"\ntarget = "[127.0.0.1]:${middle}"\n` +
      `key = "${join(folder, `client${at}.key`)}"\nmax-connections = 0\n`;
  }
  const file = join(folder, "tunnels.toml");
  writeFileSync(file, tables);
  const one = await startEnd({ kind: "ours", relay, name: "both", args: ["--config", file], source: middle, folder });
  const service = await serve(far, echo);
  try {
    // The status endpoint listens as well.
    const listening = () => one.log().match(/ (near\d+|far): listening on /g)?.length ?? 0;
    await until(
      () => listening() === 101,
      () => `101 tunnels to listen, of which ${listening()} do: ${one.log()}`,
    );
    await visit(sources[0], 0, 10);
    const stable = new Tally();
    const unstable = new Tally();
    let isOver = false;
    let reloads = 0;
    const change = async () => {
      for (; !isOver; reloads += 1) {
        const at = 90 + ((reloads >> 1) % 10);
        const [there, gone] = [join(keys, `client${at}.key`), join(folder, `gone${at}.key`)];
        if (reloads % 2 === 0) renameSync(there, gone);
        else renameSync(gone, there);
        one.child.kill("SIGHUP");
        await until(() => (one.log().match(/SIGHUP: reloaded .*; tunnels/g)?.length ?? 0) > reloads, "a reload");
      }
    };
    const changing = change();
    await inParallel(isLong ? 50_000 : 3_000, 20, async (number) => {
      const at = number % 100;
      (at < 90 ? stable : unstable).add((await visit(sources[at], number, 2_000)) ?? "served");
    });
    isOver = true;
    await changing;
    const wrong = stable.total - stable.get("served");
    const snapshot = await until(async () => {
      const { tunnels } = JSON.parse(await one.status());
      return tunnels.every(({ connections: { open, strangers } }) => open + strangers === 0) && tunnels;
    }, "all connections to end");
    const ended = (tunnel, reason) =>
      tunnel.connections.ended.filter((entry) => entry.reason === reason).reduce((sum, { count }) => sum + count, 0);
    const nears = snapshot.filter(({ role }) => role === "encrypt");
    const closed = nears.reduce((sum, tunnel) => sum + ended(tunnel, "closed"), 0);
    const what = `101 tunnels, 100 keys, ${reloads} reloads; clients of the 90 keys that stay: ${stable}; of the 10 that come and go: ${unstable}`;
    if (wrong > 0) throw new Error(what);
    if (closed !== stable.get("served") + unstable.get("served") + 1) throw new Error(`${what}; ${closed} closed`);
    const [server] = snapshot.filter(({ role }) => role === "decrypt");
    const names = new Set(server.connections.ended.filter(({ reason }) => reason === "closed").map(({ key }) => key));
    if (names.size !== 100) throw new Error(`${what}; ${names.size} names of keys`);
    return `${what}; ${server.connections.ended
      .filter(({ reason }) => reason !== "closed")
      .map(({ reason, count, key }) => `${count} ${reason} (${key || "no key"})`)
      .join(", ")}`;
  } finally {
    await Promise.all([service.close(), one.stop()]);
  }
}
