// -u: the change of user after spiped listens and has its key, in all threads, and what it may no longer do then.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { chmod, chown, readdir } from "node:fs/promises";
import { dirname } from "node:path";
import { type TestContext, test } from "node:test";
import { freeAddress, textOf } from "../support/addresses.js";
import { limits } from "../support/cleanup.js";
import { Command } from "../support/command.js";
import { establishThrough, startDaemonEnd, startDetached } from "../support/daemon.js";
import { Listener } from "../support/listener.js";
import { isAlive } from "../support/one-end.js";
import { threadsOf, untilEnded } from "../support/processes.js";
import { ours } from "../support/programs.js";
import { asRoot } from "../support/root.js";
import { newKey, patience, type Spiped, startSpiped } from "../support/tunnel.js";

/** Runs a command with supplementary groups, which must not survive a change of user. */
const withGroups = ["setpriv", "--groups", "4,20,24"] as const;

/** The user or group ID of an account, as `id` prints it. */
function idOf(flag: "-u" | "-g", name: string): string {
  return spawnSync("id", [flag, name], { encoding: "utf8" }).stdout.trim();
}

/** The users, groups and supplementary groups of a process's threads, without duplicates. */
function identitiesOf(id: number): readonly string[] {
  const identities = threadsOf(id).map((thread) =>
    [thread.get("Uid"), thread.get("Gid"), thread.get("Groups")].join("; "),
  );
  return [...new Set(identities)];
}

/** A user and a group as all four of Linux's IDs (real, effective, saved, file system), and no supplementary group. */
function only(user: string, group: string): readonly string[] {
  return [[Array(4).fill(user).join("\t"), Array(4).fill(group).join("\t"), ""].join("; ")];
}

/** A spiped command line for another user: it listens on a port, and every user can reach its key's folder. */
async function argsWith(t: TestContext, start: readonly [string, ...string[]], flags: readonly string[]) {
  const key = await newKey(t);
  await chmod(dirname(key.path), 0o755);
  await chmod(key.path, 0o640);
  // The user that starts it must be able to read the key; if all could, a warning would be logged.
  const owner = start.indexOf("--reuid");
  if (owner > 0) await chown(key.path, Number(start[owner + 1]), 0);
  const source = textOf(await freeAddress(t, "tcp"));
  return [...start, ...ours.spiped, "-F", "-d", "-s", source, "-t", "/nowhere", "-k", key.path, ...flags] as const;
}

async function startWith(t: TestContext, start: readonly [string, ...string[]], flags: readonly string[]) {
  const command = Command.start(t, await argsWith(t, start, flags), { stdin: "ignore" });
  await command.line(/listening on/);
  return { command };
}

async function tryWith(t: TestContext, start: readonly [string, ...string[]], flags: readonly string[]) {
  return Command.run(t, await argsWith(t, start, flags));
}

