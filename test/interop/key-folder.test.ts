// Clients of the C original, each with its own key, and our -d with a folder of keys: each client is identified by its
// key, and one is revoked while the others continue.

import assert from "node:assert/strict";
import { test } from "node:test";
import { textOf } from "../support/addresses.js";
import { limits } from "../support/cleanup.js";
import { Command } from "../support/command.js";
import { ClientKeys, startForMany } from "../support/key-folder.js";
import { withCOriginal } from "../support/programs.js";
import { TestSocket } from "../support/test-socket.js";
import { connectionLines, type Key, patience, startSpiped } from "../support/tunnel.js";

withCOriginal((c) => {
  test("the C original's clients are identified by their keys, and revoked one by one", limits, async (t) => {
    const keys = await ClientKeys.make(t, ["dave"]);
    const names = ["alice", "bob", "carol"];
    const end = await startForMany(t, keys, { flags: ["--log-level", "debug"] });
    const clients = names.map((name) => ({ name, key: keys.add(name) }));
    assert.match(await end.reload(), /: 4 keys; added alice, bob, carol$/);

    const connect = async (key: Key) => {
      // The original has read its key, so the file may be removed.
      const flags = patience;
      const client = await startSpiped(t, {
        program: c,
        end: "-e",
        source: "tcp",
        target: end.spiped.source,
        key,
        flags,
      });
      const app = await TestSocket.connect(t, client.source);
      const service = await end.target.next();
      return { client, app, service };
    };
    type Open = Awaited<ReturnType<typeof connect>> & { readonly name: string };
    const open: Open[] = [];
    for (const { name, key } of clients) {
      open.push({ name, ...(await connect(key)) });
      await end.spiped.command.line(new RegExp(`: established \\(key ${name}, `));
    }
    const works = async ({ name, app, service }: Open) => {
      await app.write(`I am ${name}`);
      assert.equal(Buffer.from(await service.read(`I am ${name}`.length)).toString(), `I am ${name}`);
      await service.write(`hello ${name}`);
      assert.equal(Buffer.from(await app.read(`hello ${name}`.length)).toString(), `hello ${name}`);
    };
    for (const one of open) await works(one);
    for (let left = open; left.length > 0; left = left.slice(1)) {
      const [first, ...others] = left;
      assert.ok(first !== undefined);
      keys.remove(first.name);
      assert.match(await end.reload(), new RegExp(`; removed ${first.name}; reset 1 connection$`));
      const told = connectionLines(end.spiped.command).filter((line) => line.includes("was removed"));
      assert.match(told.at(-1) ?? "", new RegExp(`: the key ${first.name} was removed \\(key ${first.name}, `));
      assert.equal(await first.service.endWhileOpen(), "reset");
      await first.app.untilWritesFail();
      for (const other of others) await works(other);
      // Its next attempt fails.
      const again = await TestSocket.connect(t, first.client.source);
      await again.endWhileOpen();
    }
    assert.equal(end.target.acceptedCount, 3);
  });

  test("the C original's spipe is accepted with a key added while -d runs", limits, async (t) => {
    const keys = await ClientKeys.make(t, ["alice"]);
    const end = await startForMany(t, keys);
    const bob = keys.add("bob");
    await end.reload();
    const args = [...c.spipe, "-t", textOf(end.spiped.source), "-k", bob.path] as const;
    const spipe = Command.start(t, args, { stdin: "pipe" });
    spipe.stdin.end("from bob");
    const service = await end.target.next();
    assert.equal(Buffer.from((await service.readToEnd()).bytes).toString(), "from bob");
    service.finish();
    assert.equal((await spipe.exit()).status, 0);
  });
});
