// Two hosts, each with its own network, and a configurably bad link between them (link.py), with the two ends of a
// tunnel and a program behind each (party.mjs). Needs Linux, root, unshare, nsenter, ip and python3.

import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../..", import.meta.url));
/** By IP version: of both hosts on the link, of a far host that has moved, of loopback, and to listen on. */
export const ADDRESSES = {
  4: { near: "10.9.0.1", far: "10.9.0.2", moved: "10.9.0.3", bits: 32, loopback: "127.0.0.1", any: "0.0.0.0" },
  6: { near: "fd00::1", far: "fd00::2", moved: "fd00::3", bits: 128, loopback: "::1", any: "::" },
};
/** Where near and its router are connected, if there is a router. */
const INSIDE = { near: "192.168.7.2", router: "192.168.7.1" };
const [ENTRY, TUNNEL, SERVICE] = [2_001, 2_002, 2_003];

/** The names of pairs: near end, far end. `plain` is TCP without a tunnel. */
export const PAIRS = ["ours-ours", "ours-C", "C-ours", "C-C"];

export class TwoHosts {
  /** The IP version of hosts that are made from now on, 4 or 6. */
  static family = 4;

  #children = [];
  #folder = mkdtempSync(join(tmpdir(), "spiped-hosts-"));
  #answers = [];
  #ended = new Map();
  #looks = new Map();

  /**
   * @param pair One of PAIRS, or `plain`.
   * @param options.router - Puts a host between near and the link, with the kernel's NAT. IPv4 only; needs nft.
   */
  constructor(pair, { mtu = 1_500, seed = 1, nearFlags = [], farFlags = [], names, target, router = false } = {}) {
    const { family } = TwoHosts;
    this.addresses = ADDRESSES[family];
    Object.assign(this, { pair, mtu, seed, nearFlags, farFlags, names, family, router });
    this.target = target ?? `[${this.addresses.far}]:${TUNNEL}`;
    /** What the ends have logged: `{ at, host, line }`. */
    this.logs = [];
  }

