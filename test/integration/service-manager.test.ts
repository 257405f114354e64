// systemd's protocols: notifications to the manager, and socket activation.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { closeSync, existsSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { addon } from "#dist/native/native.js";
import { type Address, freeAddress, textOf } from "../support/addresses.js";
import { limits, temporaryFolder } from "../support/cleanup.js";
import { Command, type CommandOptions } from "../support/command.js";
import { onLinux, startDetached } from "../support/daemon.js";
import { echo, handing, managed } from "../support/handed-sockets.js";
import { Listener } from "../support/listener.js";
import { isRunning, untilEnded } from "../support/processes.js";
import { commandOnPath, declareIf, ours, root, withCommands } from "../support/programs.js";
import { ReferencePeer } from "../support/reference-peer.js";
import { TestSocket } from "../support/test-socket.js";
import { type Key, newKey, patience } from "../support/tunnel.js";

const options = { ...limits, skip: onLinux };

/** The notification socket of a manager. */
async function startManager(t: TestContext, name: string, ...args: string[]): Promise<Command> {
  const manager = Command.start(t, ["python3", join(root, "test/support/notify.py"), name, ...args]);
  await manager.line(args.length > 0 ? /^full$/ : /^listening$/);
  return manager;
}

async function args(t: TestContext, source: string, ...more: string[]): Promise<readonly [string, ...string[]]> {
  const [key, target] = [await newKey(t), await freeAddress(t, "tcp")];
  return [...ours.spiped, "-d", "-s", source, "-t", textOf(target), "-k", key.path, ...more];
}

withCommands(["python3"], () => {
  for (const kind of ["path", "abstract"] as const) {
    test(`a manager with a socket that is ${kind} is notified of start, reload and stop`, options, async (t) => {
      const name = kind === "path" ? join(await temporaryFolder(t), "notify") : `@spiped-test-${randomUUID()}`;
      const manager = await startManager(t, name);
      const source = textOf(await freeAddress(t, "tcp"));
      const started = await args(t, source, "-F");
      const spiped = Command.start(t, started, { stdin: "ignore", env: { NOTIFY_SOCKET: name } });
      const from = `^${spiped.id}: `;
      await manager.line(new RegExp(`${from}READY=1 \\| STATUS=listening on .*, decrypting to `));
      spiped.signal("SIGHUP");
      const line = await manager.line(new RegExp(`${from}RELOADING=1 \\| MONOTONIC_USEC=\\d+$`));
      await manager.line(new RegExp(`${from}READY=1`), 2);
      // CLOCK_MONOTONIC, as read by another program.
      const { stdout } = await Command.run(t, ["python3", "-c", "import time; print(time.monotonic_ns() // 1000)"]);
      const ago = Number(stdout) - Number(/\d+$/.exec(line)?.[0]);
      assert.ok(ago > 0 && ago < 60_000_000, String(ago));
      spiped.signal("SIGTERM");
      await manager.line(new RegExp(`${from}STOPPING=1 \\| STATUS=shutting down, 0 connections open`));
      assert.equal((await spiped.exit()).status, 0);
      assert.ok(!spiped.stderr.includes("service manager"));
    });
  }

  test("a manager is notified why a start has failed", options, async (t) => {
    const name = join(await temporaryFolder(t), "notify");
    const manager = await startManager(t, name);
    const command = await args(t, "systemd:web", "-F");
    const spiped = Command.start(t, command, { stdin: "ignore", env: { NOTIFY_SOCKET: name } });
    await manager.line(/: STATUS=cannot listen on systemd:web: no sockets were handed over$/);
    assert.equal((await spiped.exit()).status, 1);
    assert.ok(!manager.stderr.includes("READY"));
  });

  test("the daemon reports itself as the main process, and only it sends notifications", options, async (t) => {
    const folder = await temporaryFolder(t);
    const name = join(folder, "notify");
    const manager = await startManager(t, name);
    const pidFile = join(folder, "pid");
    const source = textOf(await freeAddress(t, "tcp"));
    const started = await args(t, source, "-p", pidFile);
    const first = startDetached(t, started, { stdin: "ignore", env: { NOTIFY_SOCKET: name } });
    assert.equal((await first.ownExit()).status, 0);
    const id = Number(readFileSync(pidFile, "utf8"));
    await manager.line(new RegExp(`^${id}: MAINPID=${id} \\| READY=1 `));
    assert.ok(!manager.lines.some((line) => line.startsWith(`${first.id}: `)));
    process.kill(id, "SIGTERM");
    await untilEnded(id);
  });

  test("a manager that does not read blocks nothing", options, async (t) => {
    const name = join(await temporaryFolder(t), "notify");
    const manager = await startManager(t, name, "deaf");
    const source = await freeAddress(t, "unix");
    const command = await args(t, textOf(source), "-F");
    const spiped = Command.start(t, command, { stdin: "ignore", env: { NOTIFY_SOCKET: name } });
    await spiped.line(/listening on/);
    manager.stdin.end();
    // Notifications it could not take at first arrive when it reads.
    await manager.line(/READY=1/);
    spiped.signal("SIGTERM");
    assert.equal((await spiped.exit()).status, 0);
  });
});

