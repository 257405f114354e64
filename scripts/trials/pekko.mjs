// node scripts/trials/pekko.mjs [-D SETTING=VALUE]...: two nodes of a real Pekko cluster through the tunnels of
// docs/recipes.md, with the commands of that page.
//
// They form a cluster and send each other messages. Then one end of the tunnels is killed, for 3 s and for 20 s, and
// the cluster must survive. Needs Linux, root, JDK 17 or newer, Maven, and `npm run build` first.

import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { parseArguments } from "../support/arguments.mjs";
import { blocksOf, need, onTwoMachines, pairs, seconds, until } from "./machines.mjs";

const { values } = parseArguments({ options: { define: { type: "string", short: "D", multiple: true, default: [] } } });
const SIZES = [1, 1_000, 65_536, 250_000];
const TURNS = 25;
const here = fileURLToPath(new URL("pekko", import.meta.url));
const jars = fileURLToPath(new URL("../../build/trials/pekko", import.meta.url));

need("unshare", "nsenter", "ip", "java", "mvn");
const fetched = spawnSync(
  "mvn",
  ["-B", "-q", "-f", here, "dependency:copy-dependencies", `-DoutputDirectory=${jars}`],
  {
    stdio: "inherit",
  },
);
if (fetched.status !== 0) process.exit(1);

async function trial({ near, far }) {
  const tunnels = blocksOf("Remoting with one long connection each way").filter(({ commands }) =>
    commands.startsWith("spiped"),
  );
  for (const { machine, commands } of tunnels) await { near, far }[machine].run(commands);
  const started = performance.now();
  const a = new Node(near, 25_521, 25_522);
  const b = new Node(far, 25_522, 25_521);
  const bothAre = (state, what) => until(() => a.state === state && b.state === state, what, 90_000);
  const together = () => bothAre("up 2, unreachable 0", "a cluster of two");
  await together();
  report(`a cluster of two after ${since(started)}`);
  await exchange(a, b);

  for (const [machine, word, outageS] of [
    [near, "-e", 3],
    [far, "-d", 3],
    [near, "-e", 20],
    [far, "-d", 20],
  ]) {
    const command = tunnels
      .filter((block) => block.machine === machine.name)
      .flatMap(({ commands }) => commands.split("\n"))
      .find((line) => line.startsWith("spiped -d") === (word === "-d") && line.startsWith("spiped"));
    const source = /-s '(\S+)'/.exec(command)[1];
    for (const node of [a, b]) node.wasUnreachable = false;
    await machine.run(`kill -9 "$(cat '${source}.pid')"`);
    await seconds(outageS);
    await machine.run(command);
    const back = performance.now();
    for (const node of [a, b]) await sendUntilBack(node, SIZES[0]);
    const after = since(back);
    await together();
    await exchange(a, b);
    const seen = [a, b].filter((node) => node.wasUnreachable).map((node) => node.machine.name);
    const noticed = seen.length === 0 ? "no node noticed" : `unreachable for a while, seen on ${seen.join(" and ")}`;
    report(
      `spiped ${word} of ${machine.name} killed for ${outageS} s: messages both ways ${after} after its new start, ${noticed}`,
    );
  }
  for (const node of [a, b]) node.child.stdin.end();
  await until(() => a.child.exitCode !== null && b.child.exitCode !== null, "the end of both nodes");
}

/** Messages of all sizes both ways, each sent until it comes back: Pekko delivers at most once. */
async function exchange(a, b) {
  const started = performance.now();
  let sent = 0;
  for (let turn = 0; turn < TURNS; turn += 1) {
    for (const size of SIZES) {
      for (const node of [a, b]) sent += await sendUntilBack(node, size);
    }
  }
  const wanted = TURNS * SIZES.length * 2;
  report(`${wanted} messages of up to ${Math.max(...SIZES)} bytes there and back: ${sent} sent, ${since(started)}`);
}

/** @returns How many times the message was sent. */
async function sendUntilBack(node, size) {
  const backSoFar = () => node.back.get(size) ?? 0;
  const before = backSoFar();
  for (let tries = 1; tries <= 60; tries += 1) {
    node.child.stdin.write(`send ${size}\n`);
    const isBack = await until(() => backSoFar() > before, "it", 1_000).catch(() => false);
    if (isBack) return tries;
  }
  throw new Error(`a message of ${size} characters never came back`);
}

class Node {
  constructor(machine, own, other) {
    this.machine = machine;
    this.state = "";
    this.wasUnreachable = false;
    /** How many messages came back, by size. */
    this.back = new Map();
    const settings = values.define.map((one) => `-D${one}`);
    const args = ["java", ...settings, "-cp", join(jars, "*"), join(here, "Node.java"), String(own), String(other)];
    this.child = machine.start(args, { stdio: ["pipe", "pipe", "ignore"] });
    createInterface({ input: this.child.stdout }).on("line", (line) => this.#take(line));
  }

  #take(line) {
    const size = Number(/^back (\d+)$/.exec(line)?.[1]);
    if (size > 0) this.back.set(size, (this.back.get(size) ?? 0) + 1);
    if (!line.startsWith("up ")) return;
    this.state = line;
    if (!line.endsWith("unreachable 0")) this.wasUnreachable = true;
  }
}

function since(started) {
  return `${((performance.now() - started) / 1_000).toFixed(1)} s`;
}

function report(text) {
  console.log(`  ${text}`);
}

for (const pair of pairs) {
  console.log(`spiped of A: ${pair.near}, of B: ${pair.far}`);
  await onTwoMachines(pair, trial);
}
process.exit();
