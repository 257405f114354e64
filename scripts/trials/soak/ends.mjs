// The two spiped processes of the soak: configuration, log, status, and what the system reports about them.

import {
  existsSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { request } from "node:http";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { start } from "../../support/processes.mjs";
import { objectBytesOf } from "./heap-objects.mjs";

const spiped = fileURLToPath(new URL("../../../bin/spiped.js", import.meta.url));
const probe = fileURLToPath(new URL("probe.cjs", import.meta.url));
const WAIT_MS = 120_000;

/** Messages the log may have in a correct run, besides failed connections. */
const USUAL = ["listening", "key-read", "config-read", "config-mistake", "config-kept", "draining", "stopped"];
const ASKED_FOR = ["state", "state-reload", "state-tunnel", "state-connection", "state-connections", "state-failure"];

/** Replaces a file atomically, since it may be read at any time. */
export function writeWhole(path, text) {
  writeFileSync(`${path}.new~`, text, { mode: 0o600 });
  renameSync(`${path}.new~`, path);
}

/** Polls for a condition. */
export async function until(what, isSo) {
  for (const deadline = performance.now() + WAIT_MS; ; await sleep(20)) {
    const found = await isSo();
    if (found) return found;
    if (performance.now() > deadline) throw new Error(`timed out after ${WAIT_MS / 1_000} s waiting for ${what}`);
  }
}

/** One end. */
export class End {
  /** `${event}` → count. */
  events = new Map();
  /** `${tunnel} ${reason}` → how many failures the log has, in messages of their own and in summaries. */
  failures = new Map();
  #name;
  #status;
  #ledger;
  #probe;
  #child;
  #recent = [];
  #previous;

  constructor({ name, folder, status, ledger }) {
    this.#name = name;
    this.#status = status;
    this.#ledger = ledger;
    this.#probe = join(folder, `${name}.probe`);
    this.config = join(folder, `${name}.toml`);
  }

  async start(log) {
    process.env.SOAK_PROBE = this.#probe;
    const args = ["--expose-gc", "--require", probe, spiped, "-F", "--config", this.config, "--log-format", "json"];
    this.#child = start([process.execPath, ...args]);
    delete process.env.SOAK_PROBE;
    let rest = "";
    this.#child.stderr.setEncoding("utf8").on("data", (text) => {
      writeFileSync(log, text, { flag: "a" });
      const lines = (rest + text).split("\n");
      rest = lines.pop();
      for (const line of lines) this.#take(line);
    });
    await until(
      `the ${this.#name} end to be ready`,
      async () => (await this.ask("/healthz").catch(() => "")) === "ok\n",
    );
  }

  /** As `net.connect` takes it. */
  get statusAddress() {
    const { socketPath: path, ...address } = this.#status;
    return path === undefined ? address : { path };
  }

  get pid() {
    return this.#child.pid;
  }

  #take(line) {
    let entry;
    try {
      entry = JSON.parse(line);
    } catch {
      this.#ledger.fail(`the ${this.#name} end logged: ${line}`);
      return;
    }
    const { event, level, tunnel, reason, count = 0 } = entry;
    this.events.set(event, (this.events.get(event) ?? 0) + 1);
    if (event === "connection-ended" || event === "connections-summed") {
      const name = `${tunnel} ${reason}`;
      this.failures.set(name, (this.failures.get(name) ?? 0) + (event === "connection-ended" ? 1 : count));
      if (level !== "warning") this.#ledger.fail(`the ${this.#name} end logged: ${line}`);
    } else if (USUAL.includes(event)) {
      this.#recent.push(entry);
    } else if (!ASKED_FOR.includes(event) && !(event === "note" && entry.message.startsWith("status: listening on "))) {
      this.#ledger.fail(`the ${this.#name} end logged: ${line}`);
    }
  }

  /** Sends a signal, and marks the log: later waits look at messages from here on. */
  signal(name) {
    this.#recent = [];
    this.#child.kill(name);
  }

  /** The log messages since the last signal that match. */
  async says(what, isSo, count = 1) {
    return await until(`the ${this.#name} end to say ${what}`, () => {
      if (this.#child.exitCode !== null) throw new Error(`the ${this.#name} end has exited: ${this.#child.failure}`);
      const found = this.#recent.filter(isSo);
      return found.length >= count && found;
    });
  }

  /** Requests a path from the status address. */
  ask(path) {
    return new Promise((resolve, reject) => {
      const asked = request({ ...this.#status, path, agent: false, timeout: WAIT_MS, headers: { host: "localhost" } });
      asked
        .once("response", (response) => {
          let text = "";
          response
            .setEncoding("utf8")
            .on("data", (data) => {
              text += data;
            })
            .once("end", () => resolve(text))
            .once("error", reject);
        })
        .once("error", reject)
        .once("timeout", () => asked.destroy(new Error("no answer")))
        .end();
    });
  }

  /** All samples of /metrics. */
  async metrics() {
    const samples = new Map();
    for (const line of (await this.ask("/metrics")).split("\n")) {
      const [, name, value] = /^([^#].*) (\S+)$/.exec(line) ?? [];
      if (name !== undefined) samples.set(name, Number(value));
    }
    return samples;
  }

  /** The process's figures about itself, after garbage collection if requested. */
  async inside({ collect = false, keepSnapshot = false } = {}) {
    if (collect) writeFileSync(`${this.#probe}.collect`, "");
    rmSync(this.#probe, { force: true });
    this.#child.kill("SIGPWR");
    await until("the probe", () => existsSync(this.#probe));
    const figures = JSON.parse(readFileSync(this.#probe, "utf8"));
    if (!collect) return figures;
    unlinkSync(`${this.#probe}.collect`);
    return { ...figures, objectBytes: objectBytesOf(this.#probe, keepSnapshot) };
  }

  /** The system's figures, now. */
  outside() {
    const { pid } = this.#child;
    const rollup = readFileSync(`/proc/${pid}/smaps_rollup`, "latin1");
    const kilobytes = (name) => Number(rollup.match(new RegExp(`^${name}:\\s+(\\d+) kB`, "m"))?.[1]);
    const tasks = readdirSync(`/proc/${pid}/task`);
    const [loopNs, waitNs] = schedule(pid);
    let cpuNs = 0;
    for (const task of tasks) cpuNs += schedule(`${pid}/task/${task}`)[0];
    return {
      rssMb: (kilobytes("Rss") * 1_024) / 1e6,
      anonymousMb: (kilobytes("Anonymous") * 1_024) / 1e6,
      descriptors: readdirSync(`/proc/${pid}/fd`).length,
      threads: tasks.length,
      loopNs,
      waitNs,
      cpuNs,
    };
  }

  /** What its descriptors refer to, for an error message. */
  descriptors() {
    const kinds = new Map();
    for (const fd of readdirSync(`/proc/${this.#child.pid}/fd`)) {
      const kind = linkOf(`/proc/${this.#child.pid}/fd/${fd}`).replace(/\[\d+\]/, "");
      kinds.set(kind, (kinds.get(kind) ?? 0) + 1);
    }
    return [...kinds].map(([kind, count]) => `${count} ${kind}`).join(", ");
  }

  /** All figures since the last sample. */
  async sample() {
    const before = this.#previous;
    const now = performance.now();
    const [metrics, inside] = [await this.metrics(), await this.inside()];
    const outside = this.outside();
    const delaySum = metrics.get("spiped_event_loop_delay_seconds_sum");
    const delays = metrics.get("spiped_event_loop_delay_seconds_count");
    this.#previous = { now, delaySum, delays, turns: inside.turns, ...outside };
    if (before === undefined) return undefined;
    const seconds = (now - before.now) / 1_000;
    const { rssMb, anonymousMb, descriptors, threads, loopNs, waitNs, cpuNs } = outside;
    const turns = inside.turns - before.turns;
    const perCent = (ns) => ns / 1e7 / seconds;
    return {
      rssMb,
      anonymousMb,
      nativeMb: anonymousMb - inside.heapTotal / 1e6,
      heapMb: inside.heapUsed / 1e6,
      externalMb: inside.external / 1e6,
      descriptors,
      threads,
      resources: inside.resources.length,
      connections: sumOf(metrics, "spiped_connections_open"),
      cpuPercent: perCent(cpuNs - before.cpuNs),
      loopPercent: perCent(loopNs - before.loopNs),
      turnMicros: (loopNs - before.loopNs) / 1_000 / turns,
      delayMs: (1_000 * (delaySum - before.delaySum)) / (delays - before.delays),
      queuedPercent: perCent(waitNs - before.waitNs),
    };
  }

  /** Shuts it down in order. */
  async stop() {
    this.signal("SIGTERM");
    await this.#child.ended;
    if (this.#child.exitCode !== 0) this.#ledger.fail(`the ${this.#name} end: exit status ${this.#child.exitCode}`);
    const [stopped] = this.#recent.filter(({ event }) => event === "stopped");
    if (stopped?.message !== "stopped: all connections closed") {
      this.#ledger.fail(`the ${this.#name} end logged at exit: ${stopped?.message}`);
    }
  }
}

/** The sum of a metric's samples. */
export function sumOf(metrics, name) {
  let sum = 0;
  for (const [sample, value] of metrics) if (sample.startsWith(`${name}{`)) sum += value;
  return sum;
}

function linkOf(path) {
  try {
    return readlinkSync(path);
  } catch {
    return "gone";
  }
}

/** CPU time, and time waiting for a CPU, in nanoseconds. */
function schedule(task) {
  try {
    return readFileSync(`/proc/${task}/schedstat`, "latin1").split(" ").map(Number);
  } catch {
    return [0, 0];
  }
}
