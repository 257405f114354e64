// ssh and scp with spipe as their ProxyCommand, to an sshd behind spiped -d: the main use of spipe.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { closeSync, createReadStream, openSync } from "node:fs";
import { stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { textOf } from "../support/addresses.js";
import { limits, temporaryFolder, until } from "../support/cleanup.js";
import { Command } from "../support/command.js";
import { expectBytes } from "../support/expect.js";
import { cOriginal, ours, type Pair, pairOf, pairsWith } from "../support/programs.js";
import { digestOfRandomData, RandomData, randomData } from "../support/random-data.js";
import { startSshd, withoutTerminals, withSshd } from "../support/sshd.js";
import { connectionLines, newKey, patience, startSpiped } from "../support/tunnel.js";

const muchBytes = 100_000_000;

withSshd(["sshd", "ssh", "scp", "ssh-keygen"], ([sshd = "", ssh = "", scp = "", keygen = ""]) => {
  /** The arguments of ssh and scp before the host `far`, which is reached through a pair. */
  const start = async (t: TestContext, { client, server }: Pair) => {
    const daemon = await startSshd(t, { sshd, keygen });
    const key = await newKey(t);
    const options = { program: server, end: "-d", source: "tcp", target: daemon.address, key } as const;
    const spiped = await startSpiped(t, { ...options, flags: patience });
    const port = spiped.source.kind === "tcp" ? spiped.source.port : 0;
    const proxy = [...client.spipe, "-t", `%h:${port}`, "-k", key.path].map((word) => `'${word}'`).join(" ");
    const configuration = join(await temporaryFolder(t), "config");
    const lines = [
      "Host far",
      "HostName 127.0.0.1",
      "HostKeyAlias far",
      `User ${daemon.user}`,
      `IdentityFile ${daemon.identity}`,
      "IdentitiesOnly yes",
      "IdentityAgent none",
      `UserKnownHostsFile ${await daemon.knownHostsFor("far")}`,
      "GlobalKnownHostsFile none",
      "StrictHostKeyChecking yes",
      "BatchMode yes",
      "LogLevel ERROR",
      `ProxyCommand ${proxy}`,
    ];
    await writeFile(configuration, `${lines.join("\n")}\n`);
    return { ssh: [ssh, "-F", configuration] as const, scp: [scp, "-F", configuration] as const, spiped };
  };

  // The interop tests report a system without the C original.
  const pairs = [pairOf(ours, ours), ...(cOriginal === undefined ? [] : pairsWith(cOriginal).slice(0, 2))];
  for (const pair of pairs) {
    test(`${pair.name} carries an ssh login, its input, its output and its exit status`, {
      ...limits,
      skip: withoutTerminals(),
    }, async (t) => {
      const { ssh } = await start(t, pair);
      const login = Command.start(t, [...ssh, "-tt", "far"]);
      login.stdin.write("stty -echo; PS1=; echo $((40 + 2))\n");
      await until(() => (login.stdout.includes("42\r\n") ? true : undefined), "the login's answer");
      login.stdin.write("exit 7\n");
      assert.equal((await login.exit()).status, 7, login.stderr);

      const data = randomData("ssh", 5_000_000);
      const file = join(await temporaryFolder(t), "data");
      await writeFile(file, data);
      const stdin = openSync(file, "r");
      const there = Command.start(t, [...ssh, "far", "cat"], { stdin });
      closeSync(stdin);
      assert.deepEqual(await there.exit(), { status: 0, signal: null });
      expectBytes(there.stdout, data);
      assert.equal(there.stderr, "");
    });

    test(`${pair.name} carries 100 MB by scp there and back`, limits, async (t) => {
      const { scp, spiped } = await start(t, pair);
      const folder = await temporaryFolder(t);
      const [here, there, back] = ["here", "there", "back"].map((name) => join(folder, name));
      assert.ok(here !== undefined && there !== undefined && back !== undefined);
      await writeFile(here, new RandomData("scp").pieces(muchBytes));
      for (const args of [
        [here, `far:${there}`],
        [`far:${there}`, back],
      ]) {
        assert.deepEqual(await Command.run(t, [...scp, ...args]), { status: 0, stdout: "", stderr: "" });
      }
      assert.equal((await stat(back)).size, muchBytes);
      assert.equal(await digestOfFile(back), digestOfRandomData("scp", muchBytes));
      assert.deepEqual(connectionLines(spiped.command), []);
    });
  }

  test("ssh fails and shows spipe's reason when spipe cannot connect", limits, async (t) => {
    const { ssh, spiped } = await start(t, pairOf(ours, ours));
    await spiped.command.kill();
    const { status, stderr } = await Command.run(t, [...ssh, "far", "true"]);
    assert.equal(status, 255);
    assert.match(stderr, new RegExp(`^spipe: Could not connect: .*${textOf(spiped.source).slice(-5)}.*refused`, "m"));
  });
});

async function digestOfFile(file: string): Promise<string> {
  const hash = createHash("sha256");
  for await (const piece of createReadStream(file)) hash.update(piece);
  return hash.digest("hex");
}