asRoot(["id", "setpriv", "unshare"], () => {
  const program = { ...ours, spiped: [...withGroups, ...ours.spiped] } as const;

  for (const [args, user, group] of [
    ["nobody", idOf("-u", "nobody"), idOf("-g", "nobody")],
    // The login group of these has another number than the user.
    ["games", idOf("-u", "games"), idOf("-g", "games")],
    ["sync", idOf("-u", "sync"), idOf("-g", "sync")],
    [idOf("-u", "games"), idOf("-u", "games"), idOf("-g", "games")],
    ["daemon:www-data", idOf("-u", "daemon"), idOf("-g", "www-data")],
    [`www-data:${idOf("-g", "games")}`, idOf("-u", "www-data"), idOf("-g", "games")],
    ["123456:234567", "123456", "234567"],
    [":bin", "0", idOf("-g", "bin")],
    [":345678", "0", "345678"],
  ] as const) {
    test(`-u ${args} changes all threads to user ${user}, group ${group} and no other group`, limits, async (t) => {
      const key = await newKey(t);
      const target = await Listener.listen(t, "tcp");
      const flags = ["-u", args, ...patience];
      const spiped = await startSpiped(t, { program, end: "-d", source: "tcp", target: target.address, key, flags });
      assert.deepEqual(identitiesOf(spiped.command.id), only(user, group));
      // A handshake needs the threads of the pool, too.
      assert.ok(await isAlive(await establishThrough(t, spiped.source, target, key)));
      assert.deepEqual(identitiesOf(spiped.command.id), only(user, group));
    });
  }

  test("-u with a number without an account keeps the group, and logs it", limits, async (t) => {
    const { command } = await startWith(t, withGroups, ["-u", "123456"]);
    assert.deepEqual(identitiesOf(command.id), only("123456", "0"));
    assert.match(command.lines[0] ?? "", /-u: user 123456 has no account .*, so the group stays 0$/);
  });

  for (const [what, start, args, identity, warning] of [
    [
      "the current user",
      ["--reuid", "1234", "--regid", "2345", "--clear-groups"],
      "1234:2345",
      only("1234", "2345"),
      undefined,
    ],
    [
      "the current user that may not drop its groups",
      ["--reuid", "1234", "--regid", "2345", "--groups", "4,20"],
      "1234:2345",
      only("1234", "2345").map((ids) => `${ids}4 20`),
      /-u: the supplementary groups stay \(4,20\), because this process may not drop them$/,
    ],
    [
      "the current user outside its login group",
      ["--reuid", idOf("-u", "games"), "--regid", "2345", "--clear-groups"],
      "games",
      only(idOf("-u", "games"), "2345"),
      /-u: the group stays 2345, because this process may not change it$/,
    ],
  ] as const) {
    test(`-u with ${what} needs no privileges`, limits, async (t) => {
      const { command } = await startWith(t, ["setpriv", ...start], ["-u", args]);
      assert.deepEqual(identitiesOf(command.id), identity);
      if (warning === undefined) assert.match(command.lines[0] ?? "", /listening on/);
      else assert.match(command.lines[0] ?? "", warning);
    });
  }

  test("-u works in a user namespace that forbids dropping groups", limits, async (t) => {
    const map = ["unshare", "--user", "--map-root-user"] as const;
    if (spawnSync(map[0], [...map.slice(1), "true"]).status !== 0) {
      t.skip("this system does not allow user namespaces");
      return;
    }
    const { command } = await startWith(t, [...withGroups, ...map], ["-u", "root"]);
    assert.match(
      command.lines[0] ?? "",
      /-u: the supplementary groups stay \(.*\), because this process may not drop them$/,
    );
    const { stderr } = await tryWith(t, map, ["-u", "games"]);
    assert.match(
      stderr,
      /^spiped: cannot change to user \d+, group \d+: it does not exist in this user namespace\nspiped: hint: /,
    );
  });

  test("-u drops the capabilities of a process that is not root, in all threads", limits, async (t) => {
    const sets = "+setuid,+setgid,+net_bind_service";
    const start = ["setpriv", "--reuid", "1234", "--regid", "2345", "--groups", "4,20", "--inh-caps", sets] as const;
    const { command } = await startWith(t, [...start, "--ambient-caps", sets], ["-u", "games"]);
    assert.deepEqual(identitiesOf(command.id), only(idOf("-u", "games"), idOf("-g", "games")));
    const [main, ...others] = threadsOf(command.id);
    for (const thread of [main, ...others]) {
      for (const set of ["CapPrm", "CapEff", "CapAmb"]) assert.match(thread?.get(set) ?? "", /^0+$/, set);
    }
    // Child processes are started by this thread.
    assert.match(main?.get("CapInh") ?? "", /^0+$/);
    assert.ok(others.length > 0);
  });

  for (const [what, start, args, expected] of [
    [
      "capabilities would stay",
      [
        "--reuid",
        "1234",
        "--regid",
        "2345",
        "--clear-groups",
        "--inh-caps",
        "+sys_ptrace",
        "--ambient-caps",
        "+sys_ptrace",
      ],
      "1234:2345",
      /-u could be undone: capabilities are left/,
    ],
    [
      "root's privileges would survive the change",
      ["--securebits", "+no_setuid_fixup"],
      "nobody",
      /-u could be undone: root's rights could be regained/,
    ],
    [
      "supplementary groups would stay that could be dropped",
      ["--groups", "4,20", "--inh-caps", "-setgid", "--bounding-set", "-setgid"],
      "1234",
      /cannot change to user 1234, group \(same\): not permitted/,
    ],
  ] as const) {
    test(`-u refuses to start if ${what}`, limits, async (t) => {
      const { status, stderr } = await tryWith(t, ["setpriv", ...start], ["-u", args]);
      assert.equal(status, 1);
      assert.match(stderr.split("\n")[0] ?? "", expected);
      assert.match(stderr.split("\n")[1] ?? "", /^spiped: hint: /);
    });
  }

  test("without -u spiped keeps its user and its groups", limits, async (t) => {
    const key = await newKey(t);
    const target = { kind: "unix", path: "/nowhere" } as const;
    const { command } = await startSpiped(t, { program, end: "-d", source: "unix", target, key });
    assert.deepEqual(
      identitiesOf(command.id),
      only("0", "0").map((identity) => `${identity}4 20 24`),
    );
  });

  test("the daemon has changed user before the first process exits 0", limits, async (t) => {
    const daemon = await startDaemonEnd(t, { program: program.spiped, source: "tcp", flags: ["-u", "games"] });
    assert.deepEqual(identitiesOf(daemon.id), only(idOf("-u", "games"), idOf("-g", "games")));
    assert.ok(await isAlive(await daemon.establish()));
  });

  test("the daemon logs once each file that it may no longer remove, and exits", limits, async (t) => {
    // Only root may write to its folder.
    const daemon = await startDaemonEnd(t, { source: "unix", flags: ["-u", "nobody"] });
    process.kill(daemon.id, "SIGTERM");
    await untilEnded(daemon.id);
    await daemon.command.exit();
    const said = daemon.command.lines.slice(1);
    assert.equal(said.filter((line) => /cannot remove .*socket: .*(EACCES|permission)/i.test(line)).length, 1);
    assert.equal(said.filter((line) => /cannot remove pid file .*(EACCES|permission)/i.test(line)).length, 1);
    assert.equal(said.filter((line) => /stopped/.test(line)).length, 1);
    assert.equal(said.length, 3, said.join("\n"));
    assert.deepEqual((await readdir(dirname(daemon.pidFile))).sort(), ["socket", "socket.pid"]);
  });

  /** spiped -d as the user nobody, with a target that it can reach. */
  async function startAsNobody(
    t: TestContext,
  ): Promise<Spiped & { establish: () => ReturnType<typeof establishThrough> }> {
    const key = await newKey(t);
    const target = await Listener.listen(t, "tcp");
    const flags = ["-u", "nobody", ...patience];
    const spiped = await startSpiped(t, { end: "-d", source: "tcp", target: target.address, key, flags });
    return { ...spiped, establish: () => establishThrough(t, spiped.source, target, key) };
  }

  test("SIGHUP after -u logs once that the key is not readable, and keeps the old key", limits, async (t) => {
    const { command, establish } = await startAsNobody(t);
    command.signal("SIGHUP");
    await command.line(
      /SIGHUP: cannot read key file .*: permission denied; keeping the old key; hint: .*spiped runs as user \d+ and must be able to read it$/,
    );
    assert.ok(await isAlive(await establish()));
    command.signal("SIGINT");
    await command.exit();
    assert.equal(command.lines.filter((line) => line.includes("SIGHUP")).length, 1);
  });

  for (const [what, args, expected] of [
    ["a colon", ":", /bad user ":"/],
    ["a user and no group after the colon", "nobody:", /bad user "nobody:"/],
    ["three parts", "nobody:nogroup:x", /bad user "nobody:nogroup:x"/],
    ["an unknown user", "no-such-user", /no user "no-such-user"/],
    ["an unknown group", "nobody:no-such-group", /no group "no-such-group"/],
    ["a user below 0", "-1:0", /no user "-1"/],
    ["the reserved user ID", "4294967295:0", /no user "4294967295"/],
    ["the reserved group ID", ":4294967295", /no group "4294967295"/],
  ] as const) {
    test(`-u refuses ${what}`, limits, async (t) => {
      const key = await newKey(t);
      const flags = ["-F", "-d", "-s", "/nowhere/socket", "-t", "/nowhere", "-k", key.path, "-u", args];
      const { status, stderr } = await Command.run(t, [...ours.spiped, ...flags]);
      assert.equal(status, 1);
      assert.match(stderr.split("\n")[0] ?? "", expected);
    });
  }

  test("the first process exits 1 when the daemon may not change user", limits, async (t) => {
    const key = await newKey(t);
    const source = textOf({ kind: "unix", path: `${dirname(key.path)}/socket` });
    const flags = ["-d", "-s", source, "-t", "/nowhere", "-k", key.path, "-u", "nobody"];
    const without = ["setpriv", "--bounding-set", "-setuid,-setgid", "--inh-caps", "-setuid,-setgid"] as const;
    const command = startDetached(t, [...without, ...ours.spiped, ...flags]);
    assert.equal((await command.exit()).status, 1);
    assert.match(command.lines[0] ?? "", /^spiped: cannot change to user \d+, group \d+: /);
    assert.match(command.lines[1] ?? "", /^spiped: hint: /);
    assert.equal(command.lines.length, 2);
    assert.deepEqual(await readdir(dirname(key.path)), ["key"]);
  });
});
