// The library's servers, tunnels and streams in every order of starting, taking, ending and failing.

import assert from "node:assert/strict";
import { getEventListeners, once } from "node:events";
import net from "node:net";
import { type TestContext, test } from "node:test";
import {
  connect,
  createKey,
  createServer,
  createTunnel,
  generateKey,
  SpipedError,
  type SpipedServer,
  type SpipedTunnel,
  type TunnelOptions,
  type TunnelStream,
} from "#dist/index.js";
import { addon, type LookedUp } from "#dist/native/native.js";
import { freeAddress, textOf } from "../support/addresses.js";
import { afterwards, limits, until, within } from "../support/cleanup.js";
import { Command } from "../support/command.js";
import { deafAddress } from "../support/deaf-listener.js";
import { Listener } from "../support/listener.js";
import { root } from "../support/programs.js";

const key = createKey(generateKey());
const free = "[127.0.0.1]:0";
/** A name that is looked up for as long as the test wants. */
const slow = "slow.example:80";

interface Options {
  readonly signal?: AbortSignal;
}

function newServer(t: TestContext, options: Options = {}): { server: SpipedServer; events: string[] } {
  const server = createServer({ key, timeoutMs: 60_000, ...options });
  const events: string[] = [];
  for (const name of ["listening", "close"] as const) server.on(name, () => events.push(name));
  afterwards(t, () => server.destroy());
  return { server, events };
}

/** A client of a server; what becomes of it is nobody's business. */
async function newClient(t: TestContext, server: SpipedServer): Promise<TunnelStream> {
  const stream = connect({ target: server.address ?? "", key, timeoutMs: 60_000, allowHalfOpen: true });
  stream.on("error", () => undefined);
  afterwards(t, () => stream.destroy());
  await once(stream, "connect");
  return stream;
}

/** Lets no look-up come to an end before that of the test. */
function hangLookUps(t: TestContext): void {
  const hung: Array<(found: LookedUp) => void> = [];
  t.mock.method(addon, "resolve", (_host: string, _service: string, done: (found: LookedUp) => void) => {
    hung.push(done);
  });
  afterwards(t, () => {
    for (const done of hung) done({ addresses: [], failure: "the test is over" });
  });
}

/** What a stream has to say until its end. Its iterators would destroy it then. */
async function readAll(stream: TunnelStream): Promise<string> {
  let all = "";
  stream.on("data", (piece) => {
    all += piece;
  });
  await once(stream, "end");
  return all;
}

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
      hangLookUps(t);
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

  test(
    `${how} when the look-up has just ended, or any number of turns later, leaves nothing behind`,
    limits,
    async (t) => {
      for (let turns = 0; turns < 12; turns += 1) {
        const { server, events } = newServer(t);
        const address = textOf(await freeAddress(t, "tcp"));
        const outcome = server.listen(address).then(
          () => "listened",
          ({ code }: SpipedError) => code,
        );
        for (let turn = 0; turn < turns; turn += 1) await Promise.resolve();
        await within(server[how](), "the end of the server");
        assert.match(await outcome, /^(listened|SPIPED_CANCELLED)$/);
        assert.equal(server.address, undefined);
        assert.equal(events.at(-1), "close");
        await refuses(address);
      }
    },
  );

  test(
    `${how} of a server that never listened, or is closed, resolves, and close is emitted once`,
    limits,
    async (t) => {
      const { server, events } = newServer(t);
      await server[how]();
      await server[how]();
      assert.deepEqual(events, ["close"]);
      await server.listen(free);
      await Promise.all([server[how](), server[how]()]);
      assert.deepEqual(events, ["close", "listening", "close"]);
    },
  );
}

