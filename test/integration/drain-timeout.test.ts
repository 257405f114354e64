// --drain-timeout: how long connections may continue after SIGTERM.

import assert from "node:assert/strict";
import { test } from "node:test";
import { limits } from "../support/cleanup.js";
import { Command } from "../support/command.js";
import { allEnds, isAlive } from "../support/one-end.js";
import { ours } from "../support/programs.js";
import { newKey, patience } from "../support/tunnel.js";

for (const { name, kind, start } of allEnds) {
  test(`${name} resets what is still open after --drain-timeout, logs that, and exits 1`, limits, async (t) => {
    const end = await start(t, ["--drain-timeout", "0.05", ...patience]);
    const { peer, plain } = await end.establish();
    const { command } = end.spiped;
    command.signal("SIGTERM");
    const expected = kind === "tcp" ? "reset" : "fin";
    for (const socket of [plain, peer.link]) assert.equal(await socket.end(), expected);
    assert.equal((await command.exit()).status, 1);
    const line = "spiped: stopped: reset 1 open connection after 0.05 s (--drain-timeout)";
    assert.deepEqual(
      command.lines.filter((one) => one.includes("--drain-timeout")),
      [line],
    );
  });
}

const [end] = allEnds;

test(
  "connections that end before --drain-timeout are not cut, and spiped does not wait for the rest of it",
  limits,
  async (t) => {
    const one = await end?.start(t, ["--drain-timeout", "604800", ...patience]);
    assert.ok(one !== undefined);
    const { peer, plain } = await one.establish();
    one.spiped.command.signal("SIGTERM");
    await one.spiped.command.line(/shutting down, draining/);
    assert.ok(await isAlive({ peer, plain }));
    plain.finish();
    peer.link.finish();
    assert.equal((await one.spiped.command.exit()).status, 0);
  },
);

test("a second SIGTERM does not wait for --drain-timeout", limits, async (t) => {
  const one = await end?.start(t, ["--drain-timeout", "604800", ...patience]);
  assert.ok(one !== undefined);
  await one.establish();
  const { command } = one.spiped;
  command.signal("SIGTERM");
  await command.line(/shutting down, draining/);
  command.signal("SIGTERM");
  await command.line(/^spiped: stopped: reset 1 open connection$/);
  assert.equal((await command.exit()).status, 1);
});

test("--drain-timeout 0 is no limit, and bad values are refused", limits, async (t) => {
  const one = await end?.start(t, ["--drain-timeout", "0", ...patience]);
  assert.ok(one !== undefined);
  const established = await one.establish();
  one.spiped.command.signal("SIGTERM");
  await one.spiped.command.line(/shutting down, draining/);
  assert.ok(await isAlive(established));
  const key = await newKey(t);
  const refused: [string, RegExp][] = ["-1", "604801", "2147484", "1e99", "ever", " "].map((value) => [
    value,
    /^spiped: bad number of seconds for --drain-timeout: /,
  ]);
  for (const [value, message] of [...refused, ["", /^spiped: --drain-timeout has an empty value$/m] as const]) {
    const flags = ["-F", "-d", "-s", "/s", "-t", "/t", "-k", key.path, `--drain-timeout=${value}`] as const;
    const { status, stderr } = await Command.run(t, [...ours.spiped, ...flags]);
    assert.equal(status, 1);
    assert.match(stderr, message);
  }
});
