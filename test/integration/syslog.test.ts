// --syslog: after the start, log messages go to the system log, and spiped keeps running without one.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { freeAddress, textOf } from "../support/addresses.js";
import { limits, temporaryFolder } from "../support/cleanup.js";
import { Command } from "../support/command.js";
import { Container, containerCommands } from "../support/container.js";
import { annoy, startDaemonEnd, startDetached } from "../support/daemon.js";
import { isAlive } from "../support/one-end.js";
import { ours, root } from "../support/programs.js";
import { asRoot } from "../support/root.js";
import { newKey } from "../support/tunnel.js";

/** The test's own system log. Its lines are the datagrams. */
async function startSyslog(t: TestContext, container: Container, kind?: "stream"): Promise<Command> {
  const more = kind === undefined ? [] : [kind];
  const args = container.inside(["python3", join(root, "test/support/syslog.py"), ...more]);
  const syslog = Command.start(t, args, { stdin: "ignore" });
  await syslog.line(/^listening$/);
  return syslog;
}

const time = "[A-Z][a-z]{2} [ 123]\\d \\d\\d:\\d\\d:\\d\\d";

asRoot([...containerCommands, "python3"], () => {
  test("spiped -F --syslog writes to the system log and not to standard error", limits, async (t) => {
    const container = await Container.start(t);
    const syslog = await startSyslog(t, container);
    const key = await newKey(t);
    const target = await freeAddress(t, "unix");
    const source = await freeAddress(t, "unix");
    const flags = ["-F", "--syslog", "-d", "-s", textOf(source), "-t", textOf(target), "-k", key.path];
    const command = Command.start(t, container.inside([...ours.spiped, ...flags]), { stdin: "ignore" });
    await syslog.line(new RegExp(`^<29>${time} spiped\\[${command.id}\\]: listening on `));
    await annoy(t, source);
    await syslog.line(new RegExp(`^<28>${time} spiped\\[${command.id}\\]: connection from .*: handshake failed`));
    command.signal("SIGTERM");
    assert.equal((await command.exit()).status, 0);
    await syslog.line(/^<29>.*: stopped: all connections closed$/);
    assert.equal(command.stderr, "");
  });

  test("the daemon writes to the system log under its own process ID", limits, async (t) => {
    const container = await Container.start(t);
    const syslog = await startSyslog(t, container);
    const daemon = await startDaemonEnd(t, { program: container.inside(ours.spiped), flags: ["--syslog"] });
    await syslog.line(new RegExp(`^<29>${time} spiped\\[${daemon.id}\\]: listening on `));
    await annoy(t, daemon.source);
    await syslog.line(new RegExp(`^<28>${time} spiped\\[${daemon.id}\\]: connection from `));
    assert.equal(daemon.command.stderr, "");
  });

  test(
    "the daemon writes to a stream socket of the system log, and reconnects after its restart",
    limits,
    async (t) => {
      const container = await Container.start(t);
      let syslog = await startSyslog(t, container, "stream");
      const daemon = await startDaemonEnd(t, {
        program: container.inside(ours.spiped),
        flags: ["--syslog", "-n", "0"],
      });
      await syslog.line(new RegExp(`^<29>${time} spiped\\[${daemon.id}\\]: listening on `));
      for (const kind of ["stream", undefined, "stream"] as const) {
        for (let count = 0; count < 2; count += 1) await annoy(t, daemon.source);
        await syslog.line(new RegExp(`^<28>${time} spiped\\[${daemon.id}\\]: connection from `), 2);
        await syslog.kill();
        await annoy(t, daemon.source);
        syslog = await startSyslog(t, container, kind);
      }
      assert.ok(await isAlive(await daemon.establish()));
      assert.equal(daemon.command.stderr, "");
    },
  );

  test("the daemon drops whole messages while a stream system log does not read", limits, async (t) => {
    const container = await Container.start(t);
    const syslog = await startSyslog(t, container, "stream");
    const daemon = await startDaemonEnd(t, { program: container.inside(ours.spiped), flags: ["--syslog", "-n", "0"] });
    await syslog.line(/listening on/);
    syslog.signal("SIGSTOP");
    // More than the kernel buffers of a stream that is not read.
    const bytes = Number(readFileSync("/proc/sys/net/core/wmem_default", "utf8"));
    const sent = Math.ceil(bytes / 150);
    const friend = await daemon.establish();
    for (let count = 0; count < 2 * sent; count += 1) {
      process.kill(daemon.id, "SIGHUP");
      assert.ok(await isAlive(friend));
    }
    syslog.signal("SIGCONT");
    await syslog.line(/SIGHUP: reloaded/, 10);
    await annoy(t, daemon.source);
    await syslog.line(/connection from/);
    const [, ...lines] = syslog.lines;
    const whole = new RegExp(`^<2\\d>${time} spiped\\[${daemon.id}\\]: .*[a-z)]$`);
    for (const line of lines) assert.match(line, whole);
    assert.ok(lines.length < sent, `${lines.length} of ${sent} lines`);
  });

  test("a failed start is reported on standard error in spite of --syslog", limits, async (t) => {
    const container = await Container.start(t);
    const syslog = await startSyslog(t, container);
    for (const more of [[], ["-F"]]) {
      const flags = ["--syslog", "-d", "-s", "/nowhere/socket", "-t", "/nowhere", "-k", "/no-key", ...more];
      const command = startDetached(t, container.inside([...ours.spiped, ...flags]));
      assert.equal((await command.exit()).status, 1);
      assert.match(command.lines[0] ?? "", /^spiped: cannot read key file \/no-key/);
    }
    assert.deepEqual(syslog.lines, ["listening"]);
  });

  test("the daemon runs without a system log, and reconnects when it is back", limits, async (t) => {
    const container = await Container.start(t);
    const daemon = await startDaemonEnd(t, { program: container.inside(ours.spiped), flags: ["--syslog"] });
    await annoy(t, daemon.source);
    for (let count = 0; count < 2; count += 1) {
      const syslog = await startSyslog(t, container);
      await annoy(t, daemon.source);
      await syslog.line(/connection from/);
      // The file of its socket stays, and connections to it are refused.
      await syslog.kill();
      await annoy(t, daemon.source);
      assert.ok(await isAlive(await daemon.establish()));
    }
    assert.equal(daemon.command.stderr, "");
  });

  test("the daemon drops messages while the system log does not read, and does not block", limits, async (t) => {
    const queued = Number(readFileSync("/proc/sys/net/unix/max_dgram_qlen", "utf8"));
    const container = await Container.start(t);
    const syslog = await startSyslog(t, container);
    const daemon = await startDaemonEnd(t, { program: container.inside(ours.spiped), flags: ["--syslog", "-n", "0"] });
    await syslog.line(/listening on/);
    syslog.signal("SIGSTOP");
    const sent = 2 * queued + 10;
    const friend = await daemon.establish();
    for (let count = 0; count < sent; count += 1) {
      process.kill(daemon.id, "SIGUSR1");
      assert.ok(await isAlive(friend));
    }
    assert.ok(await isAlive(await daemon.establish()));
    syslog.signal("SIGCONT");
    // The sender's buffer may be full before the queue is.
    await syslog.line(/spiped\[\d+\]: /, Math.min(queued, 100));
    await annoy(t, daemon.source);
    await syslog.line(/handshake failed/);
    const received = syslog.lines.filter((line) => line.includes("SIGUSR1: ")).length;
    assert.ok(received < sent, `${received} of ${sent} lines`);
  });

  test("the daemon writes to the system log as the user of -u", limits, async (t) => {
    const container = await Container.start(t);
    const syslog = await startSyslog(t, container);
    const cwd = await temporaryFolder(t);
    const program = container.inside(ours.spiped, cwd);
    const flags = ["--syslog", "-u", "nobody"];
    const daemon = await startDaemonEnd(t, { program, cwd, source: "tcp", flags });
    await annoy(t, daemon.source);
    await syslog.line(/connection from/);
  });
});
