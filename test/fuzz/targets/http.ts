// The status endpoint over a real socket: any bytes, split anywhere, get one right answer or the connection ends, and
// good clients are always answered.

import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, isIP, type Socket } from "node:net";
import { StatusServer } from "#dist/status/server.js";
import { get } from "../../support/status.js";
import { ManualClock } from "../../unit/support/manual-clock.js";
import { eventLoopTurns } from "../../unit/support/sink.js";
import { snapshotOf, tunnelSnapshot } from "../../unit/support/snapshots.js";
import { Choices, type Target } from "../target.js";

/** Open sockets are checked after this many inputs. */
const ROUND = 64;

interface Serving {
  readonly server: StatusServer;
  readonly clock: ManualClock;
  readonly failures: unknown[];
  readonly port: number;
}

let serving: Promise<Serving> | undefined;
let runs = 0;

async function serve(): Promise<Serving> {
  const clock = new ManualClock();
  const failures: unknown[] = [];
  const snapshot = () => snapshotOf([tunnelSnapshot()]);
  const server = StatusServer.listen({
    address: { kind: "tcp", family: 4, address: "127.0.0.1", port: 0 },
    answering: { source: { snapshot, states: snapshot }, page: { html: "<p>", contentSecurityPolicy: "x" } },
    failed: (error) => failures.push(error),
    clock,
  });
  await server.accept();
  assert.ok(server.address.kind === "tcp");
  return { server, clock, failures, port: server.address.port };
}

const paths = ["/", "/status", "/metrics", "/healthz"];

export const http: Target = {
  name: "http",
  words: [
    ...paths.map((path) => `\u0000GET ${path} HTTP/1.1\r\nHost: localhost\r\n\r\n`),
    "\u0001GET /healthz HTTP/1.0\r\n\r\n",
    ..."GET |HEAD |POST |CONNECT |OPTIONS * |DELETE |/?x|//|http://localhost|http://evil.example|https://| HTTP/1.1|\r\n|\r|\n".split(
      "|",
    ),
    ..."Host: localhost|Host: evil.example|Host: [::1]:80|Host:|Content-Length: 5|Content-Length: -1|Connection: keep-alive".split(
      "|",
    ),
    ..."Transfer-Encoding: chunked|5\r\nhello\r\n0\r\n\r\n|Expect: 100-continue|Expect: x|Upgrade: websocket|Connection: upgrade".split(
      "|",
    ),
    `X: ${"x".repeat(9_000)}\r\n`,
    "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "\u0016\u0003\u0001\u0000",
  ],
  async run(input) {
    serving ??= serve();
    const { clock, failures, port } = await serving;
    clock.pass(1_000);
    const choices = new Choices(input);
    const plan = choices.byte();
    const bytes = choices.rest();
    const good = runs % 8 === 0 ? get({ kind: "tcp", host: "127.0.0.1", port }, "/healthz") : undefined;
    const { received, isReset } = await ask(port, clock, bytes, plan);
    checkAnswer(received, bytes, isReset);
    if (good !== undefined) assert.deepEqual((await good).body, "ok\n");
    assert.deepEqual(failures, []);
    runs += 1;
    if (runs % ROUND === 0) await nothingStays(clock);
  },
  async close() {
    (await serving)?.server.close();
    serving = undefined;
  },
};

/** Sends bytes in pieces as planned, then ends or stays silent. */
async function ask(port: number, clock: ManualClock, bytes: Uint8Array, plan: number) {
  const socket = connect({ port, host: "127.0.0.1", allowHalfOpen: true });
  const parts: Buffer[] = [];
  let isReset = false;
  socket.on("data", (part: Buffer) => parts.push(part));
  socket.on("error", () => {
    isReset = true;
  });
  const ended = new Promise<void>((resolve) => socket.once("end", resolve).once("close", () => resolve()));
  await Promise.race([once(socket, "connect"), ended]);
  const pieceBytes = [bytes.length || 1, 1, 7, 1_000][plan & 3] ?? 1;
  // Only a few are sent byte by byte, since each takes a turn of the event loop.
  const pieces = Math.min(Math.ceil(bytes.length / pieceBytes), 200);
  for (let at = 0; at < pieces; at += 1) {
    const isLast = at === pieces - 1;
    socket.write(bytes.subarray(at * pieceBytes, isLast ? bytes.length : (at + 1) * pieceBytes), () => undefined);
    await eventLoopTurns(1);
  }
  if ((plan & 4) === 0) socket.end();
  else await silence(socket, clock, () => parts.length > 0);
  await ended;
  socket.destroy();
  return { received: Buffer.concat(parts).toString("latin1"), isReset };
}

