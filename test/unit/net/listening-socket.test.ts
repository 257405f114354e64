// Listening sockets: accepting can pause and resume without losing clients; errors are clear.

import assert from "node:assert/strict";
import { once } from "node:events";
import {
  closeSync,
  existsSync,
  linkSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { Worker } from "node:worker_threads";
import { SpipedError } from "#dist/errors.js";
import { addon } from "#dist/native/native.js";
import type { Accepted } from "#dist/net/accepted.js";
import type { SocketAddress } from "#dist/net/address.js";
import { ListeningSocket } from "#dist/net/listening-socket.js";
import { freeAddress } from "../../support/addresses.js";
import { afterwards, limits, temporaryFolder } from "../../support/cleanup.js";
import { kindsHere } from "../../support/environment.js";
import { descriptorsOf } from "../../support/processes.js";
import { EndedEarly, TestSocket } from "../../support/test-socket.js";
import { sameBytes } from "../support/bytes.js";
import { Clients } from "../support/clients.js";
import { rejectsSpipedError, throwsSpipedError } from "../support/errors.js";
import { eventLoopTurns, KeepingSink } from "../support/sink.js";

const kinds = kindsHere("tcp", "tcp6", "unix");

/** Everything that a client sends until its end. */
async function readAll({ reader, socket }: Accepted): Promise<Uint8Array> {
  assert.ok(reader !== undefined, "this Node lets accepted sockets read into shared memory");
  socket.on("error", () => undefined);
  const sink = new KeepingSink();
  reader.flowInto(sink);
  await sink.untilEnd();
  return sink.bytes;
}

for (const kind of kinds) {
  test(`${kind}: clients are accepted in order, with sockets that carry data both ways`, limits, async (t) => {
    const clients = await Clients.listen(t, kind);
    await clients.listening.accept();
    for (const text of ["one", "two", "three"]) {
      const peer = await TestSocket.connect(t, clients.address);
      await peer.write(text);
      peer.finish();
      const client = await clients.next();
      assert.equal(Buffer.from(await readAll(client)).toString(), text);
      client.socket.end("and back");
      assert.equal(Buffer.from((await peer.readToEnd()).bytes).toString(), "and back");
    }
  });

  test(`${kind}: nothing is read from a client that has only been accepted`, limits, async (t) => {
    const clients = await Clients.listen(t, kind);
    await clients.listening.accept();
    const peer = await TestSocket.connect(t, clients.address);
    await peer.write("early");
    peer.finish();
    const client = await clients.next();
    await eventLoopTurns();
    assert.equal(client.socket.bytesRead, 0);
    assert.equal(Buffer.from(await readAll(client)).toString(), "early");
  });

  test(`${kind}: only the handshake is read from a client whose handshake is due`, limits, async (t) => {
    const clients = await Clients.listen(t, kind, 320);
    await clients.listening.accept();
    const peer = await TestSocket.connect(t, clients.address);
    await peer.write(new Uint8Array(1_000).fill(7));
    const { reader, socket } = await clients.next();
    assert.ok(reader !== undefined);
    sameBytes(await reader.readExactly(320), new Uint8Array(320).fill(7));
    await eventLoopTurns();
    assert.equal(socket.bytesRead, 320);
  });

  test(`${kind}: clients that connect during a pause wait, and are served after it`, limits, async (t) => {
    const clients = await Clients.listen(t, kind);
    await clients.listening.accept();
    clients.listening.pause();
    const peers: TestSocket[] = [];
    for (const text of ["one", "two", "three"]) {
      const peer = await TestSocket.connect(t, clients.address);
      await peer.write(text);
      peer.finish();
      peers.push(peer);
    }
    await eventLoopTurns();
    assert.equal(clients.count, 0);
    await clients.listening.accept();
    for (const [index, text] of ["one", "two", "three"].entries()) {
      const client = await clients.next();
      assert.equal(Buffer.from(await readAll(client)).toString(), text);
      client.socket.end(text);
      assert.equal(Buffer.from((await peers[index]?.readToEnd())?.bytes ?? []).toString(), text);
    }
  });

  test(`${kind}: after a pause in the accept callback, no second client is accepted`, limits, async (t) => {
    const clients = await Clients.listen(t, kind);
    await clients.listening.accept();
    clients.listening.pause();
    for (let index = 0; index < 5; index += 1) await TestSocket.connect(t, clients.address);
    clients.onAccepted = () => clients.listening.pause();
    for (let count = 1; count <= 5; count += 1) {
      await clients.listening.accept();
      await clients.next();
      await eventLoopTurns();
      assert.equal(clients.count, count);
    }
    assert.deepEqual(clients.failures, []);
  });

  test(`${kind}: clients also wait before the first accept`, limits, async (t) => {
    if (kind !== "unix") {
      // The system's choice of port is only known once accepting has begun, so choose one here.
      const probe = await Clients.listen(t, kind);
      await probe.listening.accept();
      const { address } = probe.listening;
      probe.listening.close();
      await waitsBeforeAccept(t, new Clients(t, address, 0));
    } else {
      await waitsBeforeAccept(t, await Clients.listen(t, kind));
    }
  });

  test(`${kind}: accept, pause and close can be called twice`, limits, async (t) => {
    const clients = await Clients.listen(t, kind);
    await Promise.all([clients.listening.accept(), clients.listening.accept()]);
    await clients.listening.accept();
    await TestSocket.connect(t, clients.address);
    await clients.next();
    clients.listening.pause();
    clients.listening.pause();
    await clients.listening.accept();
    await TestSocket.connect(t, clients.address);
    await clients.next();
    clients.listening.close();
    clients.listening.close();
    clients.listening.pause();
    await clients.listening.accept();
    assert.equal(clients.count, 2);
    assert.deepEqual(clients.failures, []);
  });

  test(`${kind}: a closed socket refuses new clients, and accepted ones continue`, limits, async (t) => {
    const clients = await Clients.listen(t, kind);
    await clients.listening.accept();
    const { address } = clients;
    const peer = await TestSocket.connect(t, address);
    const client = await clients.next();
    clients.listening.close();
    await assert.rejects(TestSocket.connect(t, address), { code: kind === "unix" ? "ENOENT" : "ECONNREFUSED" });
    await peer.write("still here");
    peer.finish();
    assert.equal(Buffer.from(await readAll(client)).toString(), "still here");
  });

  test(`${kind}: closing disconnects clients that are still waiting`, limits, async (t) => {
    const clients = await Clients.listen(t, kind);
    await clients.listening.accept();
    clients.listening.pause();
    const peer = await TestSocket.connect(t, clients.address);
    clients.listening.close();
    await assert.rejects(peer.read(1), EndedEarly);
    assert.equal(clients.count, 0);
  });

  test(`${kind}: an address in use is an error with a hint`, limits, async (t) => {
    const clients = await Clients.listen(t, kind);
    await clients.listening.accept();
    assert.throws(
      () => new Clients(t, clients.listening.address, 0),
      (error) => {
        assert.ok(error instanceof SpipedError);
        assert.equal(error.code, "SPIPED_LISTEN");
        assert.match(error.message, /^cannot listen on .*: .*in use$/i);
        assert.match(error.hint ?? "", /another program, or an earlier start of this one, listens there/);
        return true;
      },
    );
    await TestSocket.connect(t, clients.address);
    await clients.next();
  });
}

for (const kind of kindsHere("tcp", "tcp6")) {
  test(`${kind}: the port that the system chose is known once it accepts`, limits, async (t) => {
    const clients = await Clients.listen(t, kind);
    await clients.listening.accept();
    const { address } = clients.listening;
    assert.ok(address.kind === "tcp");
    assert.equal(address.family, kind === "tcp" ? 4 : 6);
    assert.ok(address.port > 0);
  });

  test(
    `${kind}: a port that was closed with open connections can be listened on again immediately`,
    limits,
    async (t) => {
      const first = await Clients.listen(t, kind);
      await first.listening.accept();
      await TestSocket.connect(t, first.address);
      const { socket } = await first.next();
      const { address } = first.listening;
      first.listening.close();
      socket.destroy();
      const second = new Clients(t, address, 0);
      await second.listening.accept();
      await TestSocket.connect(t, second.address);
      await second.next();
    },
  );
}

test("an address of another machine is an error with a hint", limits, async (t) => {
  const address: SocketAddress = { kind: "tcp", family: 4, address: "203.0.113.77", port: 0 };
  assert.throws(
    () => new Clients(t, address, 0),
    (error) => error instanceof SpipedError && /on an address of this machine/.test(error.hint ?? ""),
  );
});

test("a UNIX socket in a missing folder is an error that names the socket", limits, async (t) => {
  const path = join(await temporaryFolder(t), "nowhere", "s");
  const listen = () => new Clients(t, { kind: "unix", path }, 0);
  throwsSpipedError(listen, "SPIPED_LISTEN", /^cannot listen on .*nowhere\/s: there is no such folder$/);
});

test("a UNIX socket never replaces another file", limits, async (t) => {
  const path = join(await temporaryFolder(t), "precious");
  writeFileSync(path, "data");
  throwsSpipedError(() => new Clients(t, { kind: "unix", path }, 0), "SPIPED_LISTEN", /in use/i);
  assert.ok(existsSync(path));
});

test("the file of a UNIX socket is removed by close, but not by pause", limits, async (t) => {
  const clients = await Clients.listen(t, "unix");
  const { address } = clients.listening;
  assert.ok(address.kind === "unix");
  await clients.listening.accept();
  clients.listening.pause();
  await eventLoopTurns();
  assert.ok(existsSync(address.path));
  await clients.listening.accept();
  clients.listening.close();
  await eventLoopTurns();
  assert.ok(!existsSync(address.path));
});

test("a UNIX socket whose file is already gone closes silently", limits, async (t) => {
  const clients = await Clients.listen(t, "unix");
  const { address } = clients.listening;
  assert.ok(address.kind === "unix");
  rmSync(address.path);
  clients.listening.close();
  assert.deepEqual(clients.failures, []);
});

test("a file that has replaced a UNIX socket's stays when the socket is closed", limits, async (t) => {
  const first = await Clients.listen(t, "unix");
  const { address } = first.listening;
  assert.ok(address.kind === "unix");
  rmSync(address.path);
  const second = new Clients(t, address, 0);
  await second.listening.accept();
  first.listening.close();
  assert.ok(existsSync(address.path));
  await TestSocket.connect(t, second.address);
  await second.next();
});

test("no other file gets a UNIX socket's permissions, even if the folder's owner swaps files", limits, async (t) => {
  const folder = await temporaryFolder(t);
  const [path, precious] = [join(folder, "s"), join(folder, "precious")];
  writeFileSync(precious, "data", { mode: 0o600 });
  await against(t, `fs.symlinkSync(data.precious, data.path + "x"); fs.renameSync(data.path + "x", data.path);`, {
    precious,
    path,
  });
  for (let count = 0; count < 3_000; count += 1) {
    try {
      ListeningSocket.listen({ kind: "unix", path }, 0o666).close();
    } catch {
      // The link existed first.
      rmSync(path, { force: true });
    }
  }
  assert.equal(statSync(precious).mode & 0o777, 0o600);
});

test("changing the owner of a UNIX socket's file does not affect a file that has replaced it", {
  ...limits,
  skip: process.platform !== "linux" || process.getuid?.() !== 0 ? "needs Linux and root" : false,
}, async (t) => {
  const folder = await temporaryFolder(t);
  const [path, other] = [join(folder, "s"), join(folder, "other")];
  const listen = (where: string) => {
    const listening = ListeningSocket.listen({ kind: "unix", path: where }, 0o660);
    afterwards(t, () => listening.close());
    return listening;
  };
  const ownerOf = (file: string) => [statSync(file).uid, statSync(file).gid];
  const socket = listen(path);
  assert.equal(socket.give(undefined, 12), true);
  assert.deepEqual(ownerOf(path), [0, 12]);
  assert.equal(socket.give(65_534, undefined), true);
  assert.deepEqual(ownerOf(path), [65_534, 12]);
  listen(other);
  for (const take of [() => linkSync(other, path), () => symlinkSync(other, path), () => renameSync(other, path)]) {
    rmSync(path);
    assert.throws(() => socket.give(65_534, 12), /no such file/i);
    take();
    assert.throws(() => socket.give(65_534, 12), /no such file/i);
    assert.deepEqual(ownerOf(path), [0, 0]);
  }
  const linked = listen(join(folder, "linked"));
  linkSync(join(folder, "linked"), join(folder, "second"));
  assert.throws(() => linked.give(65_534, 12), /no such file/i);
});

test("accepting can be retried after it failed for lack of descriptors", limits, async (t) => {
  const clients = await Clients.listen(t, "unix");
  const none = t.mock.method(addon, "duplicate", () => {
    throw Object.assign(new Error("too many open files"), { code: "EMFILE" });
  });
  await rejectsSpipedError(clients.listening.accept(), "SPIPED_LISTEN", /too many open files/);
  none.mock.restore();
  await clients.listening.accept();
  await TestSocket.connect(t, clients.address);
  await clients.next();
});

/** Runs `code` in a loop, in a worker thread, until the test ends. */
async function against(t: TestContext, code: string, data: Readonly<Record<string, string>>): Promise<void> {
  const all = `
    const fs = require("node:fs");
    const { parentPort, workerData: data } = require("node:worker_threads");
    parentPort.postMessage("runs");
    for (;;) try { ${code} } catch {}
  `;
  const worker = new Worker(all, { eval: true, workerData: data });
  afterwards(t, () => worker.terminate());
  await once(worker, "message");
}

async function waitsBeforeAccept(t: TestContext, clients: Clients): Promise<void> {
  await TestSocket.connect(t, clients.address);
  await eventLoopTurns();
  assert.equal(clients.count, 0);
  await clients.listening.accept();
  await clients.next();
}

for (const resets of [true, false]) {
  test(`a client sees ${resets ? "a reset" : "an end"} from the moment at which it is accepted`, async (t) => {
    const clients = await Clients.listen(t, "tcp", 0, resets);
    await clients.listening.accept();
    const client = await TestSocket.connect(t, clients.address);
    // Like the system when the process dies before any other option was set on the socket.
    (await clients.next()).socket.destroy();
    assert.equal(await client.end(), resets ? "reset" : "fin");
  });
}

test("a UNIX socket that was closed, or never listened, leaves nothing open", async (t) => {
  const folder = await temporaryFolder(t);
  const path = join(folder, "socket");
  const taken = join(folder, "file");
  writeFileSync(taken, "");
  const address: SocketAddress = { kind: "unix", path };
  const round = () => {
    ListeningSocket.listen(address, undefined).close();
    throwsSpipedError(
      () => ListeningSocket.listen({ kind: "unix", path: taken }, undefined),
      "SPIPED_LISTEN",
      /in use/,
    );
  };
  round();
  const before = descriptorsOf(process.pid);
  for (let count = 0; count < 20; count += 1) round();
  assert.equal(descriptorsOf(process.pid), before);
});

for (const kind of kindsHere("tcp", "unix")) {
  test(`${kind}: the address is free after unbind until it listens again, and a close leaves nothing open`, {
    ...limits,
    skip: process.platform === "win32" ? "needs descriptors" : false,
  }, async (t) => {
    const free = await freeAddress(t, kind);
    const address: SocketAddress =
      free.kind === "unix" ? free : { kind: "tcp", family: 4, address: free.host, port: free.port };
    const open = () => descriptorsOf(process.pid);
    const before = open();
    const socket = ListeningSocket.listen(address, undefined);
    afterwards(t, () => socket.close());
    socket.attach({ accepted: () => undefined, failed: (error) => assert.fail(error) }, false);
    const listening = open();
    for (const _ of ["once", "again"]) {
      socket.unbind();
      socket.unbind();
      assert.equal(open(), before);
      ListeningSocket.listen(address, undefined).close();
      socket.listenAgain();
      socket.listenAgain();
      assert.equal(open(), listening);
      const client = await TestSocket.connect(t, free);
      client.close();
      await client.closed();
    }
    socket.close();
    socket.listenAgain();
    assert.equal(open(), before);
    ListeningSocket.listen(address, undefined).close();
  });
}

// At the end: what it makes keeps descriptors of folders open until it is collected, and others above count descriptors.
test(
  "if a folder in the path is swapped, no file of another folder is removed as a stale socket",
  limits,
  async (t) => {
    const folder = await temporaryFolder(t);
    const [way, own, others] = [join(folder, "way"), join(folder, "own"), join(folder, "others")];
    for (const name of [own, others]) mkdirSync(name);
    writeFileSync(join(others, "s"), "data");
    await against(
      t,
      `for (const to of [data.own, data.others]) {
      fs.symlinkSync(to, data.way + "x");
      fs.renameSync(data.way + "x", data.way);
    }`,
      { way, own, others },
    );
    for (let count = 0; count < 3_000; count += 1) {
      // A socket without a listener.
      try {
        closeSync(new addon.SocketFile(Buffer.from(join(own, "s"))).listen(1));
        ListeningSocket.listen({ kind: "unix", path: join(way, "s") }, undefined).close();
      } catch {
        // The folder was swapped.
      }
    }
    assert.equal(readFileSync(join(others, "s"), "utf8"), "data");
  },
);