test("a NOTIFY_SOCKET that does not exist is only logged", options, async (t) => {
  for (const value of ["/nowhere/notify", "", "relative", "@", "vsock:2:1", `/${"x".repeat(200)}`]) {
    const source = textOf(await freeAddress(t, "unix"));
    const command = await args(t, source, "-F");
    const spiped = Command.start(t, command, { stdin: "ignore", env: { NOTIFY_SOCKET: value } });
    await spiped.line(/listening on/);
    spiped.signal("SIGTERM");
    assert.equal((await spiped.exit()).status, 0);
    assert.equal(spiped.lines.filter((line) => line.includes("cannot notify the service manager: ")).length, 1, value);
  }
});

test("spiped listens on a socket that was handed over, and does not change its file", options, async (t) => {
  for (const kind of ["tcp", "unix"] as const) {
    const { descriptor, address } = await managed(t, kind, 0o640);
    const command = handing(await args(t, "systemd:web", "-F"), { names: "web" });
    const spiped = Command.start(t, command, { stdin: "ignore", more: [descriptor] });
    const text = textOf(address).replaceAll(/[[\].]/g, "\\$&");
    await spiped.line(new RegExp(`listening on ${text} \\(systemd:web\\), decrypting`));
    const stranger = await TestSocket.connect(t, address);
    await stranger.read(32);
    stranger.close();
    spiped.signal("SIGTERM");
    assert.equal((await spiped.exit()).status, 0);
    // Clients that connect now wait.
    await TestSocket.connect(t, address);
    if (address.kind === "unix") assert.equal(statSync(address.path).mode & 0o777, 0o640);
  }
});

test(
  "tunnels of a file take one socket each, and keep it when changed, or removed and added again",
  options,
  async (t) => {
    const sockets = [await managed(t, "tcp"), await managed(t, "unix")];
    const [key, target] = [await newKey(t), await freeAddress(t, "unix")];
    const file = join(await temporaryFolder(t), "spiped.toml");
    const table = (name: string, most: number) =>
      `[decrypt.${name}]\nsource = "systemd:${name}"\ntarget = "${textOf(target)}"\nkey = "${key.path}"\nmax-connections = ${most}\n`;
    writeFileSync(file, table("a", 10) + table("b", 10));
    const command = handing([...ours.spiped, "-F", "--config", file], { count: 2, names: "a:b" });
    const spiped = Command.start(t, command, { stdin: "ignore", more: sockets.map(({ descriptor }) => descriptor) });
    await spiped.line(/listening on/, 2);
    const allAnswer = async () => {
      for (const { address } of sockets) {
        const stranger = await TestSocket.connect(t, address);
        await stranger.read(32);
        stranger.close();
      }
    };
    await allAnswer();
    for (const [tables, change] of [
      [table("a", 11) + table("b", 10), /tunnels: 1 unchanged, 1 changed$/],
      [table("a", 11), /tunnels: 1 unchanged, 1 removed$/],
      [table("a", 11) + table("b", 12), /tunnels: 1 unchanged, 1 added$/],
    ] as const) {
      writeFileSync(file, tables);
      spiped.signal("SIGHUP");
      await spiped.line(change);
      if (tables.includes("[decrypt.b]")) await allAnswer();
    }
    spiped.signal("SIGTERM");
    assert.equal((await spiped.exit()).status, 0);
  },
);

