// C clients and servers at the remote ends of a configuration file's tunnels, before and after a reload.

import assert from "node:assert/strict";
import { test } from "node:test";
import { freeAddress, textOf } from "../support/addresses.js";
import { limits } from "../support/cleanup.js";
import { ConfigFile, table } from "../support/config-file.js";
import { expectBytes } from "../support/expect.js";
import { Listener } from "../support/listener.js";
import { withCOriginal } from "../support/programs.js";
import { TestSocket } from "../support/test-socket.js";
import { patience, startSpiped } from "../support/tunnel.js";

withCOriginal((c) => {
  test("a C client and a C server use tunnels of a configuration file, also across a reload", limits, async (t) => {
    const file = await ConfigFile.make(t);
    const key = { path: file.keyFile, bytes: new Uint8Array() };
    const service = await Listener.listen(t, "tcp");
    service.echo();
    const [ours, near] = [await freeAddress(t, "tcp"), await freeAddress(t, "tcp")];
    const common = { program: c, source: "tcp", key, flags: patience } as const;
    const server = await startSpiped(t, { ...common, end: "-d", target: service.address });
    const tables = (most: number): readonly string[] => [
      table("decrypt.far", { source: textOf(ours), target: textOf(service.address), "max-connections": most }),
      table("encrypt.near", { source: textOf(near), target: textOf(server.source), "max-connections": most }),
    ];
    await file.write(...tables(50));
    const command = await file.start();
    await command.line(/listening on /, 2);
    const client = await startSpiped(t, { ...common, end: "-e", target: ours });
    const echoes = async (app: TestSocket): Promise<void> => {
      await app.write("there and back");
      expectBytes(await app.read(14), "there and back");
    };
    const old = [await TestSocket.connect(t, client.source), await TestSocket.connect(t, near)];
    for (const app of old) await echoes(app);
    await file.write(...tables(51));
    assert.match((await file.reload(command)).join("\n"), /2 changed/);
    for (const app of old) await echoes(app);
    for (const source of [client.source, near]) await echoes(await TestSocket.connect(t, source));
  });
});
