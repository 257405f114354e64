// The library's servers and tunnels in every order of starting and ending, and listeners that throw.

import assert from "node:assert/strict";
import { getEventListeners, once } from "node:events";
import net from "node:net";
import { type TestContext, test } from "node:test";
import { Worker } from "node:worker_threads";
import {
  connect,
  createServer,
  createTunnel,
  SpipedError,
  type SpipedServer,
  type SpipedTunnel,
  type TunnelOptions,
  type TunnelStream,
} from "#dist/index.js";
import { freeAddress, textOf } from "../support/addresses.js";
import { afterwards, limits, until, within } from "../support/cleanup.js";
import { Command } from "../support/command.js";
import { free, hangLookups, key, newClient, newServer, slow } from "../support/library.js";
import { Listener } from "../support/listener.js";
import { root } from "../support/programs.js";

async function codeOf(promise: Promise<unknown>): Promise<string> {
  const error = await within(
    promise.then(
      () => assert.fail("it resolved"),
      (thrown: unknown) => thrown,
    ),
    "a rejection",
  );
  assert.ok(error instanceof SpipedError, String(error));
  return error.code;
}

async function refuses(address: string): Promise<void> {
  const [, host = "", port = ""] = /^\[(.*)\]:(\d+)$/.exec(address) ?? [];
  const socket = net.connect(Number(port), host);
  const [error] = await once(socket, "error");
  assert.equal(error.code, "ECONNREFUSED");
}

for (const how of ["close", "destroy"] as const) {
  for (const [where, source] of [
    ["at an address", async (t: TestContext) => textOf(await freeAddress(t, "tcp"))],
    ["while its name is looked up", async () => slow],
  ] as const) {
    test(`${how} during listen ${where} wins: listen fails, and nothing listens`, limits, async (t) => {
      hangLookups(t);
      const { server, events } = newServer(t);
      const address = await source(t);
      const listening = codeOf(server.listen(address));
      await within(server[how](), "the end of the server");
      assert.equal(await listening, "SPIPED_CANCELLED");
      assert.deepEqual([server.address, server.connections, events], [undefined, 0, ["close"]]);
      if (address !== slow) await refuses(address);
      await server.listen(free);
      assert.deepEqual(events, ["close", "listening"]);
    });
  }

  test(`${how} right after the lookup, or any number of microtasks later, leaves nothing behind`, limits, async (t) => {
    for (let turns = 0; turns < 12; turns += 1) {
      const { server, events } = newServer(t);
      const address = textOf(await freeAddress(t, "tcp"));
      const outcome = server.listen(address).then(
        () => "listened",
        ({ code }: SpipedError) => code,
      );
      for (let turn = 0; turn < turns; turn += 1) await Promise.resolve();
      await within(server[how](), "the end of the server");
      // The number of turns of a lookup is up to Node; both outcomes must leave nothing behind.
      assert.match(await outcome, /^(listened|SPIPED_CANCELLED)$/);
      assert.equal(server.address, undefined);
      assert.equal(events.at(-1), "close");
      await refuses(address);
    }
  });

  test(`${how} of a server that never listened or is closed resolves, and emits close once`, limits, async (t) => {
    const { server, events } = newServer(t);
    await server[how]();
    await server[how]();
    assert.deepEqual(events, ["close"]);
    await server.listen(free);
    await Promise.all([server[how](), server[how]()]);
    assert.deepEqual(events, ["close", "listening", "close"]);
  });
}

test("listen on a server that is starting, listening or closing is refused", limits, async (t) => {
  const { server } = newServer(t);
  const first = server.listen(free);
  assert.equal(await codeOf(server.listen(free)), "SPIPED_LISTEN");
  await first;
  assert.equal(await codeOf(server.listen(free)), "SPIPED_LISTEN");
  const client = await newClient(t, server);
  const closed = server.close();
  assert.equal(await codeOf(server.listen(free)), "SPIPED_LISTEN");
  client.destroy();
  await closed;
  await server.listen(free);
  assert.ok(server.address);
});

