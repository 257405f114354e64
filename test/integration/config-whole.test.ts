// A reload of --config happens whole or not at all, and tells which.

import assert from "node:assert/strict";
import { closeSync } from "node:fs";
import { copyFile, mkdir, rm, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { type TestContext, test } from "node:test";
import { type Address, freePort, textOf } from "../support/addresses.js";
import { afterwards, limits, temporaryFolder, until } from "../support/cleanup.js";
import { ConfigFile, type Keys, table } from "../support/config-file.js";
import { onLinux } from "../support/daemon.js";
import { expectBytes } from "../support/expect.js";
import { Listener } from "../support/listener.js";
import { namedPipe, openForReader } from "../support/pipes.js";
import { randomData } from "../support/random-data.js";
import { TestSocket } from "../support/test-socket.js";

/** An encrypting tunnel with its own target. */
async function tunnel(t: TestContext, source: Address) {
  const { service, ...one } = await withService(t);
  return { ...one, source, service, text: (name: string, keys: Keys = {}) => one.text(name, source, keys) };
}

async function withService(t: TestContext) {
  const service = await Listener.listen(t, "unix");
  const text = (name: string, source: Address | string, keys: Keys = {}) =>
    table(`encrypt.${name}`, {
      source: typeof source === "string" ? source : textOf(source),
      target: textOf(service.address),
      ...keys,
    });
  /** Checks that connections to the source reach the target. */
  const isReached = async (from: Address): Promise<TestSocket> => {
    const before = service.acceptedCount;
    const app = await TestSocket.connect(t, from);
    await until(() => (service.acceptedCount > before ? true : undefined), "the service to be reached");
    return app;
  };
  return { service, text, isReached };
}

async function refuses(t: TestContext, address: Address): Promise<void> {
  await assert.rejects(TestSocket.connect(t, address), /ECONNREFUSED|ENOENT/);
}

const here = async (): Promise<Address & { kind: "tcp" }> => ({
  kind: "tcp",
  host: "127.0.0.1",
  port: await freePort("0.0.0.0"),
});

const NOTHING = /cannot apply .*: \d errors?; keeping the old configuration$/;

test("a reload that cannot listen on all addresses listens again on the old one", {
  ...limits,
  skip: onLinux,
}, async (t) => {
  const file = await ConfigFile.make(t);
  const a = await tunnel(t, await here());
  assert.ok(a.source.kind === "tcp");
  const { port } = a.source;
  await file.write(a.text("a"));
  const command = await file.start();
  const taken = await Listener.listenAt(t, { kind: "tcp", host: "127.0.0.2", port });
  await file.write(a.text("a", { source: `[0.0.0.0]:${port}` }));
  for (let count = 0; count < 2; count += 1) {
    assert.match((await file.reload(command)).at(-1) ?? "", NOTHING);
    await a.isReached(a.source);
  }
  taken.close();
  await until(() => refuses(t, { kind: "tcp", host: "127.0.0.2", port }).then(() => true), "the port to be free");
  assert.match((await file.reload(command)).at(-1) ?? "", /1 changed$/);
  await a.isReached({ kind: "tcp", host: "127.0.0.3", port });
  command.signal("SIGTERM");
  await command.line(/SIGTERM: shutting down/);
});

test("a source-mode that cannot be applied leaves the socket unchanged", {
  ...limits,
  skip: onLinux,
}, async (t) => {
  const file = await ConfigFile.make(t);
  const [folder, gone] = [await temporaryFolder(t), "/nowhere/socket"];
  const a = await tunnel(t, { kind: "unix", path: join(folder, "a") });
  const b = await withService(t);
  await file.write(a.text("a"));
  const command = await file.start();
  await file.write(a.text("a", { "source-mode": "0600" }), b.text("b", gone), b.text("c", "[192.0.2.1]:1"));
  const lines = await file.reload(command);
  assert.match(lines.at(-1) ?? "", /2 errors; keeping the old configuration$/);
  await a.isReached(a.source);
  await file.write(a.text("a", { "source-mode": "0600" }));
  assert.match((await file.reload(command)).at(-1) ?? "", /1 changed$/);
  await a.isReached(a.source);
});

test("sources are swapped completely or not at all", limits, async (t) => {
  const file = await ConfigFile.make(t);
  const [a, b] = [await tunnel(t, await here()), await tunnel(t, await here())];
  const taken = await Listener.listen(t, "tcp");
  await file.write(a.text("a"), b.text("b"));
  const command = await file.start();
  await command.line(/listening on /, 2);
  const atA = { source: textOf(a.source) };
  const atB = { source: textOf(b.source) };
  for (const [ofA, ofB] of [
    [atB, { ...atA, key: "/nowhere/key" }],
    [{ source: textOf(taken.address) }, atA],
  ] as const) {
    await file.write(a.text("a", ofA), b.text("b", ofB));
    assert.match((await file.reload(command)).at(-1) ?? "", NOTHING);
    await a.isReached(a.source);
    await b.isReached(b.source);
  }
  await file.write(a.text("a", atB), b.text("b", atA));
  assert.match((await file.reload(command)).at(-1) ?? "", /2 changed$/);
  await a.isReached(b.source);
  await b.isReached(a.source);
});

test("tunnels on port 0 keep the port that each was assigned", limits, async (t) => {
  const file = await ConfigFile.make(t);
  const [a, b] = [await withService(t), await withService(t)];
  const any = "[127.0.0.1]:0";
  await file.write(a.text("a", any), b.text("b", any));
  const command = await file.start();
  await command.line(/listening on /, 2);
  const portOf = (service: Listener) => {
    const line = command.lines.find((one) => one.endsWith(textOf(service.address)));
    return Number(/:(\d+), /.exec(line ?? "")?.[1]);
  };
  const [ofA, ofB] = [portOf(a.service), portOf(b.service)];
  for (const timeout of [3, 4]) {
    await file.write(a.text("a", any, { timeout }), b.text("b", any, { timeout }));
    assert.match((await file.reload(command)).at(-1) ?? "", /2 changed$/);
    await a.isReached({ kind: "tcp", host: "127.0.0.1", port: ofA });
    await b.isReached({ kind: "tcp", host: "127.0.0.1", port: ofB });
  }
});

test("the same address in another spelling keeps its socket", limits, async (t) => {
  const file = await ConfigFile.make(t);
  const folder = await temporaryFolder(t);
  const a = await tunnel(t, await here());
  const b = await tunnel(t, { kind: "unix", path: join(folder, "b") });
  assert.ok(a.source.kind === "tcp");
  await file.write(a.text("a"), b.text("b"));
  const command = await file.start();
  await command.line(/listening on /, 2);
  await file.write(
    a.text("a", { source: `localhost:${a.source.port}` }),
    b.text("b", { source: `${folder}/../${basename(folder)}/b` }),
  );
  assert.match((await file.reload(command)).at(-1) ?? "", /2 changed$/);
  await a.isReached(a.source);
  await b.isReached(b.source);
  // The error names the tunnel that keeps the address.
  await file.write(
    a.text("a", { source: `localhost:${a.source.port}` }),
    b.text("b"),
    b.text("c", { source: textOf(a.source) }),
  );
  const lines = (await file.reload(command)).join("\n");
  assert.match(lines, /: c: cannot listen .*; hint: tunnel a of this process listens there/);
});

test("keys are reloaded even if the rest of the reload waits or has mistakes", {
  ...limits,
  skip: onLinux,
}, async (t) => {
  const file = await ConfigFile.make(t);
  const a = await file.pair("a");
  const keys = join(file.folder, "keys");
  await mkdir(keys, { mode: 0o700 });
  const put = async (name: string) => {
    if (name === "alice") await copyFile(file.keyFile, join(keys, "alice.key"));
    else await writeFile(join(keys, `${name}.key`), randomData(name, 32), { mode: 0o600 });
  };
  await put("alice");
  await put("bob");
  await file.write(a.text({}, { key: keys }));
  const command = await file.start();
  const shutOut = async () => {
    const one = await a.connectThrough();
    await one.app.write("hello");
    expectBytes(await one.service.read(5), "hello");
    await rm(join(keys, "alice.key"));
    command.signal("SIGHUP");
    assert.equal(await one.service.end(), "reset");
  };
  const letIn = async (count: number) => {
    await put("alice");
    command.signal("SIGHUP");
    await command.line(/added alice/, count);
  };
  await file.write("x =", a.text());
  await shutOut();
  await letIn(1);
  const pipe = await namedPipe(t);
  await file.write(a.text({}, { key: keys }), table("encrypt.b", { ...target(a.near), key: pipe }));
  await shutOut();
  const writer = await until(() => openForReader(pipe), "spiped to open the key");
  afterwards(t, () => closeSync(writer));
  // While one reload hangs, another is requested; it sees the changed keys.
  await letIn(2);
  await shutOut();
});

function target(address: Address) {
  return { source: join(dirname("/nowhere/socket"), "socket"), target: textOf(address) };
}

test("connections of a changed or removed tunnel get the time of --drain-timeout", limits, async (t) => {
  const file = await ConfigFile.make(t);
  const [a, b, c] = [await tunnel(t, await here()), await tunnel(t, await here()), await tunnel(t, await here())];
  await file.write(table("", { "drain-timeout": 0.2 }), a.text("a"), b.text("b"), c.text("c"));
  const command = await file.start();
  await command.line(/listening on /, 3);
  const [atA, atB, atC] = [await a.isReached(a.source), await b.isReached(b.source), await c.isReached(c.source)];
  await file.write(table("", { "drain-timeout": 0.2 }), a.text("a", { timeout: 7 }), c.text("c"));
  await file.reload(command);
  await command.line(/: [ab]: reset 1 connection from before the reload after 0\.2 s \(--drain-timeout\)/, 2);
  assert.deepEqual([await atA.end(), await atB.end()], ["reset", "reset"]);
  command.signal("SIGINT");
  await command.line(/stopped: reset 1 open connection/);
  atC.finish();
});
