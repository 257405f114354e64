// Accepting in the addon: what happens when it fails.

import assert from "node:assert/strict";
import { test } from "node:test";
import type { SpipedError } from "#dist/errors.js";
import { AddonListener } from "#dist/net/addon-listener.js";
import type { AddonClient, AddonSockets, SocketEvents } from "#dist/net/addon-sockets.js";

/** A listener on a system whose clients and failures the test decides. */
function listening(clientsPerTurn = 4) {
  const waiting: Array<AddonClient | Error> = [];
  const accepted: number[] = [];
  const failures: SpipedError[] = [];
  const state = { rearmed: 0, closed: 0, attempts: 0 };
  let events: SocketEvents = {};
  const sockets = {
    listen: (_descriptor: number, _options: unknown, given: SocketEvents) => {
      events = given;
      return 7;
    },
    accept: () => {
      state.attempts += 1;
      const next = waiting.shift();
      if (next instanceof Error) throw next;
      return next;
    },
    rearm: () => {
      state.rearmed += 1;
    },
    close: () => {
      state.closed += 1;
    },
  };
  const listener = new AddonListener(
    3,
    {
      sockets: sockets as unknown as AddonSockets,
      options: { keepAlive: true, resetOnDeath: false },
      shared: false,
    },
    {
      clientsPerTurn: () => clientsPerTurn,
      accepted: ({ id }) => accepted.push(id),
      failed: (error) => failures.push(error),
    },
  );
  return { listener, waiting, accepted, failures, state, acceptable: () => events.acceptable?.() };
}

const client = (id: number): AddonClient => ({ id, peer: `[192.0.2.1]:${id}` });
const noDescriptors = () => Object.assign(new Error("EMFILE"), { code: "EMFILE" });

test("after a failure, it accepts again a second later, and new clients cause no other attempt", (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const { listener, waiting, accepted, failures, state, acceptable } = listening();
  listener.accept();
  waiting.push(client(1), noDescriptors(), client(2));
  acceptable();
  assert.deepEqual(
    [accepted, failures.map(({ code }) => code), failures.map(({ message }) => message.slice(0, 26))],
    [[1], ["SPIPED_LISTEN"], ["cannot accept a connection"]],
  );
  acceptable();
  t.mock.timers.tick(999);
  assert.equal(state.attempts, 2);
  t.mock.timers.tick(1);
  assert.deepEqual([accepted, failures.length], [[1, 2], 1]);
  waiting.push(client(3));
  acceptable();
  assert.deepEqual(accepted, [1, 2, 3]);
});

test("a listener that is paused or closed while a retry is pending accepts nobody", (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  for (const stop of ["pause", "close"] as const) {
    const { listener, waiting, accepted, state, acceptable } = listening();
    listener.accept();
    waiting.push(noDescriptors(), client(1));
    acceptable();
    listener[stop]();
    t.mock.timers.tick(1_000);
    assert.deepEqual([accepted, state.attempts], [[], 1]);
    listener.accept();
    assert.equal(state.rearmed, stop === "pause" ? 2 : 1);
    acceptable();
    assert.deepEqual(accepted, stop === "pause" ? [1] : []);
    listener.close();
    listener.close();
    assert.equal(state.closed, 1, "it is closed once");
  }
});

test("it yields to the event loop after as many clients as its owner says, but accepts at least one", () => {
  for (const [clientsPerTurn, count] of [
    [2, 2],
    [0, 1],
  ] as const) {
    const { listener, waiting, accepted, state, acceptable } = listening(clientsPerTurn);
    listener.accept();
    waiting.push(client(1), client(2), client(3));
    acceptable();
    assert.deepEqual([accepted.length, state.rearmed], [count, 2]);
  }
});
