// Both implementations as daemons: scripts can rely on the same behavior.

import assert from "node:assert/strict";
import { realpath } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { textOf } from "../support/addresses.js";
import { limits, temporaryFolder, until } from "../support/cleanup.js";
import { onLinux, readPidFile, startDaemonEnd, startDetached, stopDaemon } from "../support/daemon.js";
import { isAlive } from "../support/one-end.js";
import { argsOf, linkOf, stateOf, threadsOf, untilEnded } from "../support/processes.js";
import { ours, withCOriginal } from "../support/programs.js";
import { asRoot } from "../support/root.js";
import { newKey, patience } from "../support/tunnel.js";

const options = { ...limits, skip: onLinux };

withCOriginal((c) => {
  for (const { name, spiped: program } of [c, ours]) {
    for (const source of ["tcp", "unix"] as const) {
      test(`${name} accepts on ${source} and has its pid file when the first process exits 0`, options, async (t) => {
        const cwd = await realpath(await temporaryFolder(t));
        const daemon = await startDaemonEnd(t, { program, source, cwd });
        assert.ok(await isAlive(await daemon.establish()));
        const { session, group, terminal } = stateOf(daemon.id) ?? {};
        assert.deepEqual({ session, group, terminal }, { session: daemon.id, group: daemon.id, terminal: 0 });
        assert.equal(linkOf(daemon.id, "cwd") ?? cwd, cwd);
        const { source: address, target, key } = daemon;
        const args = ["-d", "-s", textOf(address), "-t", textOf(target.address), "-k", key.path, ...patience];
        assert.deepEqual(argsOf(daemon.id).slice(-args.length), args);
      });
    }

    test(`${name} drains its connection after SIGTERM`, options, async (t) => {
      const daemon = await startDaemonEnd(t, { program });
      const { peer, plain } = await daemon.establish();
      process.kill(daemon.id, "SIGTERM");
      assert.ok(await isAlive({ peer, plain }));
      peer.link.finish();
      plain.finish();
      await plain.readToEnd();
      await untilEnded(daemon.id);
    });

    test(`${name} with -D exits 0 although a lookup fails, and retries`, options, async (t) => {
      const folder = await temporaryFolder(t);
      const key = await newKey(t);
      const source = join(folder, "socket");
      const flags = ["-D", "-d", "-s", source, "-t", "[127.0.0.1]:no-such-service", "-k", key.path];
      const command = startDetached(t, [...program, ...flags]);
      assert.equal((await command.ownExit()).status, 0);
      await command.line(/no-such-service/);
      await stopDaemon({ id: readPidFile(`${source}.pid`) });
    });

    for (const [what, source, target, key] of [
      ["a target that cannot be resolved", "/nowhere/source", "[127.0.0.1]:no-such-service", "key"],
      ["a missing key file", "/nowhere/source", "/nowhere/target", "no-key"],
      ["a source that it cannot listen on", "/nowhere/source", "/nowhere/target", "key"],
    ] as const) {
      test(`${name} exits 1 for ${what}`, options, async (t) => {
        const { path } = await newKey(t);
        const flags = ["-d", "-s", source, "-t", target, "-k", key === "key" ? path : `${path}.none`];
        const command = startDetached(t, [...program, ...flags]);
        assert.equal((await command.exit()).status, 1);
        assert.notEqual(command.stderr, "");
      });
    }
  }

  asRoot(["setpriv"], () => {
    for (const { name, spiped } of [c, ours]) {
      for (const [args, identity] of [
        ["games:www-data", "5; 33; "],
        ["5:33", "5; 33; "],
        [":www-data", "0; 33; "],
      ] as const) {
        test(
          `${name} with -u ${args} changes to that user and group, without supplementary groups`,
          limits,
          async (t) => {
            const program = ["setpriv", "--groups", "4,20", ...spiped] as const;
            const { id } = await startDaemonEnd(t, { program, source: "tcp", flags: ["-u", args] });
            const identities = (): string[] => {
              const first = (text = ""): string => text.split("\t")[0] ?? "";
              return threadsOf(id).map(
                (one) => `${first(one.get("Uid"))}; ${first(one.get("Gid"))}; ${one.get("Groups")}`,
              );
            };
            // The original's first process does not wait for the change.
            await until(() => (identities().every((one) => one === identity) ? true : undefined), `-u ${args}`);
          },
        );
      }
    }
  });
});
