// npm start: a demonstration, from a new key to data that has arrived.
//
// Starts a receiver of Graphite metrics and both ends of a tunnel to it, and sends a million metrics. Leaves nothing behind.

import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const SPIPED = fileURLToPath(new URL("../bin/spiped.js", import.meta.url));
const LINES = 1_000_000;
const LINES_A_WRITE = 1_000;

const folder = mkdtempSync(join(tmpdir(), "spiped-demo-"));
const ends = [];
process.on("exit", leaveNothing);
for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => process.exit(1));

try {
  await demonstrate();
  process.exit();
} catch (error) {
  console.error(`npm start: ${error.message}`);
  process.exitCode = 1;
}

async function demonstrate() {
  const keyFile = join(folder, "keyfile");
  say("1. A key: 32 random bytes in a file that only its owner can read.");
  await ended(spawn(process.execPath, [SPIPED, "keygen", keyFile], { stdio: "inherit" }));

  say("2. A service without encryption: a receiver of Graphite metrics (path value time).");
  const received = createHash("sha256");
  const counts = { bytes: 0, lines: 0 };
  const receiver = createServer((socket) => {
    socket.on("data", (piece) => {
      received.update(piece);
      counts.bytes += piece.length;
      for (let at = piece.indexOf(10); at !== -1; at = piece.indexOf(10, at + 1)) counts.lines += 1;
    });
  }).listen(0, "127.0.0.1");
  await once(receiver, "listening");

  say("3. Both ends of the tunnel, with the same key.");
  const far = await startEnd("-d", receiver.address().port, keyFile);
  const near = await startEnd("-e", far, keyFile);

  say(`4. ${LINES.toLocaleString("en")} lines into the near end.`);
  const started = performance.now();
  const arrived = once(receiver, "connection").then(([socket]) => once(socket, "end"));
  const sent = await sendLines(near);
  await arrived;
  const seconds = (performance.now() - started) / 1_000;
  receiver.close();

  const digest = received.digest("hex");
  if (digest !== sent) throw new Error(`the data that arrived differs from what was sent: ${digest}, not ${sent}`);
  say(
    `5. ${counts.lines.toLocaleString("en")} lines arrived at the service, ${(counts.bytes / 1e6).toFixed(1)} MB in ` +
      `${seconds.toFixed(2)} s: ${Math.round(counts.lines / seconds).toLocaleString("en")} lines/s, ` +
      `${(counts.bytes / 1e6 / seconds).toFixed(0)} MB/s.`,
  );
  console.log(`   sent      sha256 ${sent}\n   received  sha256 ${digest}\n`);
  console.log(`On two machines you would type, with the same keyfile on both:

   far    spiped -d -s '[0.0.0.0]:2562' -t '[127.0.0.1]:2003' -k keyfile
   near   spiped -e -s '[127.0.0.1]:2003' -t 'far.example:2562' -k keyfile

and send metrics to 127.0.0.1:2003 on the near one. In this checkout, spiped is bin/spiped.js.`);
}

/** Starts one end. @returns The port that it logs that it listens on. */
async function startEnd(role, targetPort, keyFile) {
  const args = [role, "-F", "-s", "[127.0.0.1]:0", "-t", `[127.0.0.1]:${targetPort}`, "-k", keyFile];
  console.log(`   spiped ${args.join(" ").replace(keyFile, "keyfile")}`);
  const end = spawn(process.execPath, [SPIPED, ...args], { stdio: ["ignore", "ignore", "pipe"] });
  ends.push(end);
  for await (const line of createInterface({ input: end.stderr })) {
    console.log(`   | ${line}`);
    const port = line.match(/listening on \[127\.0\.0\.1\]:(\d+)/)?.[1];
    if (port !== undefined) return Number(port);
  }
  throw new Error("an end of the tunnel did not start");
}

/** Sends the metrics. @returns Their digest. */
async function sendLines(port) {
  const socket = connect(port, "127.0.0.1");
  await once(socket, "connect");
  const hash = createHash("sha256");
  for (let number = 0; number < LINES; number += LINES_A_WRITE) {
    let text = "";
    for (let one = number; one < number + LINES_A_WRITE; one += 1) {
      text += `servers.web${one % 16}.requests.count ${one} ${1_700_000_000 + Math.trunc(one / 100)}\n`;
    }
    hash.update(text);
    if (!socket.write(text)) await once(socket, "drain");
  }
  socket.end();
  return hash.digest("hex");
}

async function ended(child) {
  const [status] = await once(child, "exit");
  if (status !== 0) throw new Error("spiped keygen failed");
}

function say(text) {
  console.log(`\n${text}`);
}

function leaveNothing() {
  for (const end of ends) end.kill("SIGKILL");
  rmSync(folder, { recursive: true, force: true });
}
