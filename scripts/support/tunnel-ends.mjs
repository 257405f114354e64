// Both ends of a tunnel on loopback, ours or the C original's, with their logs, for trials. Linux only.

import { randomBytes } from "node:crypto";
import { existsSync, readdirSync, readFileSync, readlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { end, freePort, listening, start } from "./processes.mjs";
import { Lacking, until } from "./scenarios.mjs";

const spiped = fileURLToPath(new URL("../../bin/spiped.js", import.meta.url));

/** The programs that scenarios run with: ours with and without the relay's threads, and the C original. */
export const PROGRAMS = ["relay", "pumps", "C"];
export const OURS = ["relay", "pumps"];
export const ROLES = ["-e", "-d"];

/** A key file. */
export function newKey(trial) {
  const path = join(trial.folder(), "key");
  writeFileSync(path, randomBytes(32), { mode: 0o600 });
  return path;
}

/** The command of a program of {@link PROGRAMS}. */
export function argsOf(program) {
  if (program !== "C")
    return program === "pumps" ? ["env", "SPIPED_RELAY=off", process.execPath, spiped] : [process.execPath, spiped];
  if (!existsSync("/usr/bin/spiped")) throw new Lacking("the C original is not installed as /usr/bin/spiped");
  return ["/usr/bin/spiped"];
}

/** A started process, and everything it has logged. */
export class Running {
  #log = "";

  constructor(trial, args, options) {
    this.child = start(args, options);
    this.child.stderr?.setEncoding("utf8").on("data", (text) => {
      this.#log += text;
    });
    trial.afterwards(() => end(this.child));
  }

  get pid() {
    return this.child.pid;
  }

  get log() {
    return this.#log;
  }

  get isGone() {
    return this.child.exitCode !== null || this.child.signalCode !== null;
  }

  get lines() {
    return this.#log.split("\n").slice(0, -1);
  }

  count(pattern) {
    return this.lines.filter((line) => pattern.test(line)).length;
  }

  /** Waits until `count` lines match. */
  async said(pattern, count = 1, limitMs = undefined) {
    await until(
      () => {
        if (this.count(pattern) >= count) return true;
        if (this.isGone) throw new Error(`it exited without ${count} × ${pattern}: ${this.#log}`);
        return false;
      },
      () => `${count} × ${pattern} in: ${this.#log}`,
      limitMs,
    );
    return this.lines.filter((line) => pattern.test(line))[count - 1];
  }

  signal(signal) {
    process.kill(this.pid, signal);
  }

  /** Waits for the process to exit. @returns Its status, or the name of a signal. */
  async ended() {
    await until(
      () => this.isGone,
      () => `the end of a process that said: ${this.#log}`,
    );
    return this.child.exitCode ?? this.child.signalCode;
  }

  get descriptors() {
    return descriptorsOf(this.pid);
  }

  numbers() {
    return readdirSync(`/proc/${this.pid}/fd`).map(Number);
  }

  get threads() {
    return readdirSync(`/proc/${this.pid}/task`).length;
  }
}

/** How many descriptors a process has open. */
export function descriptorsOf(pid) {
  return readdirSync(`/proc/${pid}/fd`).length;
}

/** What the descriptors of a process refer to, sorted. */
export function openOf(pid) {
  return readdirSync(`/proc/${pid}/fd`)
    .map((one) => {
      try {
        return readlinkSync(`/proc/${pid}/fd/${one}`).replace(/\[\d+\]/, "");
      } catch {
        return "";
      }
    })
    .filter((one) => one !== "")
    .sort();
}

/**
 * Starts one end on a port of loopback, and waits until it listens.
 *
 * @param options.before - The command prefix, such as `prlimit`.
 * @param options.args - The command, if it is none of {@link PROGRAMS}.
 * @param options.target - A port, or the text of an address.
 */
export async function startEnd(
  trial,
  role,
  { program = "relay", target, key, flags = [], before = [], args: its, port, stdio },
) {
  const at = port ?? (await freePort());
  const to = typeof target === "number" ? `[127.0.0.1]:${target}` : target;
  const args = [
    ...before,
    ...(its ?? argsOf(program)),
    "-F",
    role,
    "-s",
    `[127.0.0.1]:${at}`,
    "-t",
    to,
    "-k",
    key,
    ...flags,
  ];
  const running = new Running(trial, args, stdio === undefined ? {} : { stdio });
  await listening(at, running.child);
  if (program !== "C" && stdio === undefined) await running.said(/listening on/);
  return Object.assign(running, { port: at, role });
}

/**
 * Both ends, with `target` behind them.
 *
 * @param options.on - The end that gets `before` and `flags`, -e or -d; both if left out.
 */
export async function startBoth(trial, { program = "relay", target, on, before = [], flags = [], common = [], key }) {
  const keyFile = key ?? newKey(trial);
  const its = (role) =>
    on === undefined || on === role ? { before, flags: [...common, ...flags] } : { flags: common };
  const far = await startEnd(trial, "-d", { program, target, key: keyFile, ...its("-d") });
  const near = await startEnd(trial, "-e", { program, target: far.port, key: keyFile, ...its("-e") });
  return { near, far, key: keyFile, faulty: on === "-d" ? far : near, other: on === "-d" ? near : far };
}

/** Waits until a process has no more than `most` descriptors. */
export async function untilDescriptors(running, most) {
  await until(
    () => running.descriptors <= most,
    () => `${most} descriptors, of ${running.descriptors}: ${openOf(running.pid).join(" ")}`,
  );
}

/** CPU seconds of a process. */
export function cpuSeconds(pid) {
  const fields = readFileSync(`/proc/${pid}/stat`, "latin1")
    .replace(/^.*\) /s, "")
    .split(" ");
  return (Number(fields[11]) + Number(fields[12])) / 100;
}
