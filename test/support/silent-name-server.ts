// A network with a name server that never answers, for commands that resolve names.

import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { temporaryFolder, until } from "./cleanup.js";
import { Command, type CommandOptions } from "./command.js";
import { rowsOf } from "./listening.js";
import { commandOnPath, declareIf } from "./programs.js";

/** Opens a name server's socket without reading it, then execs the command. */
const silentServer = `
import os, socket, sys
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(("127.0.0.1", 53))
server.set_inheritable(True)
os.execvp(sys.argv[1], sys.argv[1:])
`;

/** Starts a command in that network, where a lookup takes longer than any test waits. */
export type StartBehind = (
  t: TestContext,
  args: readonly [string, ...string[]],
  options: CommandOptions,
) => Promise<Command>;

/** Declares tests that need {@link StartBehind}. */
export function withSilentNameServer(declare: (start: StartBehind) => void): void {
  const [unshare, ip, python] = [commandOnPath("unshare"), commandOnPath("ip"), commandOnPath("python3")];
  const found =
    unshare !== undefined &&
    ip !== undefined &&
    python !== undefined &&
    spawnSync(unshare, ["--net", "--mount", "true"]).status === 0
      ? ([unshare, ip, python] as const)
      : undefined;
  declareIf(found, "the right to unshare networks and mounts, unshare, ip and python3", ([unshare, ip, python]) => {
    declare(async (t, args, options) => {
      const resolv = join(await temporaryFolder(t), "resolv.conf");
      writeFileSync(resolv, "nameserver 127.0.0.1\noptions timeout:30 attempts:5\n");
      const script = '"$0" link set lo up && mount --bind "$1" /etc/resolv.conf && shift && exec "$@"';
      const before = ["--net", "--mount", "sh", "-c", script, ip, resolv, python, "-c", silentServer] as const;
      return Command.start(t, [unshare, ...before, ...args], options);
    });
  });
}

/** Waits until a command behind the silent name server has asked it. */
export async function untilAsked(command: Command): Promise<void> {
  await until(() => {
    // sl local_address rem_address st tx_queue:rx_queue …
    const server = rowsOf(`/proc/${command.id}/net/udp`).find(([, local]) => local === "0100007F:0035");
    return server !== undefined && !server[4]?.endsWith(":00000000") ? true : undefined;
  }, "a question to the name server");
}
