// Starts both ends of a tunnel, ours or another program's, and reads what the system says of them.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createServer } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";

const OURS = fileURLToPath(new URL("../bin/spiped.js", import.meta.url));
const TICKS_A_SECOND = 100;

/** How each kind of pair is started: [encrypting end, decrypting end], each a program and its words. */
const KINDS = {
  ours: (near, middle, far, keyFile, flags) => [
    [process.execPath, OURS, "-e", "-F", "-s", near, "-t", middle, "-k", keyFile, ...flags],
    [process.execPath, OURS, "-d", "-F", "-s", middle, "-t", far, "-k", keyFile, ...flags],
  ],
  c: (near, middle, far, keyFile, flags) => [
    ["spiped", "-e", "-F", "-s", near, "-t", middle, "-k", keyFile, ...flags],
    ["spiped", "-d", "-F", "-s", middle, "-t", far, "-k", keyFile, ...flags],
  ],
};

/** A free port on loopback. */
export async function freePort() {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address();
  server.close();
  await once(server, "close");
  return port;
}

/** Starts a pair; `stop` ends it and gives what it used. */
export async function startPair(kind, keyFile, flags = []) {
  const [near, middle, far] = [await freePort(), await freePort(), await freePort()];
  const bracketed = (port) => `[127.0.0.1]:${port}`;
  const commands = KINDS[kind](bracketed(near), bracketed(middle), bracketed(far), keyFile, flags);
  const ends = [];
  for (const [program, ...words] of commands.toReversed()) {
    ends.unshift(spawn(program, words, { stdio: ["ignore", "ignore", "inherit"] }));
  }
  await Promise.all([listening(near), listening(middle)]);
  return {
    near: `127.0.0.1:${near}`,
    far: `127.0.0.1:${far}`,
    pids: ends.map((end) => end.pid),
    usage: () => ends.map((end) => usageOf(end.pid)),
    async stop() {
      const usage = ends.map((end) => usageOf(end.pid));
      for (const end of ends) end.kill("SIGKILL");
      await Promise.all(ends.map((end) => end.exitCode ?? end.signalCode ?? once(end, "exit")));
      return usage;
    },
  };
}

/** CPU seconds and memory of a process, as the system counts them. */
export function usageOf(pid) {
  const words = readFileSync(`/proc/${pid}/stat`, "latin1")
    .replace(/^.*\) /, "")
    .split(" ");
  const status = readFileSync(`/proc/${pid}/status`, "latin1");
  const megabytes = (name) => Number(status.match(new RegExp(`^${name}:\\s+(\\d+) kB`, "m"))?.[1] ?? 0) / 1_000;
  return {
    cpuSeconds: (Number(words[11]) + Number(words[12])) / TICKS_A_SECOND,
    residentMegabytes: megabytes("VmRSS"),
    peakMegabytes: megabytes("VmHWM"),
  };
}

async function listening(port) {
  for (let tries = 0; tries < 500; tries += 1) {
    const open = readFileSync("/proc/net/tcp", "latin1").includes(
      `0100007F:${port.toString(16).toUpperCase().padStart(4, "0")} 00000000:0000 0A`,
    );
    if (open) return;
    await sleep(10);
  }
  throw new Error(`nothing listens on port ${port}`);
}
