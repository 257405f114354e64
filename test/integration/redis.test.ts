// Redis through a tunnel: its own benchmark, and a value of 10 MB in both directions.

import assert from "node:assert/strict";
import { closeSync, openSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { type Address, type AddressKind, freeAddress } from "../support/addresses.js";
import { limits, temporaryFolder } from "../support/cleanup.js";
import { Command } from "../support/command.js";
import { expectBytes } from "../support/expect.js";
import { untilListening } from "../support/listening.js";
import { withCommands } from "../support/programs.js";
import { digestOf, randomData } from "../support/random-data.js";
import { startTunnel } from "../support/tunnel.js";

const valueBytes = 10_000_000;
const requests = 10_000;

/** Starts a server that keeps everything in memory, on an address of `kind` only. */
async function startRedis(t: TestContext, server: string, kind: AddressKind): Promise<Address> {
  const folder = await temporaryFolder(t);
  for (;;) {
    const address = await freeAddress(t, kind);
    const where =
      address.kind === "unix"
        ? ["--port", "0", "--unixsocket", address.path]
        : ["--port", String(address.port), "--bind", address.host];
    const args = [server, ...where, "--save", "", "--appendonly", "no", "--dir", folder] as const;
    if (await untilListening(Command.start(t, args, { stdin: "ignore" }), address)) return address;
  }
}

function flagsOf(address: Address): readonly string[] {
  return address.kind === "unix" ? ["-s", address.path] : ["-h", address.host, "-p", String(address.port)];
}

withCommands(["redis-server", "redis-benchmark", "redis-cli"], ([server = "", benchmark = "", cli = ""]) => {
  for (const kind of ["tcp", "unix"] as const) {
    test(`Redis on ${kind} passes its own benchmark through a tunnel`, limits, async (t) => {
      const tunnel = await startTunnel(t, { kind, targetAddress: await startRedis(t, server, kind) });
      for (const pipelined of ["1", "32"]) {
        const load = [
          "-n",
          String(requests),
          "-c",
          "50",
          "-P",
          pipelined,
          "-d",
          "3000",
          "-t",
          "ping,set,get,lpush,mset",
        ];
        const args = [benchmark, ...flagsOf(tunnel.client.source), ...load, "--csv"] as const;
        const { status, stdout, stderr } = await Command.run(t, args);
        assert.equal(status, 0, stderr);
        for (const command of ["PING_INLINE", "PING_MBULK", "SET", "GET", "LPUSH", "MSET"]) {
          assert.match(stdout, new RegExp(`^"${command}[^"]*","[0-9.]+"`, "m"));
        }
      }
    });

    test(`Redis on ${kind} stores and returns a value of 10 MB through a tunnel`, limits, async (t) => {
      const tunnel = await startTunnel(t, { kind, targetAddress: await startRedis(t, server, kind) });
      const value = randomData("redis", valueBytes);
      const file = join(await temporaryFolder(t), "value");
      await writeFile(file, value);
      const ask = async (...args: readonly string[]): Promise<Buffer> => {
        const stdin = openSync(file, "r");
        const command = Command.start(t, [cli, ...flagsOf(tunnel.client.source), ...args], { stdin });
        assert.deepEqual(await command.exit(), { status: 0, signal: null });
        closeSync(stdin);
        return command.stdout;
      };
      expectBytes(await ask("-x", "SET", "big"), "OK\n");
      expectBytes(await ask("STRLEN", "big"), `${valueBytes}\n`);
      const got = await ask("--raw", "GET", "big");
      assert.equal(digestOf(got.subarray(0, -1)), digestOf(value));
    });
  }
});
