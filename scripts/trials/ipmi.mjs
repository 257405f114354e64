// node scripts/trials/ipmi.mjs: runs real ipmitool and ipmi_sim through the socats and tunnels of docs/recipes.md, with
// the commands of that page, and compares with the same without a tunnel.
//
// Needs Linux, root, Debian's openipmi, ipmitool, socat and bsdutils, and `npm run build` first.

import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { administrator, controllerFiles } from "../../build/test/support/ipmi.js";
import { blocksOf, need, onTwoMachines, pairs, seconds, until } from "./machines.mjs";

const COMMANDS = ["mc info", "chassis status", "sdr list", "sensor", "sel list"];
const [AT_ONCE, ROUNDS] = [8, 10];
const AGAIN = 100;
const [CONSOLE_PORT, LINES] = [6_231, 2_000];
const CONTROLLER = "192.0.2.20";

/** The program behind the console: echoes a line, and prints many for `print`. */
const CONSOLE = `
  require("node:net").createServer((socket) => {
    let line = "";
    socket.on("error", () => {}).on("data", (bytes) => {
      for (const letter of bytes.toString()) {
        if (letter !== "\\r") { line += letter; continue; }
        let text = "you said " + line + "\\r\\n";
        if (line === "print") {
          for (let number = 1; number <= ${LINES}; number += 1) text += "line " + number + " of what a server prints while it starts\\r\\n";
          text += "printed\\r\\n";
        }
        socket.write(text);
        line = "";
      }
    });
  }).listen(${CONSOLE_PORT}, "127.0.0.1");`;

need("unshare", "nsenter", "ip", "socat", "ipmitool", "ipmi_sim", "script");
async function trial({ near, far }) {
  const { settings, commands } = controllerFiles({
    host: CONTROLLER,
    sensors: 40,
    events: 100,
    consolePort: CONSOLE_PORT,
  });
  writeFileSync(join(far.folder, "settings"), settings);
  writeFileSync(join(far.folder, "commands"), commands);
  mkdirSync(join(far.folder, "state"));
  far.start([process.execPath, "-e", CONSOLE]);
  far.start(["ipmi_sim", "-n", "-c", "settings", "-f", "commands", "-s", "state"]);

  const blocks = blocksOf("With socat at both ends").filter(({ commands }) => /^spiped/m.test(commands));
  for (const { machine, commands } of blocks) await { near, far }[machine].run(commands);

  const direct = { machine: far, host: CONTROLLER };
  const through = { machine: near, host: "127.0.0.1" };
  const ways = Object.entries({ directly: direct, "through the tunnel": through });
  for (const command of COMMANDS) {
    const [here, there] = [await timed(direct, command), await timed(through, command)];
    const isSame = here.output === there.output && here.output !== "";
    const what = `${isSame ? "the same" : "NOT the same"} ${here.output.split("\n").length - 1} lines`;
    report(`${command}: ${what}; directly ${here.ms} ms, through the tunnel ${there.ms} ms`);
  }
  for (const [how, way] of ways) {
    const whole = (await timed(direct, "sdr list")).output;
    let wrong = 0;
    for (let turn = 1; turn <= AGAIN; turn += 1) wrong += Number((await timed(way, "sdr list")).output !== whole);
    report(`sdr list, ${AGAIN} times ${how}: ${wrong} times wrong`);
  }
  // Without the commands that read tables: the controller serves those one client at a time, with or without a tunnel.
  const expected = (await timed(direct, "mc info")).output;
  let wrong = 0;
  for (let round = 1; round <= ROUNDS; round += 1) {
    const all = await Promise.all(Array.from({ length: AT_ONCE }, () => timed(through, "mc info")));
    wrong += all.filter(({ output }) => output !== expected).length;
  }
  report(`mc info, ${ROUNDS} times ${AT_ONCE} at once: ${wrong} times wrong`);

  for (const [how, way] of ways) {
    for (let turn = 1; turn <= 3; turn += 1)
      report(`console, ${how}: ${await useConsole(way).catch(({ message }) => message.split("\n")[0])}`);
  }
  const terminal = new Terminal(through);
  await terminal.say("before", /you said before/);
  const { commands: lines } = blocks.find(({ machine }) => machine === "near");
  const end = lines.split("\n").find((line) => line.startsWith("spiped"));
  await near.run(`kill -9 "$(cat '${/-s '(\S+)'/.exec(end)[1]}.pid')"`);
  await seconds(3);
  await near.run(end);
  const started = performance.now();
  terminal.child.stdin.write("after\r");
  await until(
    () => terminal.child.exitCode !== null || /you said after/.test(terminal.text),
    "the console to answer or end",
  );
  const gone = terminal.child.exitCode !== null;
  report(`the near end killed for 3 s: the console ${gone ? "ended" : "went on"} ${since(started)} s after it`);
  const isSame = (await timed(through, "mc info")).output === expected;
  report(`the next command: ${isSame ? "the same as before" : "WRONG"}`);
}