test("a draining process does not keep open a socket that its manager has closed", options, async (t) => {
  const key = await newKey(t);
  const far = await Listener.listen(t, "tcp");
  const address: Address = { kind: "unix", path: join(await temporaryFolder(t), "socket") };
  const descriptor = new addon.SocketFile(Buffer.from(address.path)).listen(16);
  const spiped = await start(t, { end: "-e", descriptor, target: far.address, key });
  closeSync(descriptor);
  const app = await TestSocket.connect(t, address);
  const peer = ReferencePeer.server(await far.next(), { keyFile: key.bytes });
  await peer.handshake();
  spiped.signal("SIGTERM");
  await spiped.line(/shutting down, draining/);
  await assert.rejects(
    new Promise((resolve, reject) => connect(address.path).once("connect", resolve).once("error", reject)),
    { code: "ECONNREFUSED" },
  );
  app.finish();
  peer.link.finish();
  assert.equal((await spiped.exit()).status, 0);
});

test("a daemon gets the sockets too, after its own descriptors", options, async (t) => {
  const [one, other] = [await managed(t, "tcp"), await managed(t, "unix")];
  const pidFile = join(await temporaryFolder(t), "pid");
  const command = handing(await args(t, "systemd:other", "-p", pidFile), { count: 2, names: "one:other" });
  const more = [one.descriptor, other.descriptor];
  const first = startDetached(t, command, { stdin: "ignore", more });
  assert.equal((await first.ownExit()).status, 0, first.stderr);
  const id = Number(readFileSync(pidFile, "utf8"));
  const stranger = await TestSocket.connect(t, other.address);
  await stranger.read(32);
  process.kill(id, "SIGINT");
  await untilEnded(id);
  assert.ok(!isRunning(id));
});

test("a socket that cannot be used is reported in one message", options, async (t) => {
  const { descriptor } = await managed(t, "tcp");
  const cases: ReadonlyArray<readonly [string, { count?: number; names?: string }, RegExp]> = [
    ["systemd:db", { names: "web.socket" }, /systemd:db: no socket has this name; the names are "web.socket"$/],
    ["systemd:", { count: 30 }, /systemd:: there are 30: "unknown"$/],
    ["systemd:b", { count: 2, names: "a:b" }, /systemd:b: descriptor 4 is closed or not a socket$/],
    ["systemd:a", { count: 2, names: "a" }, /LISTEN_FDNAMES has 1 names for 2 sockets$/],
  ];
  for (const [source, handed, pattern] of cases) {
    for (const more of [["-F"], ["-p", join(await temporaryFolder(t), "pid")]]) {
      const command = handing(await args(t, source, ...more), handed);
      const spiped = startDetached(t, command, { stdin: "ignore", more: [descriptor] });
      assert.equal((await spiped.ownExit()).status, 1);
      // A daemon has other descriptor numbers.
      const expected = new RegExp(pattern.source.replace(/descriptor 4/, "descriptor \\d"));
      await spiped.line(expected);
    }
  }
  const wrapped = handing(["sh", "-c", '"$@"; exit $?', "sh", ...(await args(t, "systemd:", "-F"))], {});
  const spiped = Command.start(t, wrapped, { stdin: "ignore", more: [descriptor] });
  await spiped.line(/systemd:: the sockets are for process \d+, but this is process \d+$/);
  await spiped.line(/^spiped: hint: start it without a wrapper such as npx/);
  assert.equal((await spiped.exit()).status, 1);
});

interface Restarted {
  readonly end: "-d" | "-e";
  readonly descriptor: number;
  readonly target: Address;
  readonly key: Key;
  readonly env?: Readonly<Record<string, string>>;
}

async function start(t: TestContext, { end, descriptor, target, key, env = {} }: Restarted): Promise<Command> {
  const flags = ["-F", end, "-s", "systemd:", "-t", textOf(target), "-k", key.path, ...patience] as const;
  const options: CommandOptions = { stdin: "ignore", more: [descriptor], env };
  const command = Command.start(t, handing([...ours.spiped, ...flags], {}), options);
  await command.line(/listening on/);
  return command;
}

