// The library's streams used as a net.Socket: HTTP agents and servers, HTTP/2, timeouts, and a process that exits.

import assert from "node:assert/strict";
import { once } from "node:events";
import http from "node:http";
import http2 from "node:http2";
import { type TestContext, test } from "node:test";
import tls from "node:tls";
import { connect, createKey, createServer, generateKey, type TunnelStream } from "#dist/index.js";
import { makeCertificate } from "../support/certificate.js";
import { afterwards, limits, temporaryFolder } from "../support/cleanup.js";
import { Command } from "../support/command.js";
import { commandOnPath, ours, root } from "../support/programs.js";

const key = createKey(generateKey());
const lacksOpenssl = commandOnPath("openssl") === undefined && "needs openssl";

async function serve(t: TestContext, onConnection: (stream: TunnelStream) => void): Promise<() => TunnelStream> {
  const server = createServer({ key, timeoutMs: 60_000 }, (stream) => {
    stream.on("error", () => undefined);
    onConnection(stream);
  });
  afterwards(t, () => server.destroy());
  await server.listen("[127.0.0.1]:0");
  const target = server.address ?? assert.fail("it does not listen");
  return () => {
    const stream = connect({ target, key, timeoutMs: 60_000 });
    afterwards(t, () => stream.destroy());
    return stream;
  };
}

test("an HTTP agent keeps its streams alive, and an HTTP server accepts them as sockets", limits, async (t) => {
  const clients = new Set<string>();
  const web = http.createServer(async (request, response) => {
    clients.add(`${request.socket.remoteFamily} ${request.socket.remoteAddress} ${request.socket.remotePort}`);
    let length = 0;
    for await (const piece of request) length += piece.length;
    response.end(`${request.url} ${length}`);
  });
  const dial = await serve(t, (stream) => web.emit("connection", stream));
  const agent = new http.Agent({ keepAlive: true, maxSockets: 2, timeout: 60_000 });
  afterwards(t, () => agent.destroy());
  agent.createConnection = dial;
  const post = async (path: string, length: number) => {
    const request = http.request({ host: "x", method: "POST", path, agent, timeout: 60_000 });
    request.end(Buffer.alloc(length));
    const [response] = await once(request, "response");
    return (await response.toArray()).join("");
  };
  assert.equal(await post("/first", 3_000_000), "/first 3000000");
  assert.equal(await post("/again", 1), "/again 1");
  assert.equal(clients.size, 1);
  const paths = [...Array(10).keys()].map((number) => `/${number}`);
  assert.deepEqual(
    await Promise.all(paths.map((path) => post(path, 10))),
    paths.map((path) => `${path} 10`),
  );
  assert.equal(clients.size, 2);
  for (const client of clients) assert.match(client, /^IPv4 127\.0\.0\.1 \d+$/);
});

test("an HTTP/2 session works over a stream", limits, async (t) => {
  const web = http2.createServer((request, response) => response.end(`asked for ${request.url}`));
  const dial = await serve(t, (stream) => web.emit("connection", stream));
  const session = http2.connect("http://service.internal", { createConnection: dial });
  const answer = await session.request({ ":path": "/two" }).toArray();
  assert.equal(answer.join(""), "asked for /two");
  session.close();
  await once(session, "close");
});

test("TLS works over a stream, on both sides", { ...limits, skip: lacksOpenssl }, async (t) => {
  const secure = tls.createServer(await makeCertificate(t, await temporaryFolder(t)), (socket) => socket.pipe(socket));
  const dial = await serve(t, (stream) => secure.emit("connection", stream));
  const socket = tls.connect({ socket: dial(), rejectUnauthorized: false });
  const data = Buffer.alloc(1_000_000, "data");
  socket.end(data);
  assert.ok(Buffer.concat(await socket.toArray()).equals(data));
});

test("a stream reports its state, and counts its bytes", limits, async (t) => {
  const dial = await serve(t, (stream) => stream.end("hello").resume());
  const stream = dial();
  assert.deepEqual([stream.connecting, stream.pending, stream.readyState], [true, true, "opening"]);
  assert.equal(stream.remoteAddress, undefined);
  await once(stream, "ready");
  assert.deepEqual([stream.connecting, stream.remoteAddress, stream.remoteFamily], [false, "127.0.0.1", "IPv4"]);
  stream.write("four");
  assert.equal((await stream.toArray()).join(""), "hello");
  if (!stream.closed) await once(stream, "close");
  assert.deepEqual([stream.bytesRead, stream.bytesWritten, stream.readyState], [5, 4, "closed"]);
});

test("an idle stream emits timeout while a timeout is set", limits, async (t) => {
  const dial = await serve(t, (stream) => stream.resume());
  const stream = dial();
  await once(stream, "connect");
  let calls = 0;
  const listener = () => (calls += 1);
  stream.setTimeout(10, listener);
  assert.equal(stream.timeout, 10);
  await once(stream, "timeout");
  assert.deepEqual([calls, stream.destroyed], [1, false]);
  // Sending restarts the timer.
  stream.write("still there");
  await once(stream, "timeout");
  assert.equal(calls, 1);
  stream.setTimeout(0, listener);
  assert.deepEqual([stream.timeout, stream.listenerCount("timeout")], [undefined, 0]);
});

test("a stream ends with the other side, unless allowHalfOpen is set", limits, async (t) => {
  const received: Promise<string>[] = [];
  const server = createServer({ key }, (stream) => {
    stream.end("all there is");
    received.push(stream.toArray().then((pieces) => pieces.join("")));
  });
  server.on("connection", (stream) => stream.on("error", () => undefined));
  afterwards(t, () => server.destroy());
  const target = (await server.listen("[127.0.0.1]:0")).address ?? "";
  const closes = connect({ target, key });
  await closes.toArray();
  if (!closes.closed) await once(closes, "close");
  assert.equal(closes.report?.reason, "closed");
  const stays = connect({ target, key, allowHalfOpen: true });
  await once(stays.resume(), "end");
  assert.equal(stays.readyState, "writeOnly");
  stays.end("and an answer");
  assert.deepEqual(await Promise.all(received), ["", "and an answer"]);
});

test("a server can end its streams with their clients", limits, async (t) => {
  const server = createServer({ key, allowHalfOpen: false }, (stream) => stream.resume());
  afterwards(t, () => server.destroy());
  const target = (await server.listen("[127.0.0.1]:0")).address ?? "";
  const stream = connect({ target, key, allowHalfOpen: true });
  stream.end("that was all");
  assert.deepEqual(await stream.toArray(), []);
});

test("an unref'ed open stream does not keep the process running", limits, async (t) => {
  const keyFile = `${await temporaryFolder(t)}/keyfile`;
  assert.equal((await Command.run(t, [...ours.spiped, "keygen", keyFile])).status, 0);
  const { readKeyFile } = await import("#dist/index.js");
  const server = createServer({ key: await readKeyFile(keyFile) }, (stream) => stream.on("error", () => undefined));
  afterwards(t, () => server.destroy());
  await server.listen("[127.0.0.1]:0");
  const program = `
    import { connect, readKeyFile } from "spiped";
    const [target, keyFile] = process.argv.slice(1);
    const stream = connect({ target, key: await readKeyFile(keyFile) });
    stream.unref();
    stream.once("connect", () => console.log("connected"));
    process.once("exit", () => console.log(stream.readyState));`;
  const args = ["--input-type=module", "--eval", program, server.address ?? "", keyFile];
  const { status, stdout } = await Command.run(t, [process.execPath, ...args], { stdin: "ignore", cwd: root });
  assert.deepEqual([status, stdout], [0, "connected\nopen\n"]);
});