function argsOf({ host }, command) {
  const who = ["-U", administrator.name, "-P", administrator.password];
  // ipmi_sim does not report its cipher suites.
  return ["ipmitool", "-I", "lanplus", "-C", "3", "-H", host, ...who, ...command.split(" ")];
}

/** Runs a command. @returns Its output, empty if it failed, and how long it took. */
async function timed(way, command) {
  const started = performance.now();
  const child = way.machine.start(argsOf(way, command));
  let output = "";
  child.stdout.on("data", (data) => {
    output += data;
  });
  const status = await new Promise((resolve) => child.once("close", resolve));
  return { output: status === 0 ? output : "", ms: Math.round(performance.now() - started) };
}

/** A console in a terminal of its own. */
class Terminal {
  constructor(way) {
    const args = argsOf(way, "sol activate").join(" ");
    this.text = "";
    this.child = way.machine.start(["script", "-qefc", args, "/dev/null"]);
    this.child.stdout.on("data", (data) => {
      this.text += data;
    });
  }

  /** Types a line and waits for an answer. */
  async say(line, answer) {
    await until(() => /operational/.test(this.text), `the console, which said ${this.text}`);
    // ipmitool discards what is typed while it sets up the terminal.
    for (let tries = 1; tries <= 20; tries += 1) {
      this.child.stdin.write(`${line}\r`);
      if (await until(() => answer.test(this.text), "it", 3_000).catch(() => false)) return;
    }
    throw new Error(`no answer to ${line}: ${this.text.slice(-500)}`);
  }

  async end() {
    this.child.stdin.write("\r~.");
    await until(() => this.child.exitCode !== null, "the end of the console");
  }
}

async function useConsole(way) {
  const terminal = new Terminal(way);
  await terminal.say("hello", /you said hello/);
  const started = performance.now();
  await terminal.say("print", /\bprinted\r/);
  const took = since(started);
  // Wait until the output stops, so that the next test finds a quiet console.
  for (let length = -1; length !== terminal.text.length; await seconds(3)) length = terminal.text.length;
  await terminal.end();
  const lines = [...terminal.text.matchAll(/^line (\d+) of what a server prints while it starts\r$/gm)];
  const kinds = new Set(lines.map(([, number]) => number)).size;
  const prints = terminal.text.match(/you said print\r/g)?.length ?? 0;
  const more = `${lines.length - kinds} of them again`;
  return `${kinds} of ${LINES} lines whole, ${more}, the command came ${prints} times, ${took} s`;
}

function since(started) {
  return ((performance.now() - started) / 1_000).toFixed(1);
}

function report(text) {
  console.log(`  ${text}`);
}

for (const pair of pairs) {
  console.log(`spiped of the administrator: ${pair.near}, of the gateway: ${pair.far}`);
  await onTwoMachines(pair, trial);
}
process.exit();
