// Sockets of a service manager: any environment variables and descriptors are accepted or refused with one message.

import assert from "node:assert/strict";
import { closeSync, fstatSync, openSync, statSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import fc from "fast-check";
import { addon } from "#dist/native/native.js";
import { type Handed, InheritedSockets, type Passed, readHanded } from "#dist/net/inherited-sockets.js";
import { ListeningSocket } from "#dist/net/listening-socket.js";
import { freePort } from "../../support/addresses.js";
import { afterwards, limits, temporaryFolder } from "../../support/cleanup.js";
import { throwsSpipedError } from "../support/errors.js";

const given: Handed = { listenPid: "7", listenFds: "2", listenFdnames: "a:b", processId: 7, first: 3 };

const options = { ...limits, skip: process.platform === "win32" ? "needs descriptors" : false };

function whyOf(changes: Partial<Handed>): string {
  const passed = readHanded({ ...given, ...changes });
  return passed.kind === "nothing" ? passed.why : assert.fail(JSON.stringify(passed));
}

test("the environment variables name the descriptors", () => {
  assert.deepEqual(readHanded(given), { kind: "sockets", first: 3, names: ["a", "b"] });
  assert.deepEqual(readHanded({ ...given, listenFdnames: undefined }), {
    kind: "sockets",
    first: 3,
    names: ["unknown", "unknown"],
  });
});

test("invalid environment variables are refused with a reason", () => {
  assert.equal(whyOf({ listenFds: undefined }), "no sockets were handed over");
  assert.equal(whyOf({ listenPid: undefined }), "no sockets were handed over");
  assert.equal(whyOf({ listenFds: "0" }), "no sockets were handed over");
  assert.equal(whyOf({ listenPid: "8" }), "the sockets are for process 8, but this is process 7");
  for (const listenPid of ["", "7 ", "-7", "0x7", "7.0", "seven", "77777777777"])
    assert.equal(whyOf({ listenPid }), `LISTEN_PID is not a number: ${JSON.stringify(listenPid)}`);
  for (const listenFds of ["", " 2", "-2", "+2", "1e1", "two", "1025", "9999999999", "99999999999"])
    assert.equal(whyOf({ listenFds }), `LISTEN_FDS is not a number of sockets: ${JSON.stringify(listenFds)}`);
  assert.equal(whyOf({ listenFdnames: "a:b:c" }), "LISTEN_FDNAMES has 3 names for 2 sockets");
  assert.equal(whyOf({ listenFdnames: "" }), "LISTEN_FDNAMES has 1 names for 2 sockets");
});

test("any values of the environment variables are handled", () => {
  const text = fc.option(fc.oneof(fc.string(), fc.constantFrom("7", "1", "2", "3", "a:b", ":")), { nil: undefined });
  fc.assert(
    fc.property(text, text, text, fc.string(), (listenPid, listenFds, listenFdnames, name) => {
      const passed = readHanded({ ...given, listenPid, listenFds, listenFdnames, first: 1_000_000 });
      if (passed.kind === "sockets") assert.equal(passed.names.length, Number(listenFds));
      const sockets = new InheritedSockets(passed);
      throwsSpipedError(() => sockets.take({ kind: "systemd", name }), "SPIPED_LISTEN", /^cannot listen on systemd:/);
      sockets.close();
    }),
  );
});

/** A descriptor that is closed at the end, if it is still open. */
function held(t: TestContext, descriptor: number): number {
  afterwards(t, () => {
    try {
      closeSync(descriptor);
    } catch {
      // It is closed already.
    }
  });
  return descriptor;
}

function passing(first: number, ...names: string[]): Passed {
  return { kind: "sockets", first, names };
}

function refuses(sockets: InheritedSockets, name: string, pattern: RegExp): void {
  throwsSpipedError(() => sockets.take({ kind: "systemd", name }), "SPIPED_LISTEN", pattern);
}

test("a socket is taken by its name, by its unit's name, or as the only one", options, async (t) => {
  const port = await freePort("127.0.0.1");
  const descriptor = held(t, addon.listenTcp("127.0.0.1", port, 16));
  for (const name of ["web", "web.socket", ""]) {
    const sockets = new InheritedSockets(passing(descriptor, "web.socket"));
    const taken = sockets.take({ kind: "systemd", name });
    assert.deepEqual(taken.address, { kind: "tcp", family: 4, address: "127.0.0.1", port });
    assert.notEqual(taken.descriptor, descriptor);
    refuses(sockets, name, /another tunnel listens on it$/);
    taken.release();
    closeSync(taken.descriptor);
    closeSync(sockets.take({ kind: "systemd", name }).descriptor);
  }
});

test("two names are the same socket if they lead to one, and a name is the same as itself in any case", () => {
  const named = (name: string) => ({ kind: "systemd", name }) as const;
  const sockets = new InheritedSockets(passing(1_000_000, "web.socket", "other"));
  assert.equal(sockets.areSame(named("web"), named("web.socket")), true);
  assert.equal(sockets.areSame(named("web"), named("other")), false);
  assert.equal(sockets.areSame(named("web"), named("unknown")), false);
  assert.equal(sockets.areSame(named("unknown"), named("unknown")), true);
});

test("the options of a socket that others share are left alone", options, async (t) => {
  const descriptor = held(t, addon.listenTcp("127.0.0.1", await freePort("127.0.0.1"), 16));
  const sockets = new InheritedSockets(passing(descriptor, "web"));
  const listening = ListeningSocket.inherit(sockets.take({ kind: "systemd", name: "web" }));
  const changed = t.mock.method(addon, "setResetOnClose");
  listening.attach({ accepted: () => undefined, failed: (error) => assert.fail(error) }, true);
  assert.equal(changed.mock.callCount(), 0);
  listening.close();
  sockets.close();
});

test("for an unknown or ambiguous name, the error lists the names that exist", options, async (t) => {
  const descriptor = held(t, addon.listenTcp("127.0.0.1", await freePort("127.0.0.1"), 16));
  const sockets = new InheritedSockets(passing(descriptor, "a", "b\u001b", "a"));
  refuses(sockets, "c", /^cannot listen on systemd:c: no socket has this name; the names are "a", "b\\u001b"$/);
  refuses(sockets, "a", /: 2 sockets have this name$/);
  refuses(sockets, "", /: there are 3: "a", "b\\u001b"$/);
});

test("a descriptor that does not listen for connections is refused, with what it is", options, async (t) => {
  const folder = await temporaryFolder(t);
  const file = held(t, openSync(join(folder, "file"), "w"));
  refuses(new InheritedSockets(passing(file, "x")), "x", /is closed or not a socket$/);
  refuses(new InheritedSockets(passing(1_000_000, "x")), "x", /descriptor 1000000 is closed or not a socket$/);

  const listening = held(t, addon.listenTcp("127.0.0.1", await freePort("127.0.0.1"), 16));
  const { port } = addon.localAddress(listening) ?? assert.fail("it has an address");
  const socket = connect(port, "127.0.0.1");
  afterwards(t, () => socket.destroy());
  await new Promise((resolve) => socket.once("connect", resolve));
  const { fd } = Reflect.get(socket, "_handle") as { fd: number };
  refuses(new InheritedSockets(passing(fd, "x")), "x", /is not listening; Accept=yes only works for programs/);

  const { createSocket } = await import("node:dgram");
  const datagrams = createSocket("udp4");
  afterwards(t, () => datagrams.close());
  await new Promise<void>((resolve) => datagrams.bind(0, "127.0.0.1", resolve));
  const symbol = Object.getOwnPropertySymbols(datagrams).find((one) => String(one) === "Symbol(state symbol)");
  const { handle } = Reflect.get(datagrams, symbol ?? assert.fail("it has a state")) as { handle: { fd: number } };
  refuses(
    new InheritedSockets(passing(handle.fd, "x")),
    "x",
    /does not accept connections: it must be a stream socket/,
  );
});

test("a wrong number does not give access to a socket that was opened later", options, async (t) => {
  const number = held(t, openSync("/dev/null", "r"));
  closeSync(number);
  const sockets = new InheritedSockets(passing(number, "x"));
  const own = addon.listenTcp("127.0.0.1", await freePort("127.0.0.1"), 16);
  held(t, own);
  assert.equal(own, number, "the lowest free number is taken");
  refuses(sockets, "x", /is closed or not a socket$/);
  sockets.close();
  assert.ok(fstatSync(own).isSocket());
});

test("closing leaves a UNIX socket, its file, permissions and backlog alone", options, async (t) => {
  const path = join(await temporaryFolder(t), "s");
  const file = new addon.SocketFile(Buffer.from(path));
  const manager = held(t, file.listen(16, 0o640));
  const handed = held(t, addon.duplicate(manager));
  const sockets = new InheritedSockets(passing(handed, "s"));
  const taken = sockets.take({ kind: "systemd", name: "s" });
  const listening = ListeningSocket.inherit(taken);
  assert.deepEqual(listening.address, { kind: "unix", path });
  listening.close();
  sockets.close();
  refuses(sockets, "s", /the sockets have been returned to the service manager$/);
  assert.throws(() => fstatSync(handed), { code: "EBADF" });
  assert.equal(statSync(path).mode & 0o777, 0o640);
  const client = connect(path);
  afterwards(t, () => client.destroy());
  await new Promise((resolve, reject) => {
    client.once("connect", resolve);
    client.once("error", reject);
  });
});
