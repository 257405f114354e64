// Both ends of a tunnel for a trial, each ours or the C original's, and everything known about them afterwards: how
// each connection ended, what was logged, and whether descriptors, threads and memory are what they were. Linux only.

import { closeSync, mkdtempSync, openSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { get } from "node:http";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { end, freePort, listening, removeAtExit, start, usageOf } from "./processes.mjs";

const OURS = [process.execPath, fileURLToPath(new URL("../../bin/spiped.js", import.meta.url))];
const ORIGINAL = [process.env.SPIPED_ORIGINAL ?? "/usr/bin/spiped"];
/** The load program, for loads that are too fast for Node.js. */
export const LOAD = fileURLToPath(new URL("../../bench/load/target/release/spiped-bench-load", import.meta.url));
/** Longer than anything takes that is not stuck. */
const PATIENCE_MS = 120_000;
/** CPU seconds per second of an idle process, including its status endpoint and handshake key pairs. */
const IDLE_SECONDS = 0.05;

/** The programs at the near end (-e) and the far end (-d). */
export const PAIRS = {
  ours: { near: { kind: "ours" }, far: { kind: "ours" } },
  "ours, relay off": { near: { kind: "ours", relay: false }, far: { kind: "ours", relay: false } },
  "ours → C": { near: { kind: "ours" }, far: { kind: "c" } },
  "C → ours": { near: { kind: "c" }, far: { kind: "ours" } },
  C: { near: { kind: "c" }, far: { kind: "c" } },
};

/** A folder with a key file, removed at exit. */
export function newFolder() {
  const folder = mkdtempSync(join(tmpdir(), "spiped-trial-"));
  removeAtExit(folder);
  const key = join(folder, "key");
  writeFileSync(key, "a key for trials, and for nothing else\n", { mode: 0o600 });
  return { folder, key };
}

/**
 * Starts one end and waits until it listens.
 *
 * @param before - The command prefix, such as `prlimit --nofile=100`.
 */
export async function startEnd({
  kind,
  relay = true,
  name,
  args,
  source,
  folder,
  before = [],
  manyDescriptors = false,
}) {
  const isOurs = kind === "ours";
  const log = join(folder, `${name}.log`);
  const status = join(folder, `${name}.status`);
  const command = [
    ...before,
    ...(isOurs ? ["env", `SPIPED_RELAY=${relay ? "on" : "off"}`, ...OURS] : ORIGINAL),
    ...args,
    "-F",
    ...(isOurs ? ["--status", status] : []),
  ];
  const file = openSync(log, "w");
  const child = start(command, { stdio: ["ignore", "ignore", file], manyDescriptors });
  closeSync(file);
  if (source !== undefined)
    await listening(source, child).catch((error) => {
      throw new Error(`${error.message}${readFileSync(log, "utf8")}`);
    });
  return {
    child,
    name,
    isOurs,
    /** Its descriptors and threads at rest; counted again after the first connection. */
    base: descriptorsOf(child.pid),
    baseThreads: threadsOf(child.pid),
    /** Everything it has logged. */
    log: () => readFileSync(log, "utf8"),
    status: (path = "/status") => ask(status, path),
    memory: () => usageOf(child.pid).residentMegabytes,
    stop: () => end(child),
  };
}

/** Starts both ends, for a service on the port `far`, which need not listen yet. */
export async function startPair(
  { near, far },
  {
    flags = [],
    nearFlags = [],
    farFlags = [],
    between,
    nearBefore,
    farBefore,
    manyDescriptors,
    farKey,
    warm = true,
  } = {},
) {
  const { folder, key } = newFolder();
  const ports = { near: await freePort(), middle: await freePort(), far: await freePort() };
  const dialed = between === undefined ? ports.middle : await between(ports.middle);
  const args = (role, source, target, more, keyFile) => [
    ...[role, "-s", `[127.0.0.1]:${source}`, "-t", `[127.0.0.1]:${target}`, "-k", keyFile],
    ...flags,
    ...more,
  ];
  const common = { folder, manyDescriptors };
  const farEnd = await startEnd({
    ...{ ...far, ...common, name: "far", source: ports.middle, before: farBefore },
    args: args("-d", ports.middle, ports.far, farFlags, farKey ?? key),
  });
  const nearEnd = await startEnd({
    ...{ ...near, ...common, name: "near", source: ports.near, before: nearBefore },
    args: args("-e", ports.near, dialed, nearFlags, key),
  });
  const ends = [nearEnd, farEnd];
  if (warm) await warmUp(ports, ends);
  return {
    near: nearEnd,
    far: farEnd,
    ends,
    ports,
    folder,
    key,
    stop: () => Promise.all(ends.map(({ stop }) => stop())),
  };
}

/** Carries one connection, so that what the first connection creates counts as the base. */
async function warmUp(ports, ends) {
  const service = createServer({ allowHalfOpen: true }, (socket) => socket.pipe(socket));
  await new Promise((resolve) => service.listen(ports.far, "127.0.0.1", resolve));
  const client = connect({ port: ports.near, host: "127.0.0.1" }).end("warm");
  let text = "";
  for await (const data of client) text += data;
  await new Promise((resolve) => service.close(resolve));
  if (text !== "warm") throw new Error(`the first connection gave ${JSON.stringify(text)}`);
  for (const one of ends) {
    if (one.isOurs) await until(async () => (await settled(one)) !== undefined, "the first connection to be counted");
    await sleep(200);
    one.base = descriptorsOf(one.child.pid);
    one.baseThreads = threadsOf(one.child.pid);
  }
}

/** Polls for a condition. */
export async function until(condition, what, patienceMs = PATIENCE_MS) {
  const deadline = performance.now() + patienceMs;
  for (;;) {
    const value = await condition();
    if (value) return value;
    if (performance.now() > deadline)
      throw new Error(
        `timed out after ${patienceMs / 1_000} s waiting for ${typeof what === "string" ? what : what()}`,
      );
    await sleep(50);
  }
}

/**
 * Waits until an end has nothing left of its connections.
 *
 * @returns For ours, how many connections were accepted, and how many ended for each reason; undefined for C.
 * @throws Error if something stays open, or goes on.
 */
export async function settle(one) {
  const { child, name, isOurs } = one;
  await until(
    () => descriptorsOf(child.pid) <= one.base,
    () => `the ${name} end, which has ${descriptorsOf(child.pid)} descriptors open, and had ${one.base}`,
  );
  const threads = threadsOf(child.pid);
  if (threads > one.baseThreads) throw new Error(`the ${name} end has ${threads} threads, and had ${one.baseThreads}`);
  await until(async () => {
    const before = usageOf(child.pid).cpuSeconds;
    await sleep(1_000);
    return usageOf(child.pid).cpuSeconds - before <= IDLE_SECONDS;
  }, `the ${name} end to do nothing`);
  if (!isOurs) return undefined;
  const counts = await until(() => settled(one), `the connections of the ${name} end to be counted`);
  const log = one.log();
  if (/internal error/.test(log)) throw new Error(`the ${name} end: ${log}`);
  return counts;
}

/** The end reasons of all connections; undefined while some are open. */
export async function settled(one) {
  const [tunnel] = JSON.parse(await one.status()).tunnels;
  const { open, strangers, accepted, ended } = tunnel.connections;
  const reasons = {};
  for (const { reason, count } of ended) if (count > 0) reasons[reason] = (reasons[reason] ?? 0) + count;
  const all = Object.values(reasons).reduce((sum, count) => sum + count, 0);
  return open === 0 && strangers === 0 && all === accepted && accepted > 0 ? { accepted, reasons } : undefined;
}

/** The threads of a process. */
export function threadsOf(pid) {
  return readdirSync(`/proc/${pid}/task`).length;
}

/** The open descriptors of a process. */
export function descriptorsOf(pid) {
  return readdirSync(`/proc/${pid}/fd`).length;
}

/** Asks an HTTP server on a UNIX socket. */
function ask(socketPath, path) {
  return new Promise((resolve, reject) => {
    get({ socketPath, path, headers: { host: "localhost" }, agent: false }, (answer) => {
      let text = "";
      answer.setEncoding("utf8").on("data", (data) => {
        text += data;
      });
      answer.on("end", () =>
        answer.statusCode === 200 ? resolve(text) : reject(new Error(`${path}: status ${answer.statusCode}`)),
      );
    }).on("error", reject);
  });
}
