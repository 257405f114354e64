// -u: whom spiped becomes once it listens and has its key, in all of its threads, and what it can no longer do then.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readdir } from "node:fs/promises";
import { dirname } from "node:path";
import { type TestContext, test } from "node:test";
import { textOf } from "../support/addresses.js";
import { limits } from "../support/cleanup.js";
import { Command } from "../support/command.js";
import { establishThrough, startDaemonEnd, startDetached } from "../support/daemon.js";
import { Listener } from "../support/listener.js";
import { isAlive } from "../support/one-end.js";
import { threadsOf, untilEnded } from "../support/processes.js";
import { ours } from "../support/programs.js";
import { asRoot } from "../support/root.js";
import { newKey, patience, type Spiped, startSpiped } from "../support/tunnel.js";

/** Starts words with supplementary groups, which somebody who becomes another must not keep. */
const withGroups = ["setpriv", "--groups", "4,20,24"] as const;

/** What the system says of an account: the words of `id`. */
function idOf(flag: "-u" | "-g", name: string): string {
  return spawnSync("id", [flag, name], { encoding: "utf8" }).stdout.trim();
}

/** The users, the groups and the supplementary groups of a process's threads, each thread's once. */
function identitiesOf(id: number): readonly string[] {
  const identities = threadsOf(id).map((thread) =>
    [thread.get("Uid"), thread.get("Gid"), thread.get("Groups")].join("; "),
  );
  return [...new Set(identities)];
}

/** A user and a group in all four places where Linux has them, and no supplementary group. */
function only(user: string, group: string): readonly string[] {
  return [[Array(4).fill(user).join("\t"), Array(4).fill(group).join("\t"), ""].join("; ")];
}

asRoot(["id", "setpriv"], () => {
  const program = { ...ours, spiped: [...withGroups, ...ours.spiped] } as const;

  for (const [words, user, group] of [
    ["nobody", idOf("-u", "nobody"), idOf("-g", "nobody")],
    // The login group of these has another number than they.
    ["games", idOf("-u", "games"), idOf("-g", "games")],
    ["sync", idOf("-u", "sync"), idOf("-g", "sync")],
    [idOf("-u", "games"), idOf("-u", "games"), idOf("-g", "games")],
    ["daemon:www-data", idOf("-u", "daemon"), idOf("-g", "www-data")],
    [`www-data:${idOf("-g", "games")}`, idOf("-u", "www-data"), idOf("-g", "games")],
    ["123456:234567", "123456", "234567"],
    [":bin", "0", idOf("-g", "bin")],
    [":345678", "0", "345678"],
  ] as const) {
    test(`-u ${words} is user ${user} and group ${group} in all threads, without another group`, limits, async (t) => {
      const key = await newKey(t);
      const target = await Listener.listen(t, "tcp");
      const flags = ["-u", words, ...patience];
      const spiped = await startSpiped(t, { program, end: "-d", source: "tcp", target: target.address, key, flags });
      assert.deepEqual(identitiesOf(spiped.command.id), only(user, group));
      // A handshake needs the threads of the pool, too.
      assert.ok(await isAlive(await establishThrough(t, spiped.source, target, key)));
      assert.deepEqual(identitiesOf(spiped.command.id), only(user, group));
    });
  }

  test("without -u spiped stays who it is, with its groups", limits, async (t) => {
    const key = await newKey(t);
    const target = { kind: "unix", path: "/nowhere" } as const;
    const { command } = await startSpiped(t, { program, end: "-d", source: "unix", target, key });
    assert.deepEqual(
      identitiesOf(command.id),
      only("0", "0").map((identity) => `${identity}4 20 24`),
    );
  });

  test("the daemon is somebody else by the time the first process returns 0", limits, async (t) => {
    const daemon = await startDaemonEnd(t, { program: program.spiped, source: "tcp", flags: ["-u", "games"] });
    assert.deepEqual(identitiesOf(daemon.id), only(idOf("-u", "games"), idOf("-g", "games")));
    assert.ok(await isAlive(await daemon.establish()));
  });

  test("the daemon says in one line each what it can no longer remove, and ends", limits, async (t) => {
    // Its folder is only for the superuser.
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

  /** spiped -d as nobody, before a target that it may reach. */
  async function startAsNobody(
    t: TestContext,
  ): Promise<Spiped & { establish: () => ReturnType<typeof establishThrough> }> {
    const key = await newKey(t);
    const target = await Listener.listen(t, "tcp");
    const flags = ["-u", "nobody", ...patience];
    const spiped = await startSpiped(t, { end: "-d", source: "tcp", target: target.address, key, flags });
    return { ...spiped, establish: () => establishThrough(t, spiped.source, target, key) };
  }

  test("SIGHUP after -u is one line where the key can no longer be read, and the old key stays", limits, async (t) => {
    const { command, establish } = await startAsNobody(t);
    command.signal("SIGHUP");
    await command.line(/SIGHUP: cannot read key file .*: permission denied; the old key stays/);
    assert.ok(await isAlive(await establish()));
    command.signal("SIGINT");
    await command.exit();
    assert.equal(command.lines.filter((line) => line.includes("SIGHUP")).length, 1);
  });

  for (const [what, words, expected] of [
    ["nothing", "", /bad user ""/],
    ["a colon", ":", /bad user ":"/],
    ["a user and no group behind the colon", "nobody:", /bad user "nobody:"/],
    ["three parts", "nobody:nogroup:x", /bad user "nobody:nogroup:x"/],
    ["an unknown user", "no-such-user", /no user "no-such-user"/],
    ["an unknown group", "nobody:no-such-group", /no group "no-such-group"/],
    ["a number without an account and no group", "123456", /user 123456 has no account/],
    ["a user below 0", "-1:0", /no user "-1"/],
    ["a user that stands for none", "4294967295:0", /user|4294967295/],
    ["a group that stands for none", ":4294967295", /no group "4294967295"/],
  ] as const) {
    test(`-u refuses ${what}`, limits, async (t) => {
      const key = await newKey(t);
      const flags = ["-F", "-d", "-s", "/nowhere/socket", "-t", "/nowhere", "-k", key.path, "-u", words];
      const { status, stderr } = await Command.run(t, [...ours.spiped, ...flags]);
      assert.equal(status, 1);
      assert.match(stderr.split("\n")[0] ?? "", expected);
    });
  }

  test(
    "the first process returns 1 when the system does not let the daemon become somebody else",
    limits,
    async (t) => {
      const key = await newKey(t);
      const source = textOf({ kind: "unix", path: `${dirname(key.path)}/socket` });
      const flags = ["-d", "-s", source, "-t", "/nowhere", "-k", key.path, "-u", "nobody"];
      const without = ["setpriv", "--bounding-set", "-setuid,-setgid", "--inh-caps", "-setuid,-setgid"] as const;
      const command = startDetached(t, [...without, ...ours.spiped, ...flags]);
      assert.equal((await command.exit()).status, 1);
      assert.match(command.lines[0] ?? "", /^spiped: cannot change to user \d+, group \d+: /);
      assert.match(command.lines[1] ?? "", /^hint: /);
      assert.equal(command.lines.length, 2);
      assert.deepEqual(await readdir(dirname(key.path)), ["key"]);
    },
  );
});
