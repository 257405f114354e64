// The C original under the same load, as far as it goes: one process for each tunnel and end, one key for all, no
// status, no reload. Resource figures are sums over its processes.

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { start } from "../../support/processes.mjs";
import { until } from "./ends.mjs";

/** What C cannot do. */
export const BEYOND_IT = ["operator", "scrapes"];

/** All processes of one end. */
export class OriginalEnd {
  events = new Map();
  failures = new Map();
  #program;
  #name;
  #layout;
  #children = [];
  #previous;

  constructor({ program, name, layout }) {
    this.#program = program;
    this.#name = name;
    this.#layout = layout;
  }

  async start() {
    const { folder, tunnels } = this.#layout;
    for (const [name, { near, far, service, withoutForwardSecrecy }] of tunnels) {
      if (name === "extra") continue;
      const [role, source, target] = this.#name === "near" ? ["-e", near, far] : ["-d", far, service];
      const key = join(folder, this.#name === "near" && name === "door" ? "wrong.key" : "near.key");
      const args = ["-F", role, "-s", written(source), "-t", written(target), "-k", key, "-n", "500", "-o", "20"];
      this.#children.push(
        start([this.#program, ...args, ...(withoutForwardSecrecy ? ["-f"] : [])], { stdio: "ignore" }),
      );
    }
    await until("all to have their descriptors", () => this.#children.every(({ pid }) => isListening(pid)));
  }

  outside() {
    const sum = { anonymousMb: 0, rssMb: 0, descriptors: 0, threads: 0, cpuNs: 0 };
    for (const { pid } of this.#children) {
      const rollup = readFileSync(`/proc/${pid}/smaps_rollup`, "latin1");
      const megabytes = (name) => (Number(rollup.match(new RegExp(`^${name}:\\s+(\\d+) kB`, "m"))?.[1]) * 1_024) / 1e6;
      sum.anonymousMb += megabytes("Anonymous");
      sum.rssMb += megabytes("Rss");
      sum.descriptors += readdirSync(`/proc/${pid}/fd`).length;
      for (const task of readdirSync(`/proc/${pid}/task`)) {
        sum.threads += 1;
        sum.cpuNs += Number(readFileSync(`/proc/${pid}/task/${task}/schedstat`, "latin1").split(" ")[0]);
      }
    }
    return sum;
  }

  async inside() {
    return { heapUsed: 0, external: 0, resources: [] };
  }

  async ask(path) {
    return path === "/status" ? '{"tunnels":[]}' : "";
  }

  async metrics() {
    return new Map();
  }

  descriptors() {
    return "";
  }

  async sample() {
    const [now, before, outside] = [performance.now(), this.#previous, this.outside()];
    this.#previous = { now, cpuNs: outside.cpuNs };
    if (before === undefined) return undefined;
    return { ...outside, cpuPercent: (outside.cpuNs - before.cpuNs) / 1e4 / (now - before.now) };
  }

  async stop() {
    for (const child of this.#children) child.kill("SIGTERM");
    await Promise.all(this.#children.map(({ ended }) => ended));
  }
}

function isListening(pid) {
  // Standard streams, and the socket.
  return readdirSync(`/proc/${pid}/fd`).length >= 4;
}

function written({ path, host, port }) {
  return path ?? `[${host}]:${port}`;
}
