// -k FOLDER: each client has its own key. Adding and removing keys does not disturb other clients' connections.

import assert from "node:assert/strict";
import { chmodSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { test } from "node:test";
import { freeAddress, textOf } from "../support/addresses.js";
import { limits, temporaryFolder, until } from "../support/cleanup.js";
import { Command } from "../support/command.js";
import { establishThrough, onLinux, startDaemon, startDetached } from "../support/daemon.js";
import { deafListener } from "../support/deaf-listener.js";
import { valueIn } from "../support/exposition.js";
import { ClientKeys, startForMany } from "../support/key-folder.js";
import { Listener } from "../support/listener.js";
import { isAlive } from "../support/one-end.js";
import { ours } from "../support/programs.js";
import { readProxyHeader } from "../support/proxy-header.js";
import { keyIdOf, secretOf } from "../support/reference-protocol.js";
import { asRoot } from "../support/root.js";
import { get, until200 } from "../support/status.js";
import { failuresTold, patience, stopAndGetLines } from "../support/tunnel.js";

function idOf(contents: Uint8Array): string {
  const digits = Buffer.from(keyIdOf(secretOf(contents))).toString("hex");
  return [0, 4, 8, 12].map((at) => digits.slice(at, at + 4)).join("-");
}

for (const kind of ["tcp", "unix"] as const) {
  test(`removing one client's key resets its connections on ${kind}, and no others`, limits, async (t) => {
    const keys = await ClientKeys.make(t, []);
    const [alice, bob] = [keys.add("alice"), keys.add("bob")];
    const end = await startForMany(t, keys, { kind });
    await end.spiped.command.line(/: read .*keys: 2 keys: alice, bob$/);
    const [hers, his, hisOther] = [await end.establish(alice), await end.establish(bob), await end.establish(bob)];
    for (const one of [hers, his, hisOther]) assert.ok(await isAlive(one));
    keys.remove("bob");
    assert.match(await end.reload(), /: 1 key; removed bob; reset 2 connections$/);
    for (const { peer, plain } of [his, hisOther]) {
      if (kind === "tcp") assert.equal((await peer.receiveToEnd()).end, "reset");
      await plain.untilWritesFail();
    }
    assert.ok(await isAlive(hers));
    assert.equal(failuresTold(end.spiped, /^spiped: connection from .*: cancelled: the key bob was removed/), 2);
    await assert.rejects((await end.client(bob)).handshake());
    assert.ok(await isAlive(await end.establish(alice)));
  });
}

test("the client's name is in the log, in the metrics and in the PROXY header", limits, async (t) => {
  const keys = await ClientKeys.make(t, []);
  const clients = ["alice", "bob", "carol with blanks"].map((name) => ({ name, key: keys.add(name) }));
  const status = await freeAddress(t, "unix");
  const flags = ["-g", "--log-level", "debug", "--status", textOf(status), "--proxy-protocol"];
  const end = await startForMany(t, keys, { flags });
  const { command } = end.spiped;
  const tunnel = textOf(end.spiped.source);
  for (const { name, key } of clients) {
    const one = await end.establish(key);
    const { fields } = await readProxyHeader((length) => one.plain.read(length));
    assert.equal(fields.get(0xe0)?.toString(), name);
    await command.line(new RegExp(`: established \\(key ${name}, handshake `));
    const { body } = await get(status, "/metrics");
    assert.equal(valueIn(body, "spiped_key_info", { tunnel, key: name, id: idOf(key.bytes) }), 1);
    one.peer.link.finish();
    one.plain.finish();
    await until200(
      status,
      "/metrics",
      (text) => valueIn(text, "spiped_connections_ended_total", { tunnel, reason: "closed", key: name }) === 1,
    );
  }
  // A client refused for a reason other than the key is named, too.
  const weak = await end.client(clients[1]?.key ?? assert.fail(), { x: 0n });
  await assert.rejects(weak.handshake());
  await command.line(/connection from .*: handshake failed: .*forward secrecy.* \(key bob, /);
});

test("keys are rotated under load without an outage, with old and new keys side by side", limits, async (t) => {
  const keys = await ClientKeys.make(t, []);
  const old = keys.add("web-2025");
  const end = await startForMany(t, keys, { kind: "unix" });
  let key = old;
  let served = 0;
  let isOver = false;
  // One connection that stays open, and others that come and go.
  const steady = await end.establish(old);
  const load = async () => {
    while (!isOver) {
      const one = await end.establish(key);
      assert.ok(await isAlive(one));
      one.peer.link.finish();
      one.plain.finish();
      assert.equal((await one.peer.receiveToEnd()).end, "fin");
      served += 1;
    }
  };
  const running = load();
  const more = async () => {
    const before = served;
    await until(() => (served >= before + 5 ? true : undefined), "further connections");
  };
  await more();
  const next = keys.add("web-2026");
  assert.match(await end.reload(), /: 2 keys; added web-2026$/);
  await more();
  key = next;
  await more();
  assert.ok(await isAlive(steady));
  keys.remove("web-2025");
  assert.match(await end.reload(), /: 1 key; removed web-2025; reset 1 connection$/);
  await more();
  isOver = true;
  await running;
  assert.equal(failuresTold(end.spiped), 1, end.spiped.command.stderr);
});

test("a key that is removed during a handshake opens no connection", limits, async (t) => {
  const keys = await ClientKeys.make(t, []);
  const [, bob] = [keys.add("alice"), keys.add("bob")];
  const end = await startForMany(t, keys);
  const peer = await end.client(bob);
  await peer.sendNonce();
  await peer.readNonce();
  keys.remove("bob");
  await end.reload();
  await peer.write(peer.macedPublicValue());
  await peer.link.endWhileOpen();
  await end.spiped.command.line(/connection from .*: the key bob was removed/);
  assert.equal((await stopAndGetLines(end.spiped)).length, 1, "it has ended once");
  assert.equal(end.target.acceptedCount, 0);
});

test("a key that is removed while the target is dialed ends the connection", limits, async (t) => {
  const keys = await ClientKeys.make(t, []);
  const [, bob] = [keys.add("alice"), keys.add("bob")];
  const deaf = await deafListener(t);
  const end = await startForMany(t, keys, { targetAddress: deaf.address });
  const peer = await end.client(bob);
  await peer.handshake();
  keys.remove("bob");
  assert.match(await end.reload(), /removed bob; reset 1 connection$/);
  assert.equal((await peer.receiveToEnd()).end, "reset");
});

test("with a hundred keys each client is accepted, and one with another key is refused", limits, async (t) => {
  const names = Array.from({ length: 100 }, (_, index) => `client-${index}`);
  const keys = await ClientKeys.make(t, names.slice(3));
  const known = names.slice(0, 3).map((name) => keys.add(name));
  const end = await startForMany(t, keys);
  await assert.rejects((await end.client({ bytes: Buffer.from("another") })).handshake());
  await end.spiped.command.line(/handshake failed: .*wrong MAC/);
  for (const key of [...known, ...known]) assert.ok(await isAlive(await end.establish(key)));
});

test(
  "a reload that cannot read the folder changes nothing; one that cannot read a file, only this file",
  limits,
  async (t) => {
    const keys = await ClientKeys.make(t, []);
    const [alice, bob, carol] = [keys.add("alice"), keys.add("bob"), keys.add("carol")];
    const end = await startForMany(t, keys, { kind: "unix" });
    const open = [await end.establish(alice), await end.establish(bob), await end.establish(carol)] as const;
    keys.add("alice", new Uint8Array(0));
    keys.remove("bob");
    assert.match(await end.reload(), /: 2 keys; removed bob; reset 1 connection$/);
    await end.spiped.command.line(/SIGHUP: cannot read key file .*alice.key: it is empty, .*; its old key stays$/);
    assert.ok((await isAlive(open[0])) && (await isAlive(open[2])));
    assert.ok(await isAlive(await end.establish(alice)));
    for (const name of ["alice", "carol"]) keys.remove(name);
    renameSync(keys.path, `${keys.path}.gone`);
    assert.match(await end.reload(), /there is no such folder; keeping all old keys$/);
    assert.ok((await isAlive(open[0])) && (await isAlive(open[2])));
    // An empty folder is a different case.
    mkdirSync(keys.path);
    assert.match(await end.reload(), /: 0 keys; removed alice, carol; reset 3 connections$/);
    await end.spiped.command.line(/no keys left in .*; no client can connect/);
    await assert.rejects((await end.client(alice)).handshake());
  },
);

test("a renamed key keeps its connections, under the new name", limits, async (t) => {
  const keys = await ClientKeys.make(t, []);
  const [alice] = [keys.add("alice"), keys.add("bob")];
  const end = await startForMany(t, keys);
  const hers = await end.establish(alice);
  keys.rename("alice", "zoe");
  assert.match(await end.reload(), /: 2 keys; renamed alice to zoe$/);
  assert.ok(await isAlive(hers));
  keys.add("zoe");
  assert.match(await end.reload(), /: 2 keys; added zoe; removed zoe; reset 1 connection$/);
  assert.equal((await hers.peer.receiveToEnd()).end, "reset");
});

/** Bad key folders, and the message for each. */
const refused: ReadonlyArray<readonly [what: string, make: (folder: string) => unknown, said: RegExp]> = [
  [
    "nothing in it",
    () => undefined,
    /^spiped: cannot read key folder \S+: there is no key in it\nspiped: hint: .*Docker/,
  ],
  [
    "an empty file in it",
    (folder) => {
      writeFileSync(join(folder, "good"), "0123456789abcdef0123456789abcdef");
      writeFileSync(join(folder, "wrong"), "");
    },
    /^spiped: cannot read key file \S+wrong: it is empty, so everybody knows this key\nspiped: hint: /,
  ],
  [
    "101 files in it",
    (folder) => {
      for (let count = 0; count <= 100; count += 1) writeFileSync(join(folder, `c${count}`), `${count}`);
    },
    /^spiped: cannot read key folder \S+: there are 101 keys in it, and at most 100 are taken, without c99\n$/,
  ],
];

for (const [what, make, said] of refused) {
  for (const foreground of [["-F"], []]) {
    const how = foreground.length === 0 ? "as a daemon" : "with -F";
    test(`spiped -d ${how} does not start with a folder with ${what}`, { ...limits, skip: onLinux }, async (t) => {
      const folder = join(await temporaryFolder(t), "keys");
      mkdirSync(folder);
      make(folder);
      const source = textOf(await freeAddress(t, "unix"));
      const args = [...ours.spiped, ...foreground, "-d", "-s", source, "-t", "/nowhere", "-k", folder] as const;
      const command = startDetached(t, args, { stdin: "ignore" });
      assert.equal((await command.ownExit()).status, 1);
      assert.match(command.stderr, said);
    });
  }
}

test("spiped --check reports on each key of a folder", limits, async (t) => {
  const keys = await ClientKeys.make(t, ["alice"]);
  keys.add("bob", new Uint8Array(0));
  const target = await Listener.listen(t, "unix");
  const args = ["--check", "-F", "-d", "-s", textOf(await freeAddress(t, "unix")), "-t", textOf(target.address)];
  const wrong = await Command.run(t, [...ours.spiped, ...args, "-k", keys.path], { stdin: "ignore" });
  assert.match(wrong.stdout, /^ok +key file: alice\.key is the key of alice, id [0-9a-f-]{19}$/m);
  assert.match(wrong.stdout, /^failed +key file: cannot read key file \S+bob\.key: it is empty/m);
  assert.equal(wrong.status, 1);
  keys.remove("bob");
  const right = await Command.run(t, [...ours.spiped, ...args, "-k", keys.path], { stdin: "ignore" });
  assert.equal(right.status, 0, right.stdout);
});

test("spiped -e and spipe refuse a folder, and say what to name", limits, async (t) => {
  const keys = await ClientKeys.make(t, ["alice"]);
  const said =
    /^(spiped|spipe): cannot read key file \S+keys: it is a folder\n(?:spiped|spipe): hint: name a key file in it, since only the decrypting end takes a folder/;
  for (const args of [
    [...ours.spiped, "-F", "-e", "-s", textOf(await freeAddress(t, "unix")), "-t", "/nowhere", "-k", keys.path],
    [...ours.spipe, "-t", "/nowhere", "-k", keys.path],
  ] as const) {
    const { status, stderr } = await Command.run(t, args, { stdin: "ignore" });
    assert.equal(status, 1);
    assert.match(stderr, said);
  }
});

test("the daemon finds its key folder by a relative path, at the start and on SIGHUP", {
  ...limits,
  skip: onLinux,
}, async (t) => {
  const keys = await ClientKeys.make(t, []);
  const [alice] = [keys.add("alice"), keys.add("bob")];
  const target = await Listener.listen(t, "unix");
  const key = { path: basename(keys.path) };
  const cwd = dirname(keys.path);
  const daemon = await startDaemon(t, { source: "unix", target: target.address, cwd, key, flags: patience });
  assert.ok(await isAlive(await establishThrough(t, daemon.source, target, alice)));
  const carol = keys.add("carol");
  process.kill(daemon.id, "SIGHUP");
  await daemon.command.line(/SIGHUP: reloaded key folder keys: 3 keys; added carol$/);
  assert.ok(await isAlive(await establishThrough(t, daemon.source, target, carol)));
});

asRoot([], () => {
  test("after -u a key moved over an old one replaces it, as the recipe says", limits, async (t) => {
    const keys = await ClientKeys.make(t, []);
    const [old, next] = [keys.add("web-1"), keys.add("web-1-new")];
    for (const folder of [dirname(keys.path), keys.path]) chmodSync(folder, 0o755);
    const end = await startForMany(t, keys, { flags: ["-u", "nobody"] });
    const [before, after] = [await end.establish(old), await end.establish(next)];
    keys.rename("web-1-new", "web-1");
    assert.match(await end.reload(), /: 1 key; removed web-1; renamed web-1-new to web-1; reset 1 connection$/);
    assert.equal((await before.peer.receiveToEnd()).end, "reset");
    assert.ok((await isAlive(after)) && (await isAlive(await end.establish(next))));
    await assert.rejects((await end.client(old)).handshake());
    // A copy is ambiguous: no key is removed rather than the wrong one.
    keys.add("other");
    chmodSync(join(keys.path, "other.key"), 0o644);
    await end.reload();
    keys.remove("web-1");
    keys.remove("other");
    keys.add("web-1");
    assert.match(
      await end.reload(),
      /other\.key is gone, which may have been moved there; .*chmod 640.*; keeping all old keys/,
    );
    assert.ok(await isAlive(after));
  });

  test("--check and the start report a key folder or key that the user of -u cannot read", limits, async (t) => {
    const keys = await ClientKeys.make(t, ["alice", "bob"]);
    chmodSync(dirname(keys.path), 0o755);
    const source = await freeAddress(t, "unix");
    const check = async () => {
      const args = ["-d", "-s", textOf(source), "-t", "/nowhere", "-k", keys.path, "-u", "nobody", "--check"];
      return (await Command.run(t, [...ours.spiped, ...args], { stdin: "ignore" })).stdout;
    };
    chmodSync(keys.path, 0o755);
    keys.add("carol", readFileSync(join(keys.path, "alice.key")));
    assert.match(await check(), /^warning +key file: carol\.key is the same key as alice's: /m);
    keys.remove("carol");
    assert.match(await check(), /^warning +key file: -u: this user cannot read key file \S+alice\.key and 1 more: /m);
    for (const name of ["alice", "bob"]) chmodSync(join(keys.path, `${name}.key`), 0o644);
    assert.doesNotMatch(await check(), /-u: this user/);
    chmodSync(keys.path, 0o700);
    assert.match(
      await check(),
      /^warning +key file: -u: this user cannot read key folder \S+keys: SIGHUP can neither/m,
    );
    const end = await startForMany(t, keys, { flags: ["-u", "nobody"] });
    await end.spiped.command.line(/-u: this user cannot read key folder \S+keys: SIGHUP can neither/);
    await end.reload();
  });

  test("after -u unreadable keys are kept, and a removed one is dropped", limits, async (t) => {
    const keys = await ClientKeys.make(t, []);
    const [alice, bob] = [keys.add("alice"), keys.add("bob")];
    for (const folder of [dirname(keys.path), keys.path]) chmodSync(folder, 0o755);
    const end = await startForMany(t, keys, { flags: ["-u", "nobody"] });
    const [hers, his] = [await end.establish(alice), await end.establish(bob)];
    keys.remove("bob");
    assert.match(await end.reload(), /: 1 key; removed bob; reset 1 connection$/);
    await end.spiped.command.line(/SIGHUP: cannot read key file .*alice.key: permission denied; its old key stays$/);
    assert.equal((await his.peer.receiveToEnd()).end, "reset");
    assert.ok((await isAlive(hers)) && (await isAlive(await end.establish(alice))));
    assert.match(
      end.spiped.command.stderr,
      /-u: this user cannot read key file \S+alice\.key and 1 more: SIGHUP cannot reload it;/,
    );
    chmodSync(keys.path, 0o700);
    assert.match(await end.reload(), /key folder .*keys: permission denied; keeping all old keys; hint: let the user/);
    assert.ok(await isAlive(hers));
  });
});
