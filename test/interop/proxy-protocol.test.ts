// --proxy-protocol with nginx and HAProxy as the service, and with the C original at the remote end.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { type TestContext, test } from "node:test";
import { type Address, freeAddress, textOf } from "../support/addresses.js";
import { limits, until } from "../support/cleanup.js";
import type { Command } from "../support/command.js";
import { kindsHere } from "../support/environment.js";
import { ClientKeys } from "../support/key-folder.js";
import { untilListening } from "../support/listening.js";
import { ours, pairOf, withCOriginal, withCommands } from "../support/programs.js";
import type { TestSocket } from "../support/test-socket.js";
import { startTunnel, type Tunnel } from "../support/tunnel.js";
import { startHaproxy, startNginx } from "../support/web-servers.js";

/** A web server that expects a header, and answers with its contents: `address port address port`. */
interface Behind {
  readonly name: "nginx" | "HAProxy";
  readonly program: string;
  /** The first version that can read the name of a key, and the variable for it. */
  readonly names: { readonly from: readonly [major: number, minor: number, patch: number]; readonly variable: string };
  /** Starts it; `also` is appended to its answer. */
  start(t: TestContext, program: string, listens: Address, also: string): Promise<Command>;
}

const servers: readonly Behind[] = [
  {
    name: "nginx",
    program: "nginx",
    names: { from: [1, 23, 2], variable: "$proxy_protocol_tlv_0xe0" },
    start: (t, program, listens, also) =>
      startNginx(
        t,
        program,
        `server {
          listen ${listens.kind === "unix" ? `unix:${listens.path}` : `${listens.host}:${listens.port}`} proxy_protocol;
          return 200 "$proxy_protocol_addr $proxy_protocol_port $proxy_protocol_server_addr $proxy_protocol_server_port${also}";
        }`,
      ),
  },
  {
    name: "HAProxy",
    program: "haproxy",
    names: { from: [2, 9, 0], variable: "%[fc_pp_tlv(0xE0)]" },
    start: (t, program, listens, also) =>
      startHaproxy(
        t,
        program,
        `frontend service
          mode http
          timeout client 1m
          bind ${listens.kind === "unix" ? `unix@${listens.path}` : `${listens.host}:${listens.port}`} accept-proxy
          http-request return status 200 content-type text/plain lf-string "%[src] %[src_port] %[dst] %[dst_port]${also}"`,
      ),
  },
];

async function started(
  t: TestContext,
  { start }: Behind,
  program: string,
  kind: "tcp" | "unix",
  also = "",
): Promise<Address> {
  const address = await freeAddress(t, kind);
  const command = await start(t, program, address, also);
  if (await listens(command, address)) return address;
  throw new Error(`${command.commandLine} does not listen on ${textOf(address)}: ${command.stderr}`);
}

async function listens(command: Command, address: Address): Promise<boolean> {
  if (address.kind === "tcp") return untilListening(command, address);
  // HAProxy creates a UNIX socket under another name, then renames it.
  await until(() => command.isGone || existsSync(address.path) || undefined, `${command.commandLine} to listen`);
  return !command.isGone;
}

/** The answer of the server behind the tunnel. */
async function ask({ connect }: Tunnel): Promise<{ app: TestSocket; status: string; seen: readonly string[] }> {
  const app = await connect();
  await app.write("GET / HTTP/1.0\r\n\r\n");
  const answer = Buffer.from((await app.readToEnd()).bytes).toString();
  const [head = "", body = ""] = answer.split("\r\n\r\n");
  return { app, status: head.split(" ")[1] ?? "", seen: body.split(" ") };
}

function declare(behind: Behind, program: string): void {
  withCOriginal((c) => {
    for (const kind of kindsHere("tcp", "tcp6", "unix")) {
      const to = kind === "unix" ? "unix" : "tcp";
      test(
        `${behind.name} on ${to} learns the address of the C original's machine from -d on ${kind}`,
        limits,
        async (t) => {
          const targetAddress = await started(t, behind, program, to);
          const tunnel = await startTunnel(t, {
            pair: pairOf(c, ours),
            kind,
            targetAddress,
            serverFlags: ["--proxy-protocol"],
          });
          const { status, seen } = await ask(tunnel);
          assert.equal(status, "200");
          const { source } = tunnel.server;
          if (source.kind === "unix") return;
          const [address, port, at, atPort] = seen;
          assert.deepEqual([address, at, atPort], [source.host, source.host, String(source.port)]);
          assert.match(port ?? "", /^[1-9]\d+$/);
        },
      );

      test(
        `${behind.name} on ${to} learns the address of the application from -e on ${kind}, through the C original`,
        limits,
        async (t) => {
          const targetAddress = await started(t, behind, program, to);
          const tunnel = await startTunnel(t, {
            pair: pairOf(ours, c),
            kind,
            targetAddress,
            clientFlags: ["--proxy-protocol"],
          });
          const { app, status, seen } = await ask(tunnel);
          assert.equal(status, "200");
          const { localAddress, localPort, remoteAddress, remotePort } = app.socket;
          if (kind !== "unix") {
            assert.deepEqual(seen, [localAddress, String(localPort), remoteAddress, String(remotePort)]);
          }
        },
      );
    }
  });

  const { from, variable } = behind.names;
  const skip = isFrom(from, program) ? false : `needs ${behind.name} ${from.join(".")} or newer`;
  test(`${behind.name} learns the name of the client's key`, { ...limits, skip }, async (t) => {
    const keys = await ClientKeys.make(t, ["somebody"]);
    const clientKey = keys.add("bücher");
    const targetAddress = await started(t, behind, program, "tcp", ` ${variable}`);
    const serverKey = { path: keys.path, bytes: new Uint8Array(0) };
    const tunnel = await startTunnel(t, { targetAddress, serverKey, clientKey, serverFlags: ["--proxy-protocol"] });
    const { seen } = await ask(tunnel);
    assert.equal(seen.at(-1), "bücher");
  });

  test(`${behind.name} reads one header, and takes a second one for a bad request`, limits, async (t) => {
    const flags = ["--proxy-protocol"];
    const targetAddress = await started(t, behind, program, "tcp");
    const { status } = await ask(await startTunnel(t, { targetAddress, clientFlags: flags, serverFlags: flags }));
    assert.equal(status, "400");
  });
}

/** With -v, both print a line like `nginx version: nginx/1.22.1`. */
function isFrom([major, minor, patch]: Behind["names"]["from"], program: string): boolean {
  const { stdout, stderr } = spawnSync(program, ["-v"], { encoding: "utf8" });
  const [, ...version] = /(\d+)\.(\d+)\.(\d+)/.exec(stdout + stderr) ?? [];
  const [itsMajor = 0, itsMinor = 0, itsPatch = 0] = version.map(Number);
  if (itsMajor !== major) return itsMajor > major;
  return itsMinor === minor ? itsPatch >= patch : itsMinor > minor;
}

for (const behind of servers) {
  withCommands([behind.program], ([program = ""]) => declare(behind, program));
}
