// A name server that never answers: spiped ends when it is told to, and does not wait for the look-up.

import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { freeAddress, textOf } from "../support/addresses.js";
import { limits, temporaryFolder, until } from "../support/cleanup.js";
import { Command } from "../support/command.js";
import { rowsOf } from "../support/listening.js";
import { ours, withCommands } from "../support/programs.js";
import { newKey } from "../support/tunnel.js";

/** Becomes the command, which then has a name server's socket open that nobody reads. */
const silentServer = `
import os, socket, sys
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(("127.0.0.1", 53))
server.set_inheritable(True)
os.execvp(sys.argv[1], sys.argv[1:])
`;

withCommands(["unshare", "ip", "python3"], ([unshare = "", ip = "", python = ""]) => {
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    test(`spiped ends on ${signal} while a look-up gets no answer`, limits, async (t) => {
      const key = await newKey(t);
      const source = textOf(await freeAddress(t, "unix"));
      const resolv = join(await temporaryFolder(t), "resolv.conf");
      writeFileSync(resolv, "nameserver 127.0.0.1\noptions timeout:30 attempts:2\n");
      const script = '"$0" link set lo up && mount --bind "$1" /etc/resolv.conf && shift && exec "$@"';
      const spiped = [...ours.spiped, "-F", "-d", "-s", source, "-t", "far.test:80", "-k", key.path] as const;
      const words = ["--net", "--mount", "sh", "-c", script, ip, resolv, python, "-c", silentServer] as const;
      const command = Command.start(t, [unshare, ...words, ...spiped], { stdin: "ignore" });
      await until(() => {
        // sl local_address rem_address st tx_queue:rx_queue …
        const server = rowsOf(`/proc/${command.id}/net/udp`).find(([, local]) => local === "0100007F:0035");
        return server !== undefined && !server[4]?.endsWith(":00000000") ? true : undefined;
      }, "a question to the name server");
      command.signal(signal);
      assert.deepEqual(await command.exit(), { status: 0, signal: null });
    });
  }
});
