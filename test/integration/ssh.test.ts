// ssh with spipe as its ProxyCommand, in front of an sshd behind spiped -d: the use that spipe was made for.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { userInfo } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { type Address, freeAddress, textOf } from "../support/addresses.js";
import { limits, temporaryFolder } from "../support/cleanup.js";
import { Command } from "../support/command.js";
import { expectBytes } from "../support/expect.js";
import { untilListening } from "../support/listening.js";
import { ours, withCommands } from "../support/programs.js";
import { randomData } from "../support/random-data.js";
import { newKey, startSpiped } from "../support/tunnel.js";

interface Sshd {
  readonly address: Address;
  /** The key that it lets in. */
  readonly identity: string;
}

/** Starts an sshd with keys and a configuration of its own. @returns A text instead when this system lets nobody do so. */
async function startSshd(t: TestContext, sshd: string, keygen: string): Promise<Sshd | string> {
  const folder = await temporaryFolder(t);
  const [hostKey, identity, configuration] = ["host", "identity", "config"].map((name) => join(folder, name));
  if (hostKey === undefined || identity === undefined || configuration === undefined) throw new Error("no names");
  for (const file of [hostKey, identity]) {
    const { status } = await Command.run(t, [keygen, "-q", "-t", "ed25519", "-N", "", "-f", file]);
    assert.equal(status, 0);
  }
  const lines = [
    `HostKey ${hostKey}`,
    `AuthorizedKeysFile ${identity}.pub`,
    "PidFile none",
    "StrictModes no",
    "UsePAM no",
    "PasswordAuthentication no",
    "PermitRootLogin prohibit-password",
  ];
  await writeFile(configuration, `${lines.join("\n")}\n`);
  const trial = spawnSync(sshd, ["-t", "-f", configuration], { encoding: "utf8" });
  if (trial.status !== 0) return `sshd does not start here: ${trial.stderr.trim()}`;
  for (;;) {
    const address = await freeAddress(t, "tcp");
    if (address.kind === "unix") throw new Error("sshd listens on TCP only");
    const where = ["-o", `ListenAddress=${address.host}:${address.port}`];
    const command = Command.start(t, [sshd, "-D", "-e", "-f", configuration, ...where], { stdin: "ignore" });
    if (await untilListening(command, address)) return { address, identity };
  }
}

withCommands(["sshd", "ssh", "ssh-keygen"], ([sshd = "", ssh = "", keygen = ""]) => {
  test("ssh runs commands and carries 5 MB there and back through spipe", limits, async (t) => {
    const started = await startSshd(t, sshd, keygen);
    if (typeof started === "string") {
      process.stderr.write(`SKIPPED: ${started}\n`);
      t.skip(started);
      return;
    }
    const key = await newKey(t);
    const { source } = await startSpiped(t, { end: "-d", source: "tcp", target: started.address, key });
    const proxy = [...ours.spipe, "-t", textOf(source), "-k", key.path].map((word) => `'${word}'`).join(" ");
    const options = [
      `ProxyCommand=${proxy}`,
      `IdentityFile=${started.identity}`,
      "IdentitiesOnly=yes",
      "StrictHostKeyChecking=no",
      "UserKnownHostsFile=/dev/null",
      "LogLevel=ERROR",
      "BatchMode=yes",
    ].flatMap((option) => ["-o", option]);
    const words = [ssh, "-F", "none", ...options, `${userInfo().username}@behind-the-tunnel`] as const;

    const status = await Command.run(t, [...words, "exit 7"]);
    assert.equal(status.status, 7, status.stderr);

    const data = randomData("ssh", 5_000_000);
    const file = join(await temporaryFolder(t), "data");
    await writeFile(file, data);
    const stdin = openSync(file, "r");
    const there = Command.start(t, [...words, "cat"], { stdin });
    assert.deepEqual(await there.exit(), { status: 0, signal: null });
    closeSync(stdin);
    expectBytes(there.stdout, data);
    assert.equal(there.stderr, "");
  });
});
