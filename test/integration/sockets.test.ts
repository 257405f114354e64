// Socket options that spiped sets, and the address that it listens on.

import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { freePort, textOf } from "../support/addresses.js";
import { limits } from "../support/cleanup.js";
import { Command } from "../support/command.js";
import { establishThrough } from "../support/daemon.js";
import { Listener } from "../support/listener.js";
import { Names, withNames } from "../support/names.js";
import { isAlive, startClientEnd, startServerEnd } from "../support/one-end.js";
import { ours, root } from "../support/programs.js";
import { asRoot } from "../support/root.js";
import { newKey, patience } from "../support/tunnel.js";

asRoot(["python3"], () => {
  for (const flags of [[], ["-j"]] as const) {
    for (const start of [startServerEnd, startClientEnd]) {
      const name = `spiped ${start === startServerEnd ? "-d" : "-e"} ${flags.join(" ")}`.trimEnd();
      test(`${name} sets TCP_NODELAY and keep-alive on both sides unless disabled`, limits, async (t) => {
        const end = await start(t, { kind: "tcp", flags: [...flags, ...patience] });
        assert.ok(await isAlive(await end.establish()));
        const script = join(root, "test/support/socket-options.py");
        const { stdout, stderr } = await Command.run(t, ["python3", script, String(end.spiped.command.id)]);
        assert.equal(stderr, "");
        const sockets = stdout
          .trim()
          .split("\n")
          .map((line) => JSON.parse(line) as Readonly<Record<string, boolean | readonly number[]>>);
        const [listening, connected] = [
          sockets.filter((one) => one["listens"]),
          sockets.filter((one) => !one["listens"]),
        ];
        assert.ok(listening.length > 0 && listening.every((one) => one["reuseAddress"]), stdout);
        assert.equal(connected.length, 2, stdout);
        for (const one of connected) assert.deepEqual([one["noDelay"], one["keepAlive"]], [true, flags.length === 0]);
        // Idle seconds before the first probe, seconds between probes, and their number.
        if (flags.length === 0) for (const one of connected) assert.deepEqual(one["probes"], [60, 10, 6]);
      });
    }
  }
}, ["inspection"]);

test("listens again at once on an address whose connections have just ended", limits, async (t) => {
  const key = await newKey(t);
  const target = await Listener.listen(t, "tcp");
  const source = { kind: "tcp", host: "127.0.0.1", port: await freePort("127.0.0.1") } as const;
  const args = ["-F", "-d", "-s", textOf(source), "-t", textOf(target.address), "-k", key.path, ...patience];
  for (let count = 0; count < 3; count += 1) {
    const command = Command.start(t, [...ours.spiped, ...args], { stdin: "ignore" });
    await command.line(/listening on/);
    const { peer, plain } = await establishThrough(t, source, target, key);
    command.signal("SIGTERM");
    await command.line(/shutting down, draining/);
    // The port of the side that ends first stays in TIME_WAIT.
    plain.finish();
    await peer.link.end();
    peer.link.finish();
    assert.equal((await command.exit()).status, 0);
  }
});

withNames(() => {
  test("listens on the first address of a name with several, and logs it", limits, async (t) => {
    const names = await Names.create(t);
    names.set("several.example", "127.0.0.3", "127.0.0.2");
    const key = await newKey(t);
    const target = await Listener.listen(t, "tcp");
    const port = await freePort("127.0.0.3");
    const args = [
      "-F",
      "-d",
      "-s",
      `several.example:${port}`,
      "-t",
      textOf(target.address),
      "-k",
      key.path,
      ...patience,
    ];
    const command = Command.start(t, [...ours.spiped, ...args], { stdin: "ignore", env: names.env });
    const warning = await command.line(
      /several\.example:\d+ resolves to 2 addresses; listening on \[127\.0\.0\.\d\]:\d+ only/,
    );
    const host = /\[(127\.0\.0\.[23])\]/.exec(warning)?.[1] === "127.0.0.2" ? "127.0.0.2" : "127.0.0.3";
    await command.line(/: listening on \[127/);
    assert.ok(await isAlive(await establishThrough(t, { kind: "tcp", host, port }, target, key)));
    assert.equal(command.lines.length, 2, command.stderr);
  });
});
