// --status: what it shows of a tunnel while connections open, carry data and end, and that it shows no secrets.

import assert from "node:assert/strict";
import { existsSync, readFileSync, statSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { type TestContext, test } from "node:test";
import type { StatusDocument } from "#dist/status/status-document.js";
import { type Address, freeAddress, textOf } from "../support/addresses.js";
import { limits, until } from "../support/cleanup.js";
import { Command } from "../support/command.js";
import { ConfigFile } from "../support/config-file.js";
import { readExposition, valueIn } from "../support/exposition.js";
import { Listener } from "../support/listener.js";
import { isAlive, type OneEnd, startClientEnd, startServerEnd } from "../support/one-end.js";
import { descriptorsOf } from "../support/processes.js";
import { ours, withCommands } from "../support/programs.js";
import { asRoot } from "../support/root.js";
import { get, until200 } from "../support/status.js";
import { TestSocket } from "../support/test-socket.js";
import { newKey, patience } from "../support/tunnel.js";

/** One end with --status. */
async function startWithStatus<End extends OneEnd>(
  t: TestContext,
  start: (t: TestContext, options: { kind: "tcp"; flags: readonly string[] }) => Promise<End>,
  { flags = [] as readonly string[], kind = "tcp" as "tcp" | "unix" } = {},
): Promise<{ readonly end: End; readonly status: Address; readonly tunnel: string }> {
  const status = await freeAddress(t, kind);
  const end = await start(t, { kind: "tcp", flags: [...patience, ...flags, "--status", textOf(status)] });
  await end.spiped.command.line(/status: listening on /);
  return { end, status, tunnel: textOf(end.spiped.source) };
}

for (const start of [startServerEnd, startClientEnd]) {
  const name = start === startServerEnd ? "spiped -d" : "spiped -e";

  for (const relay of ["on", "off"]) {
    test(`${name} with relay ${relay} counts each byte once, while the connection is open`, limits, async (t) => {
      const withRelay: typeof startServerEnd = (context, options) =>
        (start as typeof startServerEnd)(context, { ...options, env: { SPIPED_RELAY: relay } });
      const { end, status, tunnel } = await startWithStatus(t, withRelay);
      const established = await end.establish();
      const direction = { tunnel, direction: start === startServerEnd ? "forward" : "reverse" };
      const moved = (text: string) => valueIn(text, "spiped_bytes_total", direction) ?? 0;
      const open = (text: string) => valueIn(text, "spiped_connections_open", { tunnel });
      assert.equal(moved(await until200(status, "/metrics", (text) => open(text) === 1)), 0);
      for (let sent = 1; sent <= 3; sent += 1) {
        await established.peer.send(Buffer.alloc(1_000));
        await established.plain.read(1_000);
        await until200(status, "/metrics", (text) => moved(text) === sent * 1_000);
      }
      const ended = (text: string) =>
        valueIn(text, "spiped_connections_ended_total", { tunnel, reason: "closed", key: "" });
      established.peer.link.finish();
      established.plain.finish();
      const last = await until200(status, "/metrics", (text) => ended(text) === 1);
      assert.deepEqual([moved(last), open(last)], [3_000, 0]);
      assert.equal(valueIn(last, "spiped_connections_accepted_total", { tunnel }), 1);
      assert.equal(valueIn(last, "spiped_handshake_seconds_count", { tunnel }), 1);
      assert.equal(valueIn(last, "spiped_connection_seconds_count", { tunnel }), 1);
      readExposition(last);
    });
  }
}

test("the status shows open connections and failures, and no secrets", limits, async (t) => {
  const { end, status } = await startWithStatus(t, startServerEnd);
  await end.establish();
  const stranger = await end.client({ keyFile: Buffer.from("another key") });
  await stranger.handshake().catch(() => undefined);
  const text = await until200(status, "/status", (body) => JSON.parse(body).tunnels[0].failures.length === 1);
  const { tunnels } = JSON.parse(text);
  assert.match(tunnels[0].busiest[0].peer, /^\[127\.0\.0\.1\]:\d+$/);
  assert.deepEqual([tunnels[0].busiest.length, tunnels[0].busiest[0].phase], [1, "piping"]);
  assert.equal(tunnels[0].failures[0].reason, "handshake-failed");
  const { stdout } = await Command.run(t, [...ours.spiped, "key-id", end.key.path]);
  assert.equal(tunnels[0].keys[0].id, stdout.split(" ")[0]);
  const all = await Promise.all(["/", "/status", "/metrics", "/healthz"].map(async (path) => get(status, path)));
  const said = all.map(({ body, headers }) => `${body}${JSON.stringify(headers)}`).join("");
  for (const secret of [
    end.key.path,
    Buffer.from(end.key.bytes).toString("hex"),
    Buffer.from(end.key.bytes).toString("base64"),
  ]) {
    assert.ok(!said.includes(secret));
  }
});

test("/healthz is ok, not accepting at the connection limit, and draining until exit", limits, async (t) => {
  const { end, status, tunnel } = await startWithStatus(t, startClientEnd, { flags: ["-n", "1"] });
  const health = async () => {
    const { status: code, body } = await get(status, "/healthz");
    return `${code} ${body.trim()}`;
  };
  assert.equal(await health(), "200 ok");
  const established = await end.establish();
  assert.equal(await health(), "503 not accepting");
  await until200(status, "/metrics", (text) => valueIn(text, "spiped_accepting", { tunnel }) === 0);
  end.spiped.command.signal("SIGTERM");
  await end.spiped.command.line(/shutting down, draining/);
  assert.equal(await health(), "503 draining");
  assert.ok(await isAlive(established));
  established.peer.link.finish();
  established.plain.finish();
  assert.equal((await end.spiped.command.exit()).status, 0);
  await assert.rejects(health());
});

test("a failed reload is shown as failed until the next one succeeds", limits, async (t) => {
  const { end, status } = await startWithStatus(t, startServerEnd);
  const successful = (text: string) => valueIn(text, "spiped_last_reload_successful");
  assert.equal(successful((await get(status, "/metrics")).body), 1);
  await writeFile(end.key.path, "");
  end.spiped.command.signal("SIGHUP");
  await until200(status, "/metrics", (text) => successful(text) === 0);
  await writeFile(end.key.path, "a new key, which is long enough for all");
  end.spiped.command.signal("SIGHUP");
  await until200(status, "/metrics", (text) => successful(text) === 1);
});

test("--status refuses an address in use with one message, and takes a port alone as 127.0.0.1", limits, async (t) => {
  const { end, status } = await startWithStatus(t, startServerEnd);
  assert.ok(status.kind === "tcp");
  const source = textOf(await freeAddress(t, "tcp"));
  const args = [...ours.spiped, "-F", "-d", "-s", source, "-t", "[127.0.0.1]:1", "-k", end.key.path] as const;
  const again = await Command.run(t, [...args, "--status", String(status.port)]);
  assert.equal(again.status, 1);
  const where = textOf(status).replace(/[[\]]/g, "\\$&");
  assert.match(
    again.stderr,
    new RegExp(`^spiped: cannot listen on ${where}: .*in use.*\nspiped: hint: another program, [^\n]*\n$`),
  );
});

test("the status socket has mode 0660, is removed at exit, and replaces a stale one", limits, async (t) => {
  const { end, status } = await startWithStatus(t, startServerEnd, { kind: "unix" });
  assert.ok(status.kind === "unix");
  assert.equal(statSync(status.path).mode & 0o777, 0o660);
  assert.equal((await get(status, "/healthz", { headers: { host: "whatever" } })).status, 200);
  end.spiped.command.signal("SIGKILL");
  await end.spiped.command.exit();
  assert.ok(existsSync(status.path));
  const args = ["-s", textOf(await freeAddress(t, "tcp")), "-t", "[127.0.0.1]:1", "-k", end.key.path];
  const next = Command.start(t, [...ours.spiped, "-F", "-d", ...args, "--status", status.path]);
  await next.line(/status: listening on /);
  assert.equal((await get(status, "/healthz")).status, 200);
  next.signal("SIGINT");
  await next.exit();
  assert.equal(existsSync(status.path), false);
});

test("--status on a public address logs a warning, and answers under any host name", limits, async (t) => {
  const key = await newKey(t);
  const status = await freeAddress(t, "tcp");
  assert.ok(status.kind === "tcp");
  const args = ["-s", textOf(await freeAddress(t, "tcp")), "-t", "[127.0.0.1]:1", "-k", key.path];
  const command = Command.start(t, [...ours.spiped, "-F", "-d", ...args, "--status", `[0.0.0.0]:${status.port}`]);
  await command.line(/^spiped: status: anyone who can reach \[0\.0\.0\.0\]:\d+ can see/);
  const ask = async (host: string) => (await get(status, "/healthz", { headers: { host } })).status;
  assert.equal(await ask("web1.example:9100"), 200);
});

test("with -D the status answers while the target is still being resolved", limits, async (t) => {
  const key = await newKey(t);
  const status = await freeAddress(t, "tcp");
  const args = ["-s", textOf(await freeAddress(t, "tcp")), "-t", "no-such-host.invalid:1", "-k", key.path];
  const command = Command.start(t, [...ours.spiped, "-D", "-F", "-d", ...args, "--status", textOf(status)]);
  await command.line(/status: listening on /);
  const { status: code, body } = await get(status, "/healthz");
  assert.deepEqual([code, body], [503, "starting\n"]);
});

test(
  "reloads keep a tunnel's counters and remove them with the tunnel; a bad file is a failed reload",
  limits,
  async (t) => {
    const file = await ConfigFile.make(t);
    const [a, b] = [await file.pair("a"), await file.pair("b")];
    const status = await freeAddress(t, "tcp");
    const above = `status = "${textOf(status)}"\n`;
    await file.write(above, a.text(), b.text());
    const command = await file.start();
    await command.line(/status: listening on /);
    const untilIt = (name: string, labels: Readonly<Record<string, string>>, value: number | undefined) =>
      until200(status, "/metrics", (text) => valueIn(text, name, labels) === value);
    // Each page is cached for a moment, so they can disagree.
    const untilReload = async (isSo: (lastReload: StatusDocument["lastReload"]) => boolean) =>
      JSON.parse(await until200(status, "/status", (text) => isSo(JSON.parse(text).lastReload))).lastReload;
    const accepted = (text: string, tunnel: string) => valueIn(text, "spiped_connections_accepted_total", { tunnel });
    const { app, service } = await a.connectThrough();
    app.finish();
    service.finish();
    const closed = { tunnel: "a", reason: "closed", key: "" };
    await until200(status, "/metrics", (text) => valueIn(text, "spiped_connections_ended_total", closed) === 1);
    // Once with the same listening socket, and once with a new one.
    for (const [limit, role] of [
      [1, "encrypt"],
      [2, "decrypt"],
    ] as const) {
      const changed = a
        .text({ "max-connections": limit, target: textOf(a.service.address) })
        .replace("encrypt.a", `${role}.a`);
      await file.write(above, changed, b.text());
      await file.reload(command);
      const text = await untilIt("spiped_connections_limit", { tunnel: "a" }, limit);
      assert.equal(accepted(text, "a"), 1);
    }
    await file.write(above, b.text());
    await file.reload(command);
    assert.equal(accepted(await untilIt("spiped_accepting", { tunnel: "a" }, undefined), "b"), 0);
    assert.equal((await get(status, "/healthz")).body, "ok\n");
    // A syntax error, and an address that cannot be listened on: the running tunnels go on and stay healthy.
    for (const mistake of [b.text({ sorce: "x" }), b.text({ source: textOf(status) })]) {
      await file.write(above, mistake);
      await file.reload(command);
      await untilIt("spiped_last_reload_successful", {}, 0);
      const lastReload = await untilReload((one) => one.failed[0]?.what === "configuration");
      assert.deepEqual(lastReload.failed, [{ what: "configuration", tunnel: null }]);
      assert.ok(Date.parse(lastReload.at) > Date.parse(lastReload.lastSuccessAt));
      command.signal("SIGUSR1");
      await command.line(
        mistake.includes("sorce")
          ? /last reload \d+ s ago failed: .*tunnels\.toml:\d+: .*sorce: unknown setting; did you mean source\?; last load without an error \d+ s ago/
          : /last reload \d+ s ago failed: b: cannot listen on .*: address already in use; last load/,
      );
      assert.equal((await get(status, "/healthz")).body, "ok\n");
      await file.write(above, b.text());
      await file.reload(command);
      await untilIt("spiped_last_reload_successful", {}, 1);
    }
    // The tunnels are applied, and the key of the process is not.
    await file.write(`${above}drain-timeout = 7\n`, b.text({ "max-connections": 3 }));
    await file.reload(command);
    await untilIt("spiped_last_reload_successful", {}, 0);
    await untilIt("spiped_connections_limit", { tunnel: "b" }, 3);
    const lastReload = await untilReload((one) => one.needRestart.length > 0);
    assert.deepEqual(
      [lastReload.successful, lastReload.failed, lastReload.needRestart],
      [false, [{ what: "settings", tunnel: null }], ["drain-timeout"]],
    );
    command.signal("SIGUSR1");
    await command.line(
      /last reload \d+ s ago is only partly in use: drain-timeout has changed; restart spiped to apply it$/,
    );
    await file.write(above, b.text());
    await file.reload(command);
    await untilIt("spiped_last_reload_successful", {}, 1);
  },
);

test("with -u the status answers after spiped has changed user", {
  ...limits,
  skip: process.platform !== "linux" || process.getuid?.() !== 0 ? "needs Linux and root" : false,
}, async (t) => {
  const { end, status } = await startWithStatus(t, startServerEnd, { flags: ["-u", "nobody"] });
  assert.equal((await get(status, "/healthz")).status, 200);
  assert.match(readFileSync(`/proc/${end.spiped.command.id}/status`, "utf8"), /^Uid:\t65534\t65534\t65534\t65534$/m);
});

asRoot([], () => {
  test("with -u the status socket belongs to that user and group", limits, async (t) => {
    for (const [flags, owner] of [
      [
        ["-u", "65534:12"],
        [65_534, 12],
      ],
      [
        ["-u", ":12"],
        [0, 12],
      ],
      [
        ["-u", "65534:12", "-D"],
        [65_534, 12],
      ],
    ] as const) {
      const { end, status } = await startWithStatus(t, startServerEnd, { flags, kind: "unix" });
      assert.ok(status.kind === "unix");
      await end.establish();
      const { uid, gid, mode } = statSync(status.path);
      assert.deepEqual([uid, gid, mode & 0o777], [...owner, 0o660]);
      assert.doesNotMatch(end.spiped.command.stderr, /cannot change the owner/);
    }
  });
});

withCommands(["prlimit"], ([prlimit = ""]) => {
  test("many status connections take no descriptor that a tunnel's connection needs", limits, async (t) => {
    const key = await newKey(t);
    const status = await freeAddress(t, "tcp");
    const source = await freeAddress(t, "tcp");
    const target = await Listener.listen(t, "tcp");
    const flags = ["-s", textOf(source), "-t", textOf(target.address), "-k", key.path, "--status", textOf(status)];
    const command = Command.start(t, [prlimit, "--nofile=120", ...ours.spiped, "-F", "-e", "-n", "0", ...flags]);
    await command.line(/status: listening on /);
    const crowd = await Promise.all(Array.from({ length: 90 }, () => TestSocket.connect(t, status)));
    const through = await Promise.all(Array.from({ length: 30 }, () => TestSocket.connect(t, source)));
    // Each has its target dialed, unless it waits for descriptors, which is logged.
    await command.line(/out of file descriptors with .*, new clients wait/);
    assert.doesNotMatch(command.stderr, /EMFILE|too many open files/i);
    // The descriptors reserved for keys and lookups are still free.
    const open = descriptorsOf(command.id);
    assert.ok(open <= 120 - 20, `${open} descriptors are open`);
    assert.equal((await until(async () => get(status, "/healthz").catch(() => undefined), "an answer")).status, 503);
    assert.equal(crowd.length + through.length, 120);
  });
});
