// spiped started with the exact arguments of its known users: Puppet's unit, the Docker image, FreeBSD's rc script.

import assert from "node:assert/strict";
import { access } from "node:fs/promises";
import { dirname, join } from "node:path";
import { type TestContext, test } from "node:test";
import { type Address, freeAddress, textOf } from "../support/addresses.js";
import { limits, temporaryFolder } from "../support/cleanup.js";
import { Command } from "../support/command.js";
import { Container, containerCommands } from "../support/container.js";
import { establishThrough, readPidFile, startDetached, stopDaemon } from "../support/daemon.js";
import { Listener } from "../support/listener.js";
import { type Established, isAlive } from "../support/one-end.js";
import { childrenOf, threadsOf } from "../support/processes.js";
import { ours } from "../support/programs.js";
import { ReferencePeer } from "../support/reference-peer.js";
import { asRoot } from "../support/root.js";
import { TestSocket } from "../support/test-socket.js";
import { newKey } from "../support/tunnel.js";

test(
  "spiped runs with the arguments of Puppet's unit: -e -D -g -F -k /etc/spiped/NAME.key -s … -t …",
  limits,
  async (t) => {
    const key = await newKey(t);
    const link = await Listener.listen(t, "tcp");
    const source = await freeAddress(t, "tcp");
    const addresses = ["-s", textOf(source), "-t", textOf(link.address)];
    const args = [...ours.spiped, "-e", "-D", "-g", "-F", "-k", key.path, ...addresses] as const;
    const command = Command.start(t, args, { stdin: "ignore" });
    await command.line(/listening on/);
    const app = await TestSocket.connect(t, source);
    const peer = ReferencePeer.server(await link.next(), { keyFile: key.bytes });
    await peer.handshake();
    assert.ok(await isAlive({ peer, plain: app }));
    // systemd stops it with SIGTERM.
    command.signal("SIGTERM");
    await command.line(/SIGTERM: shutting down/);
    app.finish();
    peer.link.finish();
    assert.deepEqual(await command.exit(), { status: 0, signal: null });
  },
);

asRoot(containerCommands, () => {
  /** The Docker image's command as the first process of a container, with further arguments. */
  async function startImage(t: TestContext): Promise<{
    readonly command: Command;
    readonly id: number;
    readonly source: Address;
    establish(): Promise<Established>;
  }> {
    const key = await newKey(t);
    const target = await Listener.listen(t, "tcp");
    const source = await freeAddress(t, "tcp");
    const container = await Container.start(t, { "/spiped": dirname(key.path) });
    const more = ["-d", "-s", textOf(source), "-t", textOf(target.address)];
    const args = container.insideAsFirst([...ours.spiped, "-k", "/spiped/key", "-F", ...more]);
    const command = Command.start(t, args, { stdin: "ignore" });
    await command.line(/listening on/);
    const [id = 0] = childrenOf(command.id);
    assert.match(threadsOf(id)[0]?.get("NSpid") ?? "", /\t1$/, "it is the first process");
    return { command, id, source, establish: () => establishThrough(t, source, target, key) };
  }

  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    test(`spiped with the Docker image's -k /spiped/key -F … as process 1 exits 0 on ${signal}`, limits, async (t) => {
      const { command, id } = await startImage(t);
      process.kill(id, signal);
      assert.deepEqual(await command.exit(), { status: 0, signal: null });
    });
  }

  test("the Docker image drains connections on the first signal, and cuts them on the second", limits, async (t) => {
    for (const isPatient of [true, false]) {
      const { command, id, establish } = await startImage(t);
      const { peer, plain } = await establish();
      assert.ok(await isAlive({ peer, plain }));
      process.kill(id, "SIGTERM");
      await command.line(/SIGTERM: shutting down/);
      assert.ok(await isAlive({ peer, plain }));
      if (isPatient) {
        peer.link.finish();
        plain.finish();
        assert.deepEqual(await command.exit(), { status: 0, signal: null });
      } else {
        process.kill(id, "SIGTERM");
        assert.equal(await plain.endWhileOpen(), "reset");
        assert.deepEqual(await command.exit(), { status: 1, signal: null });
      }
    }
  });

  test("spiped runs with the arguments of FreeBSD's rc script: -D -d -s … -t … -k … -u … -p …", limits, async (t) => {
    const folder = await temporaryFolder(t);
    const key = await newKey(t);
    const target = await Listener.listen(t, "tcp");
    const source = await freeAddress(t, "tcp");
    const pidFile = join(folder, "spiped_name.pid");
    const addresses = ["-s", textOf(source), "-t", textOf(target.address)];
    const flags = ["-D", "-d", ...addresses, "-k", key.path, "-u", "nobody", "-p", pidFile];
    const command = startDetached(t, [...ours.spiped, ...flags], { stdin: "ignore", cwd: folder });
    assert.equal((await command.ownExit()).status, 0, command.stderr);
    const id = readPidFile(pidFile);
    await command.line(/listening on/);
    assert.ok(await isAlive(await establishThrough(t, source, target, key)));
    assert.notEqual(threadsOf(id)[0]?.get("Uid")?.split("\t")[0], "0");
    await stopDaemon({ id }, "SIGINT");
    // The user nobody may not write to the folder, so the file stays, and this is logged.
    await command.line(/cannot remove pid file/);
    await access(pidFile);
  });
});
