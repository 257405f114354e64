// The library's streams: what ends them in each phase, and their one timeout.

import assert from "node:assert/strict";
import { once } from "node:events";
import { type TestContext, test } from "node:test";
import { connect, type SpipedError, type TunnelStream } from "#dist/index.js";
import { addon, type LookupResult } from "#dist/native/native.js";
import { textOf } from "../support/addresses.js";
import { afterwards, limits, until, within } from "../support/cleanup.js";
import { deafAddress } from "../support/deaf-listener.js";
import { free, hangLookups, key, newServer, slow } from "../support/library.js";
import { Listener } from "../support/listener.js";

for (const phase of ["while its name is looked up", "while it is dialed", "during the handshake", "when open"]) {
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

/** A stream that stays in a phase. */
async function streamIn(t: TestContext, phase: string): Promise<TunnelStream> {
  const start = (target: string) => {
    const stream = connect({ key, target, timeoutMs: 60_000 });
    afterwards(t, () => stream.destroy());
    return stream;
  };
  switch (phase) {
    case "while its name is looked up":
      hangLookups(t);
      return start(slow);
    case "while it is dialed":
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
  ["while its name is looked up", /^lookup of slow\.example:80 timed out after 0\.0\d+ s$/],
  ["while it is dialed", /^no answer from \S+ within 0\.0\d+ s$/],
] as const) {
  test(`the timeout ends connect ${phase}`, limits, async (t) => {
    let target = slow;
    if (phase === "while it is dialed") target = textOf(await deafAddress(t));
    hangLookups(t);
    const stream = connect({ key, target, timeoutMs: 50 });
    const [error] = await within(once(stream, "error"), "the error");
    assert.equal(error.code, "SPIPED_TIMEOUT");
    assert.match(error.message, message);
    assert.equal(stream.report?.reason, "timed-out");
  });
}

test("connect has one timeout: the handshake gets the time that the lookup has left", limits, async (t) => {
  const listener = await Listener.listen(t, "tcp");
  assert.ok(listener.address.kind === "tcp");
  const { port } = listener.address;
  let now = 0;
  t.mock.method(performance, "now", () => now);
  t.mock.timers.enable({ apis: ["setTimeout"] });
  let answer: (() => void) | undefined;
  t.mock.method(addon, "resolve", (_host: string, _service: string, done: (found: LookupResult) => void) => {
    answer = () => done({ addresses: [{ family: 4, address: "127.0.0.1", port }] });
  });
  const stream = connect({ key, target: slow, timeoutMs: 60_000 });
  const errors: SpipedError[] = [];
  stream.on("error", (error: SpipedError) => errors.push(error));
  now = 59_000;
  answer?.();
  // The handshake has begun when its first bytes arrive.
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
