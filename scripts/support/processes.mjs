// Processes that a benchmark or a trial starts, measures, and ends in every case. Linux only: it reads /proc.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";

const TICKS_A_SECOND = 100;
/** Below the range that the system uses for outgoing connections. */
const PORTS = { first: 20_000, last: 31_999 };
/** Enough for both sockets of 10,000 connections; an unlimited number slows some programs down. */
const DESCRIPTORS = 24_576;

const running = new Set();
/** Ports that freePort has given: with a hundred of them, one in three trials would get one twice. */
const given = new Set();
const folders = new Set();

/** Kills all processes and removes all folders at exit, on success, failure and signals alike. */
export function cleanUpAtExit() {
  process.on("exit", () => {
    for (const child of running) killGroup(child);
    for (const folder of folders) rmSync(folder, { recursive: true, force: true });
  });
  for (const [signal, status] of [
    ["SIGINT", 130],
    ["SIGTERM", 143],
    ["SIGHUP", 129],
  ]) {
    process.on(signal, () => process.exit(status));
  }
}

/** Removes a folder at exit. */
export function removeAtExit(folder) {
  folders.add(folder);
}

/** Starts a program as the leader of its own process group, so that its children are killed with it. */
export function start([program, ...args], { stdio = ["ignore", "ignore", "pipe"], manyDescriptors = false } = {}) {
  const command = manyDescriptors
    ? ["sh", "-c", `ulimit -n ${descriptorLimit()} && exec "$@"`, "sh", program, ...args]
    : [program, ...args];
  const child = spawn(command[0], command.slice(1), { stdio, detached: true });
  child.failure = "";
  child.stderr?.on("data", (data) => {
    child.failure = (child.failure + data).slice(-2_000);
  });
  running.add(child);
  child.ended = new Promise((resolve) => {
    child.once("error", (error) => {
      child.failure = error.message;
      running.delete(child);
      resolve();
    });
    child.once("close", () => {
      running.delete(child);
      resolve();
    });
  });
  return child;
}

/** Kills a program and its process group. */
export async function end(child) {
  killGroup(child);
  await child.ended;
}

function killGroup(child) {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  try {
    process.kill(-child.pid, "SIGKILL");
  } catch (error) {
    if (error.code !== "ESRCH") throw error;
  }
}

/** Runs a program to its end. @returns Its standard output. */
export async function run(command, { timeoutMs = 120_000, ...options } = {}) {
  const child = start(command, { stdio: ["ignore", "pipe", "pipe"], ...options });
  let output = "";
  child.stdout.setEncoding("utf8").on("data", (data) => {
    output += data;
  });
  const timer = setTimeout(() => killGroup(child), timeoutMs);
  await child.ended;
  clearTimeout(timer);
  if (child.exitCode !== 0) {
    const how = child.signalCode === null ? `status ${child.exitCode}` : child.signalCode;
    throw new Error(`${command.slice(0, 3).join(" ")}: ${child.failure.trim() || how}`);
  }
  return output;
}

/** How many descriptors a program may have at most. */
export function descriptorLimit() {
  const hard = readFileSync("/proc/self/limits", "latin1").match(/^Max open files\s+\d+\s+(\d+|unlimited)/m)?.[1];
  return hard === "unlimited" ? DESCRIPTORS : Math.min(DESCRIPTORS, Number(hard));
}

/** CPU seconds and memory of a process and its descendants, as the system counts them. */
export function usageOf(pid) {
  const total = { cpuSeconds: 0, residentMegabytes: 0, peakMegabytes: 0 };
  for (const member of [pid, ...descendants(pid)]) {
    const stat = statOf(member);
    if (stat === undefined) continue;
    // utime and stime, and those of exited children
    for (const field of [11, 12, 13, 14]) total.cpuSeconds += Number(stat[field]) / TICKS_A_SECOND;
    const status = readFileSync(`/proc/${member}/status`, "latin1");
    total.residentMegabytes += megabytes(status, "VmRSS");
    total.peakMegabytes += megabytes(status, "VmHWM");
  }
  return total;
}

/** CPU seconds of each thread of a process, by thread id. */
export function threadSecondsOf(pid) {
  const seconds = new Map();
  for (const thread of readdirSync(`/proc/${pid}/task`)) {
    const stat = statOf(`${pid}/task/${thread}`);
    if (stat !== undefined) seconds.set(thread, (Number(stat[11]) + Number(stat[12])) / TICKS_A_SECOND);
  }
  return seconds;
}

function megabytes(status, name) {
  return (Number(status.match(new RegExp(`^${name}:\\s+(\\d+) kB`, "m"))?.[1] ?? 0) * 1_024) / 1e6;
}

/** The fields of /proc/PID/stat, or of a thread's, starting with the third, the state. */
function statOf(pid) {
  try {
    return readFileSync(`/proc/${pid}/stat`, "latin1")
      .replace(/^.*\) /s, "")
      .split(" ");
  } catch {
    return undefined; // it has exited
  }
}

function descendants(pid) {
  const parents = new Map();
  for (const name of readdirSync("/proc")) {
    if (/^\d+$/.test(name)) parents.set(Number(name), Number(statOf(name)?.[1]));
  }
  const found = [pid];
  for (const ancestor of found) {
    for (const [child, parent] of parents) if (parent === ancestor) found.push(child);
  }
  return found.slice(1);
}

/** A free port on loopback, outside the range for outgoing connections. */
export async function freePort() {
  for (;;) {
    const port = PORTS.first + Math.floor(Math.random() * (PORTS.last - PORTS.first + 1));
    if (given.has(port)) continue;
    const server = createServer().listen(port, "127.0.0.1");
    try {
      await once(server, "listening");
    } catch {
      continue;
    }
    server.close();
    await once(server, "close");
    given.add(port);
    return port;
  }
}

/** Waits until something listens on a port of loopback, without connecting to it. */
export async function listening(port, child) {
  const line = `0100007F:${port.toString(16).toUpperCase().padStart(4, "0")} 00000000:0000 0A`;
  for (let tries = 0; tries < 1_000; tries += 1) {
    if (readFileSync("/proc/net/tcp", "latin1").includes(line)) return;
    if (child.exitCode !== null || child.signalCode !== null) break;
    await sleep(10);
  }
  throw new Error(`${child.spawnfile} does not listen: ${child.failure.trim()}`);
}
