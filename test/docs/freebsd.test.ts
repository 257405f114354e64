// FreeBSD's rc script, run by this system's shell with the parts of /etc/rc.subr that it uses.

import assert from "node:assert/strict";
import { chmod, chown, mkdir, readdir, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { freeAddress, textOf } from "../support/addresses.js";
import { limits, temporaryFolder, until } from "../support/cleanup.js";
import { Command } from "../support/command.js";
import { establishThrough, readPidFile, startDetached } from "../support/daemon.js";
import { Listener } from "../support/listener.js";
import { isAlive } from "../support/one-end.js";
import { threadsOf, untilEnded } from "../support/processes.js";
import { ours, root } from "../support/programs.js";
import { asRoot } from "../support/root.js";
import { newKey } from "../support/tunnel.js";
import { sectionsOf } from "./pages.js";

const script = join(root, "contrib/freebsd/spiped");

/** As rc.subr(8) documents it: a command runs only if the service is enabled, with the arguments after its name. */
const rcSubr = `
load_rc_config() { . "$RC_CONF"; }
warn() { echo "$0: WARNING: $*" >&2; }
run_rc_command() {
  action=$1
  shift
  eval "enabled=\\$$rcvar"
  [ "$enabled" = YES ] || { echo "Cannot '$action' $name. Set $rcvar to YES"; return 0; }
  if [ "$action" = restart ]; then
    (run_rc_command stop "$@")
    (run_rc_command start "$@")
    return
  fi
  case " start stop status $extra_commands " in
  *" $action "*) eval "\\\${\${action}_cmd} \\$*" ;;
  *) exit 64 ;;
  esac
}
`;

test("sh parses FreeBSD's rc script", async (t) => {
  const { status, stderr } = await Command.run(t, ["/bin/sh", "-n", script]);
  assert.equal(status, 0, stderr);
});

asRoot(["ps", "install"], () => {
  /** The service on this system: `settings` are lines of rc.conf. */
  async function service(t: TestContext, settings: readonly string[]) {
    const folder = await temporaryFolder(t);
    // So that the user nobody can reach it.
    await chmod(folder, 0o755);
    const file = (name: string) => join(folder, name);
    await writeFile(file("rc.subr"), rcSubr);
    await writeFile(file("spiped"), (await readFile(script, "utf8")).replace("/etc/rc.subr", file("rc.subr")));
    const command = `#!/bin/sh\necho "$PATH" >${file("path")}\nexec ${ours.spiped.join(" ")} "$@"\n`;
    await writeFile(file("command"), command, { mode: 0o755 });
    const own = [`spiped_command=${file("command")}`, "spiped_gid=nogroup", `spiped_run=${file("run")}`];
    await writeFile(file("rc.conf"), `${[...own, ...settings].join("\n")}\n`);
    return {
      file,
      /** The process of a tunnel, after it has changed to the user nobody: with -D, start returns before SOURCE listens. */
      idOf: async (pipe: string) => {
        const id = readPidFile(file(`run/${pipe}.pid`));
        const isNobodys = () => /^65534\t/.test(threadsOf(id)[0]?.get("Uid") ?? "") || undefined;
        await until(isNobodys, `${pipe} to listen`);
        return id;
      },
      run: async (...args: string[]) => {
        // As service(8) runs it.
        const env = { PATH: "/sbin:/bin:/usr/sbin:/usr/bin", RC_CONF: file("rc.conf") };
        const [stdout, stderr] = [file("out"), file("errors")];
        const line = `exec /bin/sh ${file("spiped")} "$@" >${stdout} 2>${stderr}`;
        const { status } = await startDetached(t, ["/bin/sh", "-c", line, "sh", ...args], { env }).ownExit();
        return { status, stdout: await readFile(stdout, "utf8"), stderr: await readFile(stderr, "utf8") };
      },
    };
  }

  async function tunnel(t: TestContext, name: string, mode: string) {
    const [key, target, source] = [await newKey(t), await Listener.listen(t, "tcp"), await freeAddress(t, "tcp")];
    const of = { mode, source: textOf(source), target: textOf(target.address), key: key.path };
    const settings = Object.entries(of).map(([what, value]) => `spiped_pipe_${name}_${what}='${value}'`);
    return { settings, establish: () => establishThrough(t, source, target, key) };
  }

  test(
    "FreeBSD's rc script starts, shows the status of, reloads, restarts and stops several tunnels",
    limits,
    async (t) => {
      const [one, other] = [await tunnel(t, "one", "server"), await tunnel(t, "other", "decrypt")];
      const { file, idOf, run } = await service(t, [
        "spiped_enable=YES",
        "spiped_pipes='one other'",
        ...one.settings,
        ...other.settings,
        "spiped_pipe_one_flags='-n 7 -g'",
      ]);
      const stopped = "spiped: one does not run\nspiped: other does not run\n";
      assert.deepEqual(await run("status"), { status: 1, stdout: stopped, stderr: "" });
      const started = "Starting spiped: one\nStarting spiped: other\n";
      assert.deepEqual(await run("start"), { status: 0, stdout: started, stderr: "" });
      assert.ok((await readFile(file("path"), "utf8")).trimEnd().split(":").includes("/usr/local/bin"));
      const [first, second] = [await idOf("one"), await idOf("other")];
      for (const { establish } of [one, other]) {
        const established = await establish();
        assert.ok(await isAlive(established));
        established.plain.finish();
        established.peer.link.finish();
      }
      const running = `spiped: one runs as pid ${first}\nspiped: other runs as pid ${second}\n`;
      assert.deepEqual(await run("status"), { status: 0, stdout: running, stderr: "" });
      const again = "spiped: one already runs\nspiped: other already runs\n";
      assert.deepEqual(await run("start"), { status: 0, stdout: again, stderr: "" });
      assert.equal((await run("reload")).status, 0);
      assert.equal((await run("status")).stdout, running);

      const { status, stdout } = await run("restart", "other");
      assert.deepEqual([status, stdout], [0, "Stopping spiped: other\nStarting spiped: other\n"]);
      assert.equal(await idOf("one"), first);
      assert.notEqual(await idOf("other"), second);
      assert.deepEqual(await run("stop"), { status: 0, stdout: "Stopping spiped: one other\n", stderr: "" });
      assert.deepEqual(await run("status"), { status: 1, stdout: stopped, stderr: "" });
      assert.deepEqual(await readdir(file("run")), [], "what the daemons may not remove, the script does");
    },
  );

  test("FreeBSD's rc script reads pids from root's folder only", limits, async (t) => {
    const one = await tunnel(t, "one", "server");
    const { file, idOf, run } = await service(t, ["spiped_enable=YES", "spiped_pipes=one", ...one.settings]);
    // As an earlier version of the script would leave it.
    await mkdir(file("run"));
    await chown(file("run"), 65_534, 65_534);
    assert.equal((await run("start")).status, 0);
    const { uid, gid, mode } = await stat(file("run"));
    assert.deepEqual([uid, gid, mode & 0o777], [0, 0, 0o755]);
    assert.equal((await stat(file("run/one.pid"))).uid, 0);
    // A killed spiped leaves its pid file, which does not disturb start or stop.
    const killed = await idOf("one");
    process.kill(killed, "SIGKILL");
    await untilEnded(killed);
    assert.equal((await run("start")).status, 0);
    assert.notEqual(await idOf("one"), killed);
    const second = await idOf("one");
    process.kill(second, "SIGKILL");
    await untilEnded(second);
    assert.equal((await run("stop")).status, 0);
    assert.deepEqual(await readdir(file("run")), []);
  });

  test("docs/deployment.md's commands for FreeBSD start a tunnel", limits, async (t) => {
    const [key, target, source] = [await newKey(t), await Listener.listen(t, "tcp"), await freeAddress(t, "tcp")];
    const { file, idOf } = await service(t, []);
    const section = sectionsOf("docs/deployment.md").find(({ name }) => name.endsWith(": FreeBSD"));
    const commands = (section?.blocks[0]?.commands ?? "")
      .replaceAll("/usr/local/etc/rc.d/spiped", file("installed"))
      .replace("/usr/local/etc/spiped/ssh.key", key.path)
      .replace("'[127.0.0.1]:22'", `'${textOf(target.address)}'`)
      .replace("'[0.0.0.0]:8022'", `'${textOf(source)}'`);
    // sysrc(8) writes rc.conf(5); service(8) runs the script, here with the rc.subr of this test.
    const before = `
      set -eu
      export RC_CONF=${file("rc.conf")}
      sysrc() { for word; do echo "\${word%%=*}='\${word#*=}'" >>"$RC_CONF"; done; }
      service() {
        sed "s:/etc/rc.subr:${file("rc.subr")}:" ${file("installed")} >${file("script")}
        sh ${file("script")} "$2" >${file("said")} 2>&1
      }
    `;
    const args = ["/bin/sh", "-c", `${before}\n${commands}`] as const;
    const { status } = await startDetached(t, args, { stdin: "ignore", cwd: root }).ownExit();
    assert.equal(status, 0, await readFile(file("said"), "utf8"));
    await idOf("ssh");
    assert.ok(await isAlive(await establishThrough(t, source, target, key)));
  });

  test("FreeBSD's rc script cuts connections that do not end in time", limits, async (t) => {
    const one = await tunnel(t, "one", "server");
    const settings = ["spiped_enable=YES", "spiped_pipes=one", "spiped_stop_seconds=1", ...one.settings];
    const { idOf, run } = await service(t, settings);
    assert.equal((await run("start")).status, 0);
    await idOf("one");
    const established = await one.establish();
    assert.ok(await isAlive(established));
    assert.equal((await run("stop")).status, 0);
    assert.equal(await established.plain.endWhileOpen(), "reset");
  });

  test("FreeBSD's rc script starts the other tunnels if one cannot start, and fails", limits, async (t) => {
    const [good, keyless, odd] = [
      await tunnel(t, "good", "server"),
      await tunnel(t, "keyless", "server"),
      await tunnel(t, "odd", "both"),
    ];
    const { idOf, run } = await service(t, [
      "spiped_enable=YES",
      "spiped_pipes='odd keyless good'",
      ...good.settings,
      ...keyless.settings,
      ...odd.settings,
      "spiped_pipe_keyless_key=/nowhere/key",
    ]);
    const { status, stdout, stderr } = await run("start");
    assert.deepEqual([status, stdout], [1, "Starting spiped: keyless\nStarting spiped: good\n"]);
    assert.match(stderr, /WARNING: spiped_pipe_odd_mode must be client or server$/m);
    assert.match(stderr, /^\S+Z spiped: cannot read key file \/nowhere\/key: there is no such file$/m);
    assert.match(stderr, /WARNING: could not start keyless$/m);
    await idOf("good");
    assert.ok(await isAlive(await good.establish()));
  });

  test("FreeBSD's rc script ignores another program's process in a pid file, and starts nothing if disabled", {
    ...limits,
  }, async (t) => {
    const settings = ["spiped_enable=YES", "spiped_pipes=one"];
    const { file, run } = await service(t, settings);
    await mkdir(file("run"));
    const stranger = Command.start(t, ["sleep", "600"]);
    await writeFile(file("run/one.pid"), String(stranger.id));
    assert.equal((await run("status")).stdout, "spiped: one does not run\n");
    assert.equal((await run("stop")).status, 0);
    assert.ok(!stranger.isGone);
    await writeFile(file("rc.conf"), "spiped_pipes=one\n");
    assert.match((await run("start")).stdout, /^Cannot 'start' spiped\./);
  });
});