  async start() {
    this.hosts = { near: await this.#host(), far: await this.#host() };
    if (this.names !== undefined) await this.name(this.names);
    if (this.router) await this.#startRouter();
    await this.#startLink();
    this.parties = { near: await this.#party("near"), far: await this.#party("far") };
    const { far: farAddress, loopback, any } = this.addresses;
    this.order("far", "listen", { port: SERVICE, host: any });
    await once(this.parties.far, "message");
    const [near, far] = this.pair.split("-");
    this.entry = { host: farAddress, port: SERVICE };
    if (this.pair === "plain") return this;
    writeFileSync(join(this.#folder, "key"), randomBytes(32), { mode: 0o600 });
    this.implementations = { near, far };
    await this.startEnd("far");
    await this.startEnd("near");
    this.entry = { host: loopback, port: ENTRY };
    await sleep(100);
    this.descriptorsAtFirst = this.descriptors();
    return this;
  }

  async startEnd(host) {
    const { loopback, any } = this.addresses;
    const args =
      host === "far"
        ? ["-d", "-s", `[${any}]:${TUNNEL}`, "-t", `[${loopback}]:${SERVICE}`, ...this.farFlags]
        : ["-e", "-s", `[${loopback}]:${ENTRY}`, "-t", this.target, ...this.nearFlags];
    const program =
      this.implementations[host] === "C" ? ["/usr/bin/spiped"] : [process.execPath, join(root, "bin/spiped.js")];
    const child = this.#spawn(host, [...program, ...args, "-F", "-k", join(this.#folder, "key")]);
    createInterface({ input: child.stderr }).on("line", (line) => this.logs.push({ at: Date.now(), host, line }));
    this[`${host}End`] = child;
    const port = host === "far" ? TUNNEL : ENTRY;
    const listens = new RegExp(`:${port.toString(16).toUpperCase().padStart(4, "0")} (0{8}|0{32}):0000 0A`);
    await until(() => listens.test(this.#tableOf(child.pid)), `${host} to listen`);
  }

  async stopEnd(host) {
    this[`${host}End`].kill("SIGKILL");
    await once(this[`${host}End`], "exit");
  }

  /** Runs a command on a host to its end. */
  async run(host, ...args) {
    const child = this.#spawn(host, args);
    const [status] = await once(child, "exit");
    if (status !== 0) throw new Error(`${args.join(" ")} exited with ${status}`);
  }

  /** Makes near resolve these names, besides those of the machine. */
  async name(names) {
    const file = join(this.#folder, "hosts");
    const lines = Object.entries(names).map(([name, address]) => `${address} ${name}\n`);
    const isNew = !existsSync(file);
    writeFileSync(file, `127.0.0.1 localhost\n${lines.join("")}`);
    if (isNew) await this.run("near", "mount", "--bind", file, "/etc/hosts");
  }

  /** Changes the link, see link.py. @returns Its figures. */
  link(order) {
    this.linkProcess.stdin.write(`${JSON.stringify(order)}\n`);
    return new Promise((resolve) => this.#answers.push(resolve));
  }

  /** Both directions alike. */
  both(values) {
    return this.link({ set: { forward: values, reverse: values } });
  }

  order(host, order, what = {}) {
    this.parties[host].send({ order, ...what });
  }

  /** Opens a connection from near through the tunnel. */
  open(what) {
    this.order("near", "open", { ...this.entry, ...what });
  }

  ask(what) {
    this.order("near", "ask", { ...this.entry, ...what });
  }

  /** How a connection ended for the program on this host; undefined if it has not within the limit. */
  async ended(host, id, limitMs = 60_000) {
    const key = `${host} ${id}`;
    for (const started = performance.now(); performance.now() - started < limitMs; await sleep(20)) {
      if (this.#ended.has(key)) return this.#ended.get(key);
    }
    return undefined;
  }

  /** The states of this host's connections. */
  async look(host) {
    const answer = new Promise((resolve) => this.#looks.set(host, resolve));
    this.order(host, "look");
    return new Map((await answer).map((state) => [state.id, state]));
  }

  descriptors() {
    const count = (end) => readdirSync(`/proc/${end.pid}/fd`).length;
    return [count(this.nearEnd), count(this.farEnd)];
  }

  /** Bytes in a host's sockets, to be sent or read. */
  queues(host) {
    const rows = this.#tableOf(this.hosts[host].pid).split("\n").slice(1);
    return rows
      .map((row) => row.trim().split(/\s+/))
      .filter((fields) => ["01", "04", "05", "08"].includes(fields[3])) // open and half-closed connections
      .map((fields) => ({
        local: fields[1],
        remote: fields[2],
        sending: Number.parseInt(fields[4].slice(0, 8), 16),
        reading: Number.parseInt(fields[4].slice(9), 16),
      }));
  }

  end() {
    for (const child of this.#children) child.kill("SIGKILL");
    rmSync(this.#folder, { recursive: true, force: true });
  }

  /** The table of TCP sockets in a process's network. */
  #tableOf(pid) {
    return readFileSync(`/proc/${pid}/net/tcp${this.family === 6 ? "6" : ""}`, "latin1");
  }

  async #host() {
    const child = this.#keep(
      spawn("unshare", ["--net", "--mount", "sh", "-c", "ip link set lo up && echo ready && exec cat"], {
        stdio: ["pipe", "pipe", "inherit"],
      }),
    );
    await once(child.stdout, "data");
    return child;
  }

  /** A home router: replaces near's address by its own on the link, and drops packets of connections it has forgotten. */
  async #startRouter() {
    const router = await this.#host();
    this.hosts.router = router;
    const rules = `table ip nat { chain out { type nat hook postrouting priority 100; oifname "link0" masquerade; }; }
      table ip filter { chain pass { type filter hook forward priority 0; ct state invalid drop; }; }`;
    const { near, router: own } = INSIDE;
    const cable = [
      "link",
      "add",
      "inside",
      "netns",
      String(this.hosts.near.pid),
      "type",
      "veth",
      "peer",
      "name",
      "inside",
    ];
    await this.run("router", "ip", ...cable);
    for (const [host, address] of [
      ["near", near],
      ["router", own],
    ]) {
      await this.run(host, "ip", "address", "add", `${address}/24`, "dev", "inside");
      await this.run(host, "ip", "link", "set", "inside", "up");
    }
    await this.run("near", "ip", "route", "add", "default", "via", own);
    await this.run("router", "sysctl", "-qw", "net.ipv4.ip_forward=1", "net.netfilter.nf_conntrack_tcp_loose=0");
    await this.run("router", "nft", rules);
  }

  async #startLink() {
    const { near, router = near, far } = this.hosts;
    const { near: nearAddress, far: farAddress } = this.addresses;
    const args = [
      join(root, "scripts/support/link.py"),
      router.pid,
      far.pid,
      this.mtu,
      this.seed,
      nearAddress,
      farAddress,
    ].map(String);
    // The system's own: a wrapper around it may not work in another network namespace.
    this.linkProcess = this.#keep(spawn("/usr/bin/python3", args, { stdio: ["pipe", "pipe", "inherit"] }));
    const ready = new Promise((resolve, reject) => {
      this.#answers.push(resolve);
      this.linkProcess.once("exit", () => reject(new Error("link.py has ended")));
    });
    ready.catch(() => undefined);
    createInterface({ input: this.linkProcess.stdout }).on("line", (line) => this.#answers.shift()?.(JSON.parse(line)));
    await ready;
  }

  async #party(host) {
    const args = [process.execPath, join(root, "scripts/support/party.mjs")];
    const child = this.#spawn(host, args, ["ignore", "inherit", "inherit", "ipc"]);
    await once(child, "message");
    child.on("message", ({ ended, look }) => {
      if (ended !== undefined) this.#ended.set(`${host} ${ended.id}`, ended);
      if (look !== undefined) this.#looks.get(host)?.(look);
    });
    return child;
  }

  #spawn(host, args, stdio = ["ignore", "ignore", "pipe"]) {
    const enter = ["--target", String(this.hosts[host].pid), "--net", "--mount", "--"];
    return this.#keep(spawn("nsenter", [...enter, ...args], { stdio }));
  }

  #keep(child) {
    this.#children.push(child);
    return child;
  }
}

export async function until(condition, what, limitMs = 30_000) {
  for (const started = performance.now(); performance.now() - started < limitMs; await sleep(20)) {
    if (await condition()) return;
  }
  throw new Error(`timed out after ${limitMs / 1_000} s waiting for ${what}`);
}