test("a server listens once at a time, whether it begins to, does, or closes", limits, async (t) => {
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

test("a server listens after a listen that failed, and a loop that began before goes on", limits, async (t) => {
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

test("listen waits no longer for a name than the time limit", limits, async (t) => {
  hangLookUps(t);
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

test("a signal's reason that is no error is the cause of one", limits, async () => {
  const signal = AbortSignal.abort("a word");
  for (const begun of [createServer({ key, signal }).listen(free), startTunnel({ signal })]) {
    await assert.rejects(begun, { code: "SPIPED_CANCELLED", cause: "a word" });
  }
  const [error] = await once(connect({ key, target: "[127.0.0.1]:9", signal }), "error");
  assert.deepEqual([error.code, error.cause], ["SPIPED_CANCELLED", "a word"]);
});

test(
  "iterating a server that is closed ends at once, and so does a loop that waits when it closes",
  limits,
  async (t) => {
    const { server } = newServer(t);
    const early = server[Symbol.asyncIterator]().next();
    await server.listen(free);
    const late = server[Symbol.asyncIterator]().next();
    await server.close();
    for await (const _stream of server) assert.fail("a stream");
    assert.deepEqual([(await early).done, (await late).done], [true, true]);
  },
);

test("a loop that is busy while the server closes and listens again is over", limits, async (t) => {
  const { server } = newServer(t);
  await server.listen(free);
  await newClient(t, server);
  for await (const _stream of server) {
    await server.destroy();
    await server.listen(free);
    await newClient(t, server);
  }
  assert.equal(server.connections, 1);
});

test("a peer that resets while its stream waits for a loop is gone, and the process goes on", limits, async (t) => {
  const { server } = newServer(t);
  await server.listen(free);
  const gone = await newClient(t, server);
  const ended = once(server, "ended");
  gone.destroy(new Error("reset"));
  assert.equal((await ended)[0].reason, "reset");
  (await newClient(t, server)).end("hello");
  for await (const stream of server) {
    assert.equal((await stream.toArray()).join(""), "hello");
    break;
  }
});

test("streams wait for the first loop, and for the next when one is left by break or throw", limits, async (t) => {
  const { server } = newServer(t);
  await server.listen(free);
  for (const word of ["one", "two", "three"]) {
    (await newClient(t, server)).end(word);
    await until(() => (server.connections > 0 ? true : undefined), "a connection");
  }
  const words: string[] = [];
  const take = async (stream: TunnelStream) => {
    words.push(await readAll(stream));
    stream.end();
  };
  for await (const stream of server) {
    await take(stream);
    break;
  }
  await assert.rejects(
    (async () => {
      for await (const stream of server) {
        await take(stream);
        throw new Error("out of the loop");
      }
    })(),
    /out of the loop/,
  );
  for await (const stream of server) {
    await take(stream);
    break;
  }
  assert.deepEqual(words, ["one", "two", "three"]);
});

test("close resets streams that no loop takes, and is not held up by them", limits, async (t) => {
  const { server } = newServer(t);
  await server.listen(free);
  const clients = [await newClient(t, server), await newClient(t, server)];
  const ended = clients.map((client) => new Promise<void>((resolve) => client.once("close", resolve)));
  await until(() => (server.connections === 2 ? true : undefined), "both connections");
  await within(server.close(), "the end of the server");
  for (const client of clients) client.resume().write("anybody there?");
  await Promise.all(ended);
  for (const client of clients) assert.equal(client.report?.reason, "reset");
});

test(
  "a loop still gets the streams that wait when the server closes, and leaving it resets the rest",
  limits,
  async (t) => {
    const { server } = newServer(t);
    await server.listen(free);
    for (const word of ["one", "two", "three"]) (await newClient(t, server)).end(word);
    const words: string[] = [];
    let closed: Promise<void> | undefined;
    for await (const stream of server) {
      await until(() => (server.connections === 3 - words.length ? true : undefined), "the connections");
      closed ??= server.close();
      words.push(await readAll(stream));
      stream.end();
      await once(stream, "close");
      if (words.length === 2) break;
    }
    await within(closed ?? assert.fail(), "the end of the server");
    assert.deepEqual(words, ["one", "two"]);
  },
);

test("two loops share the streams, each to one of them", limits, async (t) => {
  const { server } = newServer(t);
  await server.listen(free);
  const seen: TunnelStream[] = [];
  const loop = async (): Promise<number> => {
    let count = 0;
    for await (const stream of server) {
      seen.push(stream);
      count += 1;
    }
    return count;
  };
  const loops = Promise.all([loop(), loop()]);
  for (let client = 0; client < 4; client += 1) await newClient(t, server);
  await until(() => (seen.length === 4 ? true : undefined), "all streams");
  await server.destroy();
  const [one = 0, two = 0] = await loops;
  assert.deepEqual([one + two, new Set(seen).size], [4, 4]);
});

test("a listener and a loop both get a stream; after the loop it is the listener's alone", limits, async (t) => {
  const { server } = newServer(t);
  const heard: TunnelStream[] = [];
  server.on("connection", (stream) => heard.push(stream.on("error", () => undefined)));
  await server.listen(free);
  await newClient(t, server);
  await until(() => (heard.length === 1 ? true : undefined), "the first stream");
  // Nobody loops yet, so the first is none that a loop gets.
  const loop = server[Symbol.asyncIterator]();
  const next = loop.next();
  await newClient(t, server);
  assert.equal((await next).value, heard[1]);
  await newClient(t, server);
  await until(() => (heard.length === 3 ? true : undefined), "the third stream");
  await loop.return?.();
  assert.equal(heard[2]?.destroyed, false);
  assert.equal((await loop.next()).done, true);
});

test("return ends a call of next that waits", limits, async (t) => {
  const { server } = newServer(t);
  const loop = server[Symbol.asyncIterator]();
  const waiting = loop.next();
  await within(Promise.resolve(loop.return?.()), "return");
  assert.equal((await within(waiting, "next")).done, true);
});

test("destroy ends streams that have no listener for errors, and those that have one hear of it", limits, async (t) => {
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
  test(`a listener of ${event} that throws is an uncaught error, and everything goes on`, limits, async (t) => {
    // In a process of its own, since the test's runner takes what is uncaught for a failure.
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
    const words = ["--input-type=module", "--eval", program, event] as const;
    const options = { stdin: "ignore", cwd: root } as const;
    const { stdout, stderr } = await Command.run(t, [process.execPath, ...words], options);
    const [text, reason, uncaught] = JSON.parse(stdout || `["${stderr}"]`);
    assert.deepEqual([text, reason, uncaught], [event === "data" ? "" : "there and back", "closed", [event]]);
  });
}

/** A tunnel to nowhere. */
function startTunnel(options: Partial<TunnelOptions> = {}): Promise<SpipedTunnel> {
  return createTunnel({ key, role: "encrypt", source: free, target: "[127.0.0.1]:9", ...options });
}

test("a signal that is aborted before, during or after createTunnel ends it with its reason", limits, async (t) => {
  hangLookUps(t);
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

test("createTunnel waits no longer for a name than the time limit", limits, async (t) => {
  hangLookUps(t);
  for (const names of [{ source: slow }, { target: slow }, { bind: "slow.example" }]) {
    assert.equal(await codeOf(startTunnel({ timeoutMs: 1, ...names })), "SPIPED_TIMEOUT");
  }
});

test("a tunnel can be closed and destroyed in any order, and says close once", limits, async () => {
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

for (const phase of ["while its name is looked up", "while it is dialled", "during the handshake", "when open"]) {
  for (const error of [undefined, new Error("no more")]) {
    const how = error === undefined ? "destroy()" : "destroy(error)";
    test(`${how} of a stream ${phase} ends it once, with a report`, limits, async (t) => {
      const stream = await streamIn(t, phase);
      const errors: Error[] = [];
      stream.on("error", (thrown: Error) => errors.push(thrown));
      const closed = new Promise<void>((resolve) => stream.once("close", resolve));
      stream.destroy(error);
      stream.destroy(new Error("twice"));
      await within(closed, "close");
      assert.deepEqual(errors, error === undefined ? [] : [error]);
      const orderly = phase === "when open" && error === undefined;
      if (orderly) await until(() => (stream.report === undefined ? undefined : true), "the report");
      assert.equal(stream.report?.reason, orderly ? "closed" : "cancelled");
      assert.equal(stream.readyState, "closed");
      stream.setTimeout(1, () => assert.fail("a timeout of a stream that is over"));
      assert.equal(stream.timeout, undefined);
    });
  }
}

/** A stream that has come so far and no further. */
async function streamIn(t: TestContext, phase: string): Promise<TunnelStream> {
  const start = (target: string) => {
    const stream = connect({ key, target, timeoutMs: 60_000 });
    afterwards(t, () => stream.destroy());
    return stream;
  };
  switch (phase) {
    case "while its name is looked up":
      hangLookUps(t);
      return start(slow);
    case "while it is dialled":
      return start(textOf(await deafAddress(t)));
    case "during the handshake": {
      const listener = await Listener.listen(t, "tcp");
      const stream = start(textOf(listener.address));
      await listener.next();
      return stream;
    }
    default: {
      const { server } = newServer(t);
      server.on("connection", (stream) =>
        stream
          .on("error", () => undefined)
          .resume()
          .once("end", () => stream.end()),
      );
      await server.listen(free);
      const stream = start(server.address ?? "");
      await once(stream, "connect");
      return stream;
    }
  }
}

for (const [phase, message] of [
  ["while its name is looked up", /^looking slow\.example:80 up took longer than 0\.0\d+ s$/],
  ["while it is dialled", /^no answer from \S+ within 0\.0\d+ s$/],
] as const) {
  test(`one time limit ends connect ${phase}`, limits, async (t) => {
    let target = slow;
    if (phase === "while it is dialled") target = textOf(await deafAddress(t));
    hangLookUps(t);
    const stream = connect({ key, target, timeoutMs: 50 });
    const [error] = await within(once(stream, "error"), "the error");
    assert.equal(error.code, "SPIPED_TIMEOUT");
    assert.match(error.message, message);
    assert.equal(stream.report?.reason, "timed-out");
  });
}

test("connect's time limit is one for all: the handshake has what the look-up has left of it", limits, async (t) => {
  const listener = await Listener.listen(t, "tcp");
  assert.ok(listener.address.kind === "tcp");
  const { port } = listener.address;
  let now = 0;
  t.mock.method(performance, "now", () => now);
  t.mock.timers.enable({ apis: ["setTimeout"] });
  let answer: (() => void) | undefined;
  t.mock.method(addon, "resolve", (_host: string, _service: string, done: (found: LookedUp) => void) => {
    answer = () => done({ addresses: [{ family: 4, address: "127.0.0.1", port }] });
  });
  const stream = connect({ key, target: slow, timeoutMs: 60_000 });
  const errors: SpipedError[] = [];
  stream.on("error", (error: SpipedError) => errors.push(error));
  now = 59_000;
  answer?.();
  // The handshake has begun when its first bytes are here.
  await (await listener.next()).read(32);
  t.mock.timers.tick(999);
  assert.equal(stream.destroyed, false);
  t.mock.timers.tick(1);
  assert.equal(stream.destroyed, true);
  await new Promise((soon) => setImmediate(soon));
  const said = errors.map(({ code, message }) => [code, message]);
  assert.deepEqual(said, [["SPIPED_TIMEOUT", "the handshake with slow.example:80 was not over within 60 s"]]);
  assert.equal(stream.report?.reason, "timed-out");
});
