// Fifty tunnels in one process, and fifty processes with one tunnel each: the time until all listen, and their memory
// then and with one idle connection through each. Linux only: memory is read from /proc, shared pages divided.
//
//     node scripts/trials/many-tunnels.mjs [COUNT]

import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { countOf } from "../support/arguments.mjs";

const COUNT = countOf("the number of tunnels", process.argv[2] ?? "50");
const spiped = fileURLToPath(new URL("../../bin/spiped.js", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "spiped-many-"));
const keyFile = join(folder, "key");
writeFileSync(keyFile, "k".repeat(32), { mode: 0o600 });

const service = createServer((socket) => socket.on("error", () => undefined));
await new Promise((listening) => service.listen(join(folder, "service"), listening));

/** Source addresses used only by this trial, no two alike. */
const sources = Array.from({ length: COUNT }, (_none, at) => join(folder, `s${at}`));

/** Starts processes and waits until all sources listen. */
async function start(commands) {
  const begun = performance.now();
  let listening = 0;
  const children = commands.map((args) => {
    const child = spawn(process.execPath, [spiped, "-F", ...args], { stdio: ["ignore", "ignore", "pipe"] });
    child.stderr.setEncoding("utf8").on("data", (text) => {
      listening += text.match(/listening on/g)?.length ?? 0;
    });
    return child;
  });
  while (listening < COUNT) {
    if (children.some(({ exitCode }) => exitCode !== null)) throw new Error("one of them has exited");
    await new Promise((wake) => setTimeout(wake, 1));
  }
  return { children, ms: performance.now() - begun };
}

/** Memory of processes in MB; shared pages are divided among them. */
function memoryOf(children) {
  const kilobytes = children.map(({ pid }) =>
    Number(/^Pss:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, "utf8"))?.[1]),
  );
  return kilobytes.reduce((sum, one) => sum + one, 0) / 1_000;
}

async function measure(name, commands) {
  const { children, ms } = await start(commands);
  const cpu = () => children.reduce((sum, { pid }) => sum + cpuOf(pid), 0);
  await new Promise((wake) => setTimeout(wake, 2_000));
  const idle = memoryOf(children);
  const startCpu = cpu();
  const clients = sources.map((path) => connect(path));
  await Promise.all(clients.map((client) => new Promise((open) => client.once("connect", open))));
  await new Promise((wake) => setTimeout(wake, 2_000));
  const busy = memoryOf(children);
  for (const client of clients) client.destroy();
  const ends = children.map((child) => new Promise((ended) => child.once("exit", ended)));
  for (const child of children) child.kill("SIGTERM");
  await Promise.all(ends);
  const fixed = (value) => value.toFixed(value < 10 ? 1 : 0);
  console.log(
    `${name}: all listen after ${fixed(ms)} ms, ${fixed(startCpu)} s of CPU time; ${fixed(idle)} MB, with a connection each ${fixed(busy)} MB`,
  );
}

/** CPU time in seconds. */
function cpuOf(pid) {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8")
    .replace(/^.*\) /s, "")
    .split(" ");
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

const tables = sources.map(
  (source, at) => `[encrypt.t${at}]\nsource = "${source}"\ntarget = "${join(folder, "service")}"\n`,
);
const file = join(folder, "tunnels.toml");
writeFileSync(file, `[defaults]\nkey = "${keyFile}"\n${tables.join("")}`);
try {
  await measure(`one process, ${COUNT} tunnels`, [["--config", file]]);
  await measure(
    `${COUNT} processes`,
    sources.map((source) => ["-e", "-s", source, "-t", join(folder, "service"), "-k", keyFile]),
  );
} finally {
  service.close();
  rmSync(folder, { recursive: true, force: true });
}
process.exit(0);