for (const env of [{}, { SPIPED_RELAY: "off" }]) {
  const way = "SPIPED_RELAY" in env ? "with the pumps" : "with the relay";
  test(`restarts of both ends under load neither refuse nor cut connections, ${way}`, options, async (t) => {
    const key = await newKey(t);
    const target = await Listener.listen(t, "tcp");
    target.echo();
    const [near, far] = [await managed(t, "tcp"), await managed(t, "unix")];
    const ends = [
      { end: "-d", descriptor: far.descriptor, target: target.address, key, env },
      { end: "-e", descriptor: near.descriptor, target: far.address, key, env },
    ] as const;
    const running = new Map<Restarted, Command>();
    for (const one of ends) running.set(one, await start(t, one));
    let going = true;
    const failures: string[] = [];
    let done = 0;
    const load = async () => {
      while (going) {
        const failure = await echo(near.address);
        if (failure === undefined) done += 1;
        else failures.push(failure);
      }
    };
    const clients = Promise.all([load(), load(), load(), load()]);
    const untilMore = async () => {
      const before = done;
      for (let count = 0; count < 20; count += 1) await Promise.race([echo(near.address), clients]);
      assert.ok(done > before);
    };
    await untilMore();
    for (const beside of [false, true]) {
      for (const one of ends) {
        const old = running.get(one) ?? assert.fail("it runs");
        // The new one accepts while the old one drains.
        const next = beside ? await start(t, one) : undefined;
        old.signal("SIGTERM");
        assert.equal((await old.exit()).status, 0, old.stderr);
        running.set(one, next ?? (await start(t, one)));
        await untilMore();
      }
    }
    going = false;
    await clients;
    assert.deepEqual([failures, target.acceptedCount > done], [[], true]);
  });
}

test("clients of a socket that was handed over see a reset if the process dies", options, async (t) => {
  for (const env of [{}, { SPIPED_RELAY: "off" }]) {
    const { descriptor, address } = await managed(t, "tcp");
    const far = await Listener.listen(t, "tcp");
    // One client connects before the start, as in socket activation.
    const early = await TestSocket.connect(t, address);
    const spiped = await start(t, { end: "-e", descriptor, target: far.address, key: await newKey(t), env });
    await (await far.next()).read(32);
    const late = await TestSocket.connect(t, address);
    await (await far.next()).read(32);
    spiped.signal("SIGKILL");
    await spiped.exit();
    for (const client of [early, late]) assert.equal(await client.endWhileOpen(), "reset");
    // The socket itself is not affected.
    const next = await start(t, { end: "-d", descriptor, target: far.address, key: await newKey(t), env });
    const stranger = await TestSocket.connect(t, address);
    await stranger.read(32);
    next.signal("SIGKILL");
    await next.exit();
    assert.equal(await stranger.end(), "fin");
  }
});

const activate = commandOnPath("systemd-socket-activate");
declareIf(activate === undefined ? undefined : ([activate] as const), "systemd-socket-activate", ([program]) => {
  test("systemd-socket-activate starts it on the first connection, which is served", options, async (t) => {
    const key = await newKey(t);
    const target = await Listener.listen(t, "tcp");
    target.echo();
    const [near, far] = [await freeAddress(t, "unix"), await freeAddress(t, "unix")];
    assert.ok(near.kind === "unix" && far.kind === "unix");
    const begin = (end: string, source: string, to: Address) => {
      const flags = ["-F", end, "-s", "systemd:web", "-t", textOf(to), "-k", key.path, ...patience];
      return Command.start(t, [program, "-l", source, "--fdname=web", ...ours.spiped, ...flags], { stdin: "ignore" });
    };
    const [server, client] = [begin("-d", far.path, target.address), begin("-e", near.path, far)];
    await Promise.all([server.line(/^Listening on /), client.line(/^Listening on /)]);
    assert.equal(await echo(near), undefined);
    for (const command of [client, server]) {
      command.signal("SIGTERM");
      assert.equal((await command.exit()).status, 0, command.stderr);
    }
    assert.ok(existsSync(near.path), "the file is the manager's");
  });
});
