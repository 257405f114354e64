// A hundred reloads under load, with a mistake in every third file: no connection of an unchanged tunnel ends, no
// client is refused while a listening socket is handed over, and no descriptor leaks. Linux only.
//
//     node scripts/trials/reloads.mjs [RELOADS]

import { spawn } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { countOf } from "../support/arguments.mjs";

const RELOADS = countOf("the number of reloads", process.argv[2] ?? "100");
const spiped = fileURLToPath(new URL("../../bin/spiped.js", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "spiped-reloads-"));
const keyFile = join(folder, "key");
writeFileSync(keyFile, "k".repeat(32), { mode: 0o600 });
const at = (name) => join(folder, name);
const file = at("tunnels.toml");

const service = createServer((socket) => {
  socket.on("error", () => undefined);
  socket.pipe(socket);
});
await new Promise((listening) => service.listen(at("service"), listening));

/** A tunnel through both ends in the same process. */
const pair = (name, more = "") => `
[encrypt.${name}]
source = "${at(name)}"
target = "${at(`${name}-far`)}"
${more}
[decrypt.${name}-far]
source = "${at(`${name}-far`)}"
target = "${at("service")}"
${more}`;

const write = (round) => {
  const changed = `max-connections = ${1_000 + round}`;
  const sometimes = round % 2 === 0 ? pair(`new${round}`) : "";
  const mistake = round % 3 === 0 ? "sorce = 1" : "";
  writeFileSync(
    file,
    `[defaults]\nkey = "${keyFile}"\n${pair("same")}${pair("changed", changed)}${sometimes}${mistake}\n`,
  );
};

const failures = [];
const counts = { unchanged: 0, changed: 0, bytes: 0 };

/** A connection that echoes until the trial stops it, and must not end before. */
const lasting = (name) => {
  const socket = connect(at(name));
  const words = Buffer.alloc(8_192, "x");
  socket.on("data", (data) => {
    counts.bytes += data.length;
    if (socket.writableLength === 0) socket.write(words.subarray(0, data.length));
  });
  socket.on("error", (error) => failures.push(`a lasting connection: ${error.message}`));
  socket.on("close", () => {
    if (!isOver) failures.push("a lasting connection has ended");
  });
  socket.write(words);
  return socket;
};

/** Short connections, one after the other, each of which must be served. */
const visit = async (name) => {
  while (!isOver) {
    await new Promise((done) => {
      const socket = connect(at(name), () => socket.end("hello"));
      let text = "";
      socket.on("data", (data) => {
        text += data;
      });
      socket.on("error", (error) => failures.push(`a visitor of ${name}: ${error.message}`));
      socket.on("close", () => {
        if (text !== "hello") failures.push(`a visitor of ${name} got ${JSON.stringify(text)}`);
        done();
      });
    });
    counts[name === "same" ? "unchanged" : "changed"] += 1;
  }
};

let isOver = false;
write(1);
const child = spawn(process.execPath, [spiped, "-F", "--config", file], { stdio: ["ignore", "ignore", "pipe"] });
let log = "";
child.stderr.setEncoding("utf8").on("data", (text) => {
  log += text;
});
const said = async (pattern, count) => {
  while ((log.match(pattern)?.length ?? 0) < count) {
    if (child.exitCode !== null) throw new Error(`spiped has exited:\n${log}`);
    await new Promise((wake) => setTimeout(wake, 5));
  }
};
const descriptors = () => readdirSync(`/proc/${child.pid}/fd`).length;

await said(/listening on/g, 4);
const before = descriptors();
const open = [lasting("same"), lasting("same"), lasting("same")];
const visits = ["same", "same", "changed", "changed"].map(visit);
const begun = performance.now();
for (let round = 2; round < RELOADS + 2; round += 1) {
  write(round);
  child.kill("SIGHUP");
  await said(/SIGHUP: .*(?:reloaded .*toml; tunnels|keeping the old configuration)/g, round - 1);
}
const seconds = (performance.now() - begun) / 1_000;
const refused = log.match(/keeping the old configuration/g)?.length ?? 0;
isOver = true;
await Promise.all(visits);
for (const socket of open) socket.destroy();
// Wait for the original state.
write(1);
child.kill("SIGHUP");
await said(/SIGHUP: .*(?:reloaded .*toml; tunnels|keeping the old configuration)/g, RELOADS + 1);
for (let tries = 0; descriptors() > before && tries < 1_000; tries += 1)
  await new Promise((wake) => setTimeout(wake, 10));
const after = descriptors();
const ended = new Promise((resolve) => child.once("exit", resolve));
child.kill("SIGTERM");
const status = await ended;
service.close();
rmSync(folder, { recursive: true, force: true });
console.log(
  `${RELOADS} reloads in ${seconds.toFixed(1)} s, ${refused} of files with a mistake; connections served meanwhile: ` +
    `${counts.unchanged} by the unchanged tunnel, ${counts.changed} by the changed one; ${(counts.bytes / 1e6).toFixed(0)} MB ` +
    `through 3 lasting connections; descriptors before ${before}, after ${after}; exit status ${status}`,
);
for (const failure of failures) console.log(`FAILED: ${failure}`);
process.exit(failures.length === 0 && after <= before && status === 0 ? 0 : 1);