test("a server can listen after a failed listen, and an earlier loop continues", limits, async (t) => {
  const { server, events } = newServer(t);
  const taken = textOf((await Listener.listen(t, "tcp")).address);
  const next = server[Symbol.asyncIterator]().next();
  for (const [source, code] of [
    [taken, "SPIPED_LISTEN"],
    ["nobody.invalid:80", "SPIPED_RESOLVE"],
    ["no port", "SPIPED_ADDRESS"],
  ] as const) {
    assert.equal(await codeOf(server.listen(source)), code);
    assert.equal(server.address, undefined);
  }
  await server.listen(free);
  await newClient(t, server);
  assert.equal((await next).done, false);
  assert.deepEqual(events, ["listening"]);
});

test("listen stops waiting for a lookup after the timeout", limits, async (t) => {
  hangLookups(t);
  const server = createServer({ key, timeoutMs: 1 });
  assert.equal(await codeOf(server.listen(slow)), "SPIPED_TIMEOUT");
});

test("a signal that is aborted before, during or after listen ends the server with its reason", limits, async (t) => {
  const reason = new Error("enough");
  for (const when of ["before createServer", "before", "during", "after"]) {
    const abort = new AbortController();
    if (when === "before createServer") abort.abort(reason);
    const { server, events } = newServer(t, { signal: abort.signal });
    const loop = server[Symbol.asyncIterator]().next();
    if (when === "before") abort.abort(reason);
    const listening = server.listen(free);
    if (when === "after") await listening;
    abort.abort(reason);
    if (when !== "after") await assert.rejects(listening, (error) => error === reason);
    assert.equal((await within(loop, "the end of the loop")).done, true);
    await server.close();
    assert.deepEqual(events, when === "after" ? ["listening", "close"] : ["close"]);
    assert.equal(getEventListeners(abort.signal, "abort").length, 0);
    await assert.rejects(server.listen(free), (error) => error === reason);
  }
});

test("a signal's reason that is not an error becomes the cause of one", limits, async () => {
  const signal = AbortSignal.abort("a word");
  for (const begun of [createServer({ key, signal }).listen(free), startTunnel({ signal })]) {
    await assert.rejects(begun, { code: "SPIPED_CANCELLED", cause: "a word" });
  }
  const [error] = await once(connect({ key, target: "[127.0.0.1]:9", signal }), "error");
  assert.deepEqual([error.code, error.cause], ["SPIPED_CANCELLED", "a word"]);
});

test("destroy ends streams without an error listener, and emits the error to those with one", limits, async (t) => {
  const { server } = newServer(t);
  const streams: TunnelStream[] = [];
  server.on("connection", (stream) => streams.push(stream));
  await server.listen(free);
  for (let client = 0; client < 2; client += 1) await newClient(t, server);
  await until(() => (streams.length === 2 ? true : undefined), "both streams");
  const errors: string[] = [];
  streams[0]?.on("error", (error: SpipedError) => errors.push(error.code));
  await server.destroy();
  await until(() => (streams.every(({ closed }) => closed) ? true : undefined), "the end of the streams");
  await new Promise((soon) => setImmediate(soon));
  assert.deepEqual(errors, ["SPIPED_CANCELLED"]);
});

test("await using destroys a server and a tunnel when the block is left", limits, async (t) => {
  let kept: SpipedServer;
  {
    await using server = createServer({ key }, (stream) => stream.resume());
    kept = await server.listen(free);
    await using tunnel = await createTunnel({ key, role: "encrypt", source: free, target: kept.address ?? "" });
    assert.match(tunnel.address, /:\d+$/);
    await newClient(t, server);
  }
  assert.deepEqual([kept.address, kept.connections], [undefined, 0]);
});

