// Tests in a network namespace of their own, so that the system's counters count only their traffic.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { limits } from "./cleanup.js";
import { Command } from "./command.js";
import { refused } from "./environment.js";
import { commandOnPath, declareIf } from "./programs.js";

/** Set if the tests already run in their own namespace. */
const variable = "SPIPED_TEST_OWN_NETWORK";

/**
 * Declares tests that run in a network namespace of their own. Outside, one test stands for all of them: it runs the
 * file again inside.
 *
 * @param file - `import.meta.url` of the file that declares them, which must declare nothing else.
 * @param what - What the tests show, for the title of the one test outside.
 */
export function inOwnNetwork(file: string, what: string, declare: () => void): void {
  if (process.env[variable] === "1") {
    declare();
    return;
  }
  const [unshare, ip] = [commandOnPath("unshare"), commandOnPath("ip")];
  const isPossible = process.platform === "linux" && process.getuid?.() === 0 && refused(["networks"]).length === 0;
  const found = isPossible && unshare !== undefined && ip !== undefined ? ([unshare, ip] as const) : undefined;
  declareIf(found, "Linux, root, unshare and ip, and the right to make networks", ([unshare, ip]) => {
    test(`in a network of their own: ${what}`, limits, async (t) => {
      const script = '"$0" link set lo up && exec "$@"';
      const args = [unshare, "--net", "sh", "-c", script, ip, process.execPath, fileURLToPath(file)] as const;
      const env = { [variable]: "1", NODE_TEST_CONTEXT: "" };
      const { status, stdout, stderr } = await Command.run(t, args, { stdin: "ignore", env });
      assert.equal(status, 0, `${stdout}\n${stderr}`);
      t.diagnostic(/^(#|ℹ) pass \d+$/m.exec(stdout)?.[0] ?? stdout);
    });
  });
}

/**
 * How many times a side of a TCP connection has been aborted with a reset in this namespace. Resets on the wire are not
 * counted: Linux sends one in response to a duplicate acknowledgment of the last FIN, when the connection is over.
 */
export function abortsSoFar(): number {
  const aborts = ["TCPAbortOnData", "TCPAbortOnClose", "TCPAbortOnLinger"];
  const counts = aborts.map((name) => counterOf("/proc/net/netstat", "TcpExt", name));
  return [...counts, counterOf("/proc/net/snmp", "Tcp", "EstabResets")].reduce((sum, count) => sum + count);
}

/** A counter of the system: of the two lines with the group's name, the first has the names, the second the values. */
function counterOf(file: string, group: string, name: string): number {
  const [names, values] = readFileSync(file, "utf8")
    .split("\n")
    .filter((line) => line.startsWith(`${group}: `))
    .map((line) => line.split(" "));
  const value = Number(values?.[names?.indexOf(name) ?? -1]);
  assert.ok(Number.isInteger(value), `the system counts ${name}`);
  return value;
}
