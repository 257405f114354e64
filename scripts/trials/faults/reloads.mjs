// A second attack on reloads of --config: sources that swap, ports chosen by the system, UNIX sockets, mistakes, keys
// that change at the same moment, floods of signals, and a shutdown in the middle. After each burst, the tunnels must
// be those of the last good file, with no more open than in a new process with this file.

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { renameSync, writeFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { freePort } from "../../support/processes.mjs";
import { scenario, until } from "../../support/scenarios.mjs";
import { argsOf, openOf, Running } from "../../support/tunnel-ends.mjs";

const ROUNDS = 60;
const TUNNELS = 6;

/** Pseudorandom numbers, the same in each run. */
function chance(seed) {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

/** Services that identify themselves, each at its own address. */
async function services(trial, folder) {
  const found = [];
  for (let at = 0; at < TUNNELS; at += 1) {
    const path = join(folder, `service${at}`);
    const server = createServer({ allowHalfOpen: true }, (socket) => {
      socket.on("error", () => undefined);
      socket.write(`${at}\n`);
      socket.on("end", () => socket.end()).resume();
    }).listen(path);
    await new Promise((done) => server.once("listening", done));
    trial.afterwards(() => server.close());
    found.push(path);
  }
  return found;
}

/** Which service answers at an address; otherwise `refused`, or how the connection ended. */
function who(address) {
  return new Promise((done) => {
    const socket = typeof address === "number" ? connect(address, "127.0.0.1") : connect(address);
    let text = "";
    const timer = setTimeout(() => {
      socket.destroy();
      done("silence");
    }, 10_000);
    socket.on("data", (data) => {
      text += data;
      if (text.endsWith("\n")) socket.end();
    });
    socket.on("error", ({ code }) => {
      clearTimeout(timer);
      done(code === "ECONNREFUSED" || code === "ENOENT" ? "refused" : code);
    });
    socket.on("close", () => {
      clearTimeout(timer);
      done(text === "" ? "nothing" : text.trim());
    });
  });
}

/** A lasting connection, which must not end by itself. */
function stay(address) {
  const socket = typeof address === "number" ? connect(address, "127.0.0.1") : connect(address);
  const one = { socket, text: "", end: undefined };
  socket.on("data", (data) => {
    one.text += data;
  });
  socket.on("error", ({ code }) => {
    one.end = code;
  });
  socket.on("close", () => {
    one.end ??= "closed";
  });
  return one;
}

function textOf(address) {
  return typeof address === "number" ? `[127.0.0.1]:${address}` : address;
}

const isSaid = /SIGHUP: .*(?:reloaded .*; tunnels|keeping the old configuration)/;

async function set(trial, seed) {
  const folder = trial.folder();
  const random = chance(seed);
  const [file, keyFile] = [join(folder, "tunnels.toml"), join(folder, "key")];
  const targets = await services(trial, folder);
  const sources = [];
  for (let at = 0; at < TUNNELS; at += 1) sources.push(at % 2 === 0 ? await freePort() : join(folder, `source${at}`));
  const fars = targets.map((_, at) => join(folder, `far${at}`));
  const newKey = () => {
    writeFileSync(`${keyFile}.new`, randomBytes(32), { mode: 0o600 });
    renameSync(`${keyFile}.new`, keyFile);
  };
  newKey();
  /** Tunnel `at` leads from `sources[order[at]]` to its service. */
  const write = (order, { mistake = "", limits = 100 } = {}) => {
    const tables = order.flatMap((source, at) =>
      source === undefined
        ? []
        : [
            `[encrypt.t${at}]\nsource = "${textOf(sources[source])}"\ntarget = "${fars[at]}"\nmax-connections = ${limits}\n`,
            `[decrypt.f${at}]\nsource = "${fars[at]}"\ntarget = "${targets[at]}"\n`,
          ],
    );
    writeFileSync(`${file}.new`, `[defaults]\nkey = "${keyFile}"\ntimeout = 60\n${tables.join("")}${mistake}`);
    renameSync(`${file}.new`, file);
  };
  const launch = async (more = []) => {
    const running = new Running(trial, [...argsOf("relay"), "-F", "--config", file, ...more]);
    await running.said(/listening on/);
    return running;
  };
  const shuffled = () => {
    const order = sources.map((_, at) => at);
    for (let at = order.length - 1; at > 0; at -= 1) {
      const other = random(at + 1);
      [order[at], order[other]] = [order[other], order[at]];
    }
    return order;
  };
  /** Each source must lead to the service that the file names. */
  const requireFile = async (order, round) => {
    for (const [source, address] of sources.entries()) {
      const at = order.indexOf(source);
      const expected = at < 0 ? "refused" : String(at);
      let found;
      await until(
        async () => {
          found = await who(address);
          return found === expected;
        },
        () => `round ${round}: source ${source} (${textOf(address)}) to lead to ${expected}, not ${found}`,
        10_000,
      );
    }
  };
  return { random, file, sources, write, newKey, launch, shuffled, requireFile };
}

/** This process may have no more open than a new one with the same file. */
async function requireNoLeak(its, running) {
  await sleep(3_000);
  const open = openOf(running.pid);
  const before = open.length;
  running.signal("SIGTERM");
  assert.equal(await running.ended(), 0, running.log);
  const fresh = await its.launch();
  await fresh.said(/listening on/, 2);
  for (const source of its.sources) await who(source);
  await sleep(500);
  const most = openOf(fresh.pid).length;
  assert.ok(before <= most + 1, `${before} descriptors, and a new process has ${most}: ${open.join(" ")}`);
  return { before, most };
}

for (const seed of [1, 2]) {
  scenario(`reloads/swapped sources, mistakes and keys ${seed}`, async (trial) => {
    const its = await set(trial, seed);
    let order = its.shuffled();
    its.write(order);
    const running = await its.launch();
    await its.requireFile(order, "start");
    let lastIsGood = true;
    const counts = { swapped: 0, mistakes: 0, fewer: 0, keys: 0 };
    for (let round = 1; round <= ROUNDS; round += 1) {
      const kind = its.random(4);
      if (its.random(2) === 0) {
        its.newKey();
        counts.keys += 1;
      }
      if (kind === 0) {
        its.write(its.shuffled(), { mistake: "[encrypt.bad]\nsorce = 1\n" });
        lastIsGood = false;
        counts.mistakes += 1;
      } else {
        order = its.shuffled();
        if (kind === 1) {
          order[its.random(TUNNELS)] = undefined;
          counts.fewer += 1;
        } else counts.swapped += 1;
        its.write(order, { limits: 50 + its.random(100) });
        lastIsGood = true;
      }
      running.signal("SIGHUP");
      await running.said(isSaid, round);
      assert.equal(running.count(/keeping the old configuration/), counts.mistakes, running.log);
      await its.requireFile(order, round);
    }
    if (!lastIsGood) its.write(order);
    const { before, most } = await requireNoLeak(its, running);
    return `${ROUNDS} reloads of ${TUNNELS} pairs of tunnels: ${JSON.stringify(counts)}; each source led where the last good file says; ${before} descriptors, ${most} in a new process`;
  });
}

scenario("reloads/floods of SIGHUP while the file changes", async (trial) => {
  const its = await set(trial, 3);
  let order = its.shuffled();
  its.write(order);
  const running = await its.launch();
  await its.requireFile(order, "start");
  const steady = order.slice(0, 0);
  void steady;
  let signals = 0;
  for (let round = 0; round < 20; round += 1) {
    for (let count = 0; count < 30; count += 1) {
      order = its.shuffled();
      if (its.random(3) === 0) order[its.random(TUNNELS)] = undefined;
      its.write(order);
      if (its.random(2) === 0) its.newKey();
      running.signal("SIGHUP");
      signals += 1;
      if (its.random(3) === 0) await sleep(its.random(20));
    }
    // One more signal after the last change, so that it is certainly read.
    running.signal("SIGHUP");
    signals += 1;
    await its.requireFile(order, round);
    assert.equal(running.isGone, false, running.log);
  }
  const said = running.count(isSaid);
  const { before, most } = await requireNoLeak(its, running);
  return `${signals} signals, ${said} reloads; after each of 20 bursts the tunnels are the file's; ${before} descriptors, ${most} in a new process`;
});

scenario("reloads/a shutdown in the middle of one", async (trial) => {
  let whole = 0;
  for (let round = 0; round < 15; round += 1) {
    const its = await set(trial, 10 + round);
    its.write(its.shuffled());
    const running = await its.launch(["--drain-timeout", "2"]);
    const held = its.sources.map(stay);
    await until(() => held.every(({ text }) => text !== ""), "connections");
    its.write(its.shuffled());
    running.signal("SIGHUP");
    await sleep(round * 2);
    running.signal("SIGTERM");
    const begun = performance.now();
    const status = await running.ended();
    // What is left from before the reload may be cut first, so that nothing is open when SIGTERM arrives.
    assert.ok(status === 1 || status === 0, running.log);
    assert.ok(performance.now() - begun < 20_000);
    await until(() => held.every(({ end }) => end !== undefined), "their ends");
    for (const source of its.sources) assert.equal(await who(source), "refused", "nothing listens any more");
    whole += 1;
    await trial.undo();
  }
  return `${whole} times SIGTERM 0 to 28 ms behind SIGHUP: it ends after --drain-timeout, all connections are told, no socket file stays`;
});

scenario("reloads/ports chosen by the system", async (trial) => {
  const folder = trial.folder();
  const [target] = await services(trial, folder);
  const key = join(folder, "key");
  writeFileSync(key, randomBytes(32), { mode: 0o600 });
  const file = join(folder, "tunnels.toml");
  const write = (limit) =>
    writeFileSync(
      file,
      `[defaults]\nkey = "${key}"\n[decrypt.a]\nsource = "[127.0.0.1]:0"\ntarget = "${target}"\nmax-connections = ${limit}\n`,
    );
  write(10);
  const running = new Running(trial, [...argsOf("relay"), "-F", "--config", file]);
  const first = await running.said(/listening on/);
  const port = Number(/:(\d+),/.exec(first)?.[1]);
  assert.ok(port > 0, first);
  const open = running.descriptors;
  for (let round = 1; round <= 20; round += 1) {
    write(10 + round);
    running.signal("SIGHUP");
    await running.said(isSaid, round);
  }
  const ports = new Set(running.lines.map((line) => /listening on .*:(\d+)/.exec(line)?.[1]).filter(Boolean));
  await until(
    () => running.descriptors <= open + 1,
    () => `${running.descriptors} descriptors, ${open} before`,
  );
  return `20 reloads that change the tunnel: ${ports.size} port(s), ${running.descriptors} descriptors, ${open} before; ${running.lines.at(-1)}`;
});