for (const event of ["connection", "ended", "listening", "close", "connect", "data"] as const) {
  test(`a listener of ${event} that throws is an uncaught exception, and everything continues`, limits, async (t) => {
    // In a separate process, because the test runner treats uncaught exceptions as failures.
    const program = `
      import { once } from "node:events";
      import { connect, createKey, createServer, generateKey } from "spiped";
      const event = process.argv[1];
      const uncaught = [];
      process.on("uncaughtException", (error) => uncaught.push(error.message));
      const wrong = () => { throw new Error(event); };
      const key = createKey(generateKey());
      const server = createServer({ key });
      server.on("connection", (stream) => stream.pipe(stream));
      if (!["connect", "data"].includes(event)) server.once(event, wrong);
      await server.listen("[127.0.0.1]:0");
      const ended = once(server, "ended");
      const stream = connect({ key, target: server.address });
      if (["connect", "data"].includes(event)) stream.once(event, wrong);
      stream.once("connect", () => stream.end("there and back"));
      if (event === "connect") stream.end("there and back");
      if (event === "data") stream.resume();
      const text = event === "data" ? "" : (await stream.toArray()).join("");
      if (!stream.closed) await once(stream, "close");
      if (event !== "ended") await ended;
      await server.close();
      await new Promise((soon) => setImmediate(soon));
      console.log(JSON.stringify([text, stream.report.reason, uncaught]));`;
    const args = ["--input-type=module", "--eval", program, event] as const;
    const options = { stdin: "ignore", cwd: root } as const;
    const { stdout, stderr } = await Command.run(t, [process.execPath, ...args], options);
    const [text, reason, uncaught] = JSON.parse(stdout || `["${stderr}"]`);
    assert.deepEqual([text, reason, uncaught], [event === "data" ? "" : "there and back", "closed", [event]]);
  });
}

/** A tunnel to an address where nothing listens. */
function startTunnel(options: Partial<TunnelOptions> = {}): Promise<SpipedTunnel> {
  return createTunnel({ key, role: "encrypt", source: free, target: "[127.0.0.1]:9", ...options });
}

test("a signal that is aborted before, during or after createTunnel ends it with its reason", limits, async (t) => {
  hangLookups(t);
  const reason = new Error("enough");
  for (const [when, target] of [
    ["before", slow],
    ["during", slow],
    ["during", "[127.0.0.1]:9"],
    ["after", "[127.0.0.1]:9"],
  ] as const) {
    const abort = new AbortController();
    if (when === "before") abort.abort(reason);
    const source = textOf(await freeAddress(t, "tcp"));
    const starting = startTunnel({ signal: abort.signal, source, target });
    if (when === "after") {
      const tunnel = await starting;
      const closed = once(tunnel, "close");
      abort.abort(reason);
      await within(closed, "the end of the tunnel");
    } else {
      abort.abort(reason);
      await within(
        assert.rejects(starting, (error) => error === reason),
        "the end of the start",
      );
    }
    await refuses(source);
    assert.equal(getEventListeners(abort.signal, "abort").length, 0);
  }
});

test("createTunnel stops waiting for a lookup after the timeout", limits, async (t) => {
  hangLookups(t);
  for (const names of [{ source: slow }, { target: slow }, { bind: "slow.example" }]) {
    assert.equal(await codeOf(startTunnel({ timeoutMs: 1, ...names })), "SPIPED_TIMEOUT");
  }
});

test("a tunnel can be closed and destroyed in any order, and emits close once", limits, async () => {
  for (const order of [
    ["close", "close"],
    ["close", "destroy"],
    ["destroy", "close"],
    ["destroy", "destroy"],
  ] as const) {
    const tunnel = await startTunnel();
    let closes = 0;
    tunnel.on("close", () => (closes += 1));
    await Promise.all(order.map((how) => tunnel[how]()));
    for (const how of order) await tunnel[how]();
    assert.equal(closes, 1);
  }
});

test("a terminated worker leaves no listening socket, and its clients are closed", limits, async (t) => {
  const index = new URL("../../../dist/index.js", import.meta.url).href;
  const program = `
    const { createKey, createTunnel, generateKey } = await import(${JSON.stringify(index)});
    const options = { source: "[127.0.0.1]:0", target: "[127.0.0.1]:1", key: createKey(generateKey()) };
    const tunnel = await createTunnel({ role: "decrypt", ...options });
    const { parentPort } = await import("node:worker_threads");
    parentPort.postMessage(tunnel.address);
  `;
  const worker = new Worker(new URL(`data:text/javascript,${encodeURIComponent(program)}`));
  afterwards(t, () => worker.terminate());
  const [address] = await once(worker, "message");
  const client = net.connect(Number(address.split(":").at(-1)), "127.0.0.1");
  afterwards(t, () => client.destroy());
  // Half of the handshake; the worker waits for the rest.
  await once(client, "data");
  const gone = once(
    client.on("error", () => undefined),
    "close",
  );
  await worker.terminate();
  await within(gone, "the end of the client's connection");
  await within(refuses(address), "a refusal");
});
