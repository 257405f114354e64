// Two machines on one host, for trials of docs/recipes.md with real programs: each has its own network and processes,
// and a cable connects them. Needs Linux, root, unshare, nsenter and ip.

import { spawn, spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { sectionsOf } from "../../build/test/docs/pages.js";

const root = fileURLToPath(new URL("../..", import.meta.url));

/** The addresses that replace the names on the page; the controller is a second address of the far machine. */
const ADDRESSES = { near: "198.51.100.1", far: "198.51.100.2", controller: "192.0.2.20" };

/** Which implementation each machine runs; the C original is the system's. */
export const pairs = [
  { near: "ours", far: "ours" },
  { near: "ours", far: "C" },
  { near: "C", far: "ours" },
];

/** Ends the trial with a message if this machine lacks something it needs. */
export function need(...commands) {
  const missing = commands.filter((name) => spawnSync("sh", ["-c", `command -v ${name}`]).status !== 0);
  if (process.platform !== "linux" || process.getuid() !== 0) missing.unshift("Linux and root");
  if (missing.length === 0) return;
  console.error(`the trial needs ${missing.join(", ")}`);
  process.exit(2);
}

/** The code blocks of a section of docs/recipes.md that say on which machine they run. */
export function blocksOf(heading) {
  const section = sectionsOf("docs/recipes.md").find(({ name }) => name === `docs/recipes.md: ${heading}`);
  if (section === undefined) throw new Error(`docs/recipes.md has no section ${heading}`);
  return section.blocks.filter(({ machine }) => machine !== undefined);
}

/** Runs `trial` with both machines, and removes them and their processes afterwards. */
export async function onTwoMachines(pair, trial) {
  const folder = mkdtempSync(join(tmpdir(), "spiped-trial-"));
  const key = randomBytes(32);
  const machines = [];
  const end = () => {
    for (const { holder } of machines) holder.kill("SIGKILL");
    rmSync(folder, { recursive: true, force: true });
  };
  process.once("exit", end);
  try {
    for (const name of ["near", "far"]) machines.push(await Machine.start(name, join(folder, name), pair[name], key));
    const [near, far] = machines;
    const cable = ["link", "add", "cable", "netns", near.id, "type", "veth", "peer", "name", "cable", "netns", far.id];
    mustRun("ip", ...cable.map(String));
    for (const machine of machines) {
      await machine.run(`ip address add ${ADDRESSES[machine.name]}/24 dev cable && ip link set cable up`);
    }
    await far.run(`ip address add ${ADDRESSES.controller}/32 dev lo`);
    return await trial({ near, far });
  } finally {
    process.off("exit", end);
    end();
  }
}

class Machine {
  constructor(name, folder, holder, id) {
    this.name = name;
    this.folder = folder;
    this.holder = holder;
    /** The machine's first process: when it exits, so do all others. */
    this.id = id;
  }

  static async start(name, folder, implementation, key) {
    mkdirSync(join(folder, "bin"), { recursive: true });
    writeFileSync(join(folder, "keyfile"), key, { mode: 0o600 });
    if (implementation === "ours") {
      const script = `#!/bin/sh\nexec ${process.execPath} ${join(root, "bin/spiped.js")} "$@"\n`;
      writeFileSync(join(folder, "bin/spiped"), script, { mode: 0o755 });
    }
    const own = ["--net", "--pid", "--fork", "--kill-child", "--mount-proc"];
    const script = "ip link set lo up && echo ready && exec cat";
    const holder = spawn("unshare", [...own, "sh", "-c", script], { stdio: ["pipe", "pipe", "inherit"] });
    await new Promise((resolve, reject) => {
      holder.stdout.once("data", resolve);
      holder.once("exit", () => reject(new Error("unshare failed: this machine does not allow new namespaces")));
    });
    const id = Number(readFileSync(`/proc/${holder.pid}/task/${holder.pid}/children`, "utf8"));
    return new Machine(name, folder, holder, id);
  }

  /** Starts a command on the machine, in its folder. */
  start(args, options = {}) {
    const enter = ["--target", String(this.id), "--net", "--pid", "--mount", "--"];
    return spawn("nsenter", [...enter, "sh", "-c", 'cd "$0" && exec "$@"', this.folder, ...args], {
      stdio: ["pipe", "pipe", "inherit"],
      ...options,
      env: { ...process.env, PATH: `${join(this.folder, "bin")}:${process.env.PATH}`, ...options.env },
    });
  }

  /** Runs commands as they are on the page. @returns Their output. */
  async run(commands, { env = {} } = {}) {
    const exchanged = commands
      .replaceAll("near.example", ADDRESSES.near)
      .replaceAll(/\b(far|gateway)\.example\b/g, ADDRESSES.far);
    // A file, not a pipe: background processes keep it open.
    const script = '{ eval "$1"; } >output 2>errors';
    const child = this.start(["bash", "-euo", "pipefail", "-c", script, "bash", exchanged], { env, stdio: "inherit" });
    const status = await new Promise((resolve) => child.once("exit", resolve));
    const textOf = (name) => readFileSync(join(this.folder, name), "utf8");
    if (status !== 0) throw new Error(`${this.name}: exited with ${status}: ${exchanged}\n${textOf("errors")}`);
    return textOf("output");
  }
}

/** Polls for something that reports nothing. @throws Error that says what did not happen. */
export async function until(condition, what, limitMs = 60_000) {
  for (const started = performance.now(); performance.now() - started < limitMs; ) {
    const value = await condition();
    if (value) return value;
    await seconds(0.005);
  }
  throw new Error(`timed out after ${limitMs / 1_000} s waiting for ${what}`);
}

export function seconds(count) {
  return new Promise((resolve) => setTimeout(resolve, 1_000 * count));
}

function mustRun(...args) {
  const { status, stderr } = spawnSync(args[0], args.slice(1), { encoding: "utf8" });
  if (status !== 0) throw new Error(`${args.join(" ")}: ${stderr}`);
}