/** Stays silent until the server closes the connection. */
async function silence(socket: Socket, clock: ManualClock, hasAnswer: () => boolean): Promise<void> {
  for (let turn = 0; turn < 200 && !hasAnswer() && !socket.readableEnded && !socket.destroyed; turn += 1)
    await eventLoopTurns(1);
  // An answer that has begun must be complete, unless the server has not handed all of it to the system.
  await eventLoopTurns(20);
  clock.pass(10_000);
}

const FIXED_BODIES = [
  "",
  "ask by address, or as localhost\n",
  "one Host at most\n",
  "only GET and HEAD\n",
  "there are /, /status, /metrics and /healthz\n",
];

function checkAnswer(received: string, sent: Uint8Array, isReset: boolean): void {
  const expected = expectedStatus(Buffer.from(sent).toString("latin1"));
  if (received === "") {
    assert.ok(expected === undefined || isReset, `no answer instead of ${expected}`);
    return;
  }
  const end = received.indexOf("\r\n\r\n");
  const head = received.slice(0, end);
  // Node.js's own answer to a request without Host has no body, only a last chunk.
  const isChunked = /^Transfer-Encoding: chunked$/im.test(head);
  const rest = received.slice(end + 4);
  const body = isChunked && rest === "0\r\n\r\n" ? "" : rest;
  const status = Number(/^HTTP\/1\.1 (\d{3}) [A-Za-z ]+\r\n/.exec(received)?.[1]);
  assert.ok(end > 0 && [200, 400, 404, 405, 408, 413, 421, 431].includes(status), received.slice(0, 200));
  assert.match(head, /^Connection: close$/im);
  if (expected !== undefined) assert.equal(status, expected);
  const length = /^Content-Length: (\d+)$/im.exec(head)?.[1];
  assert.ok(body === "" || body.length === Number(length) || isReset, `${body.length} bytes of ${length}`);
  assert.equal(body.split("HTTP/1.").length, 1, "one answer");
  if (status !== 200) assert.ok(FIXED_BODIES.includes(body), `nothing of the question: ${body}`);
}

/** The status of a plain request; undefined if it is not plain, or incomplete. */
function expectedStatus(text: string): number | undefined {
  const plain = /^(GET|HEAD|PUT|DELETE) ([!-~]+) HTTP\/1\.([01])\r\n((?:[A-Za-z]+: [!-~]+\r\n)*)\r\n/.exec(text);
  if (plain === null) return undefined;
  const [, method = "", target = "", minor = "", headers = ""] = plain;
  const lines = headers.split("\r\n").slice(0, -1);
  const [host, ...more] = lines.filter((line) => /^host:/i.test(line)).map((line) => line.slice(6));
  if (lines.length > (host === undefined ? 0 : 1) || more.length > 0) return undefined;
  if (host === undefined && minor === "1") return 400;
  const absolute = /^http:\/\/([^/?#]*)([^#]*)$/.exec(target);
  if (!target.startsWith("/") && absolute === null) return undefined;
  const authority = absolute?.[1] ?? host;
  if (authority !== undefined && !/^[A-Za-z0-9.:[\]-]+$/.test(authority)) return undefined;
  const name =
    authority
      ?.replace(/:\d*$/, "")
      .replace(/^\[(.*)\]$/, "$1")
      .toLowerCase() ?? "localhost";
  const isOwn = name === "localhost" || name === "localhost." || name.endsWith(".localhost") || isIP(name) !== 0;
  if (!isOwn) return name.endsWith(".localhost.") ? undefined : 421;
  if (method !== "GET" && method !== "HEAD") return 405;
  const path = (absolute?.[2] ?? target).replace(/\?.*$/, "") || "/";
  return paths.includes(path) ? 200 : 404;
}

async function nothingStays(clock: ManualClock): Promise<void> {
  clock.pass(10_000);
  await eventLoopTurns(10);
  const sockets = process.getActiveResourcesInfo().filter((name) => name === "TCPSocketWrap").length;
  assert.ok(sockets < 10, `${sockets} sockets are open`);
}
