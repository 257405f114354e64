// Ends connected to the wrong program, or to the wrong role: the log names the peer's protocol or role.

import { type TestContext, test } from "node:test";
import { freePort } from "../support/addresses.js";
import { limits } from "../support/cleanup.js";
import { Command } from "../support/command.js";
import { type ClientEnd, startClientEnd, startServerEnd } from "../support/one-end.js";
import { ours } from "../support/programs.js";
import { declareSameRoles } from "../support/same-roles.js";
import { TestSocket } from "../support/test-socket.js";
import { newKey } from "../support/tunnel.js";

/** Wrong targets of an -e, and what they do. */
type Peer = (link: TestSocket) => void | Promise<void>;

async function echo(link: TestSocket): Promise<void> {
  for (const length of [32, 288]) await link.write(await link.read(length));
}

const says =
  (bytes: Uint8Array | string): Peer =>
  ({ socket }) =>
    void socket.end(bytes);

const peers: ReadonlyArray<readonly [what: string, peer: Peer, line: RegExp]> = [
  ["a web server", says("HTTP/1.1 400 Bad Request\r\n\r\n"), /is not spiped: it speaks HTTP \("HTTP\/1\.1 400 Bad/],
  ["an ssh server", says("SSH-2.0-OpenSSH_9.2p1\r\n"), /it speaks SSH \("SSH-2\.0-OpenSSH_9\.2p1"\)/],
  ["a server for TLS", says(Buffer.from("15030300020228", "hex")), /is not spiped: it speaks TLS/],
  ["a server that hangs up", says(""), /after 0 of 320 handshake bytes .*hint: is that a `spiped -d`\?/],
  [
    "one that resets",
    async (link) => {
      // An earlier reset would count as a failed dial.
      await link.read(32);
      link.reset();
    },
    /reset by peer; the peer sent nothing .*is that a `spiped -d`\?/,
  ],
  [
    "one that sends, and resets",
    async (link) => {
      await link.read(32);
      await link.write("220 mail\r\n");
      link.reset();
    },
    /text \("220 mail"\)/,
  ],
  ["an echo", echo, /the peer is a client too: another client with the same key.*both ends run -e/],
  [
    "a server with another key",
    says(Buffer.alloc(32, 0x80)),
    /after 32 of 320 handshake bytes; it may have a different key/,
  ],
];

/** Connects an application that waits. */
async function run({ spiped, link }: ClientEnd, t: TestContext, peer: Peer): Promise<void> {
  const app = await TestSocket.connect(t, spiped.source);
  await peer(await link.next());
  await app.end();
}

for (const relay of ["on", "off"] as const) {
  test(`spiped -e names the protocol of its target, with the relay ${relay}`, limits, async (t) => {
    const end = await startClientEnd(t, { kind: "tcp", env: { SPIPED_RELAY: relay } });
    for (const [what, peer, line] of peers) {
      await t.test(what, async () => {
        await run(end, t, peer);
        await end.spiped.command.line(line);
      });
    }
  });
}

test("spiped -d names programs that connect to it, and proxies", limits, async (t) => {
  const end = await startServerEnd(t, { kind: "tcp" });
  for (const [bytes, line] of [
    ["GET / HTTP/1.1\r\n\r\n", /it speaks HTTP \("GET \/ HTTP\/1\.1"\).*programs connect to the source of the -e end/],
    [Buffer.from(`16030100c8010000c40303${"00".repeat(400)}`, "hex"), /it speaks TLS/],
    ["PROXY TCP4 192.0.2.1 192.0.2.2 5 6\r\n", /PROXY protocol.*send-proxy/],
  ] as const) {
    const stranger = await end.dial();
    await stranger.write(bytes);
    stranger.finish();
    await stranger.end();
    await end.spiped.command.line(line);
  }
});

declareSameRoles(ours);

test("spiped warns at its start that it would connect to itself", limits, async (t) => {
  const port = await freePort("127.0.0.1");
  const key = await newKey(t);
  const address = `[127.0.0.1]:${port}`;
  const command = Command.start(t, [
    ...ours.spiped,
    "-F",
    "-e",
    "-s",
    `[0.0.0.0]:${port}`,
    "-t",
    address,
    "-k",
    key.path,
  ]);
  await command.line(
    /tunnel connects to itself: target \[127\.0\.0\.1\]:\d+ is its own source \[0\.0\.0\.0\]:\d+; hint:/,
  );
  await command.line(/listening on/);
});
