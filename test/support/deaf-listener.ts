// A target that neither answers nor refuses: a listener that does not accept, with a full backlog. Linux then drops
// SYNs.

import type { TestContext } from "node:test";
import type { Address } from "./addresses.js";
import { Command } from "./command.js";
import { TestSocket } from "./test-socket.js";

const backlog = 1;

const program = `
  const server = require("node:net").createServer();
  server.on("connection", (socket) => socket.on("data", (data) => console.error("received " + data.length)));
  server.listen(JSON.parse(process.argv[1]), () => console.error("port " + server.address().port));
`;

/** A listener that does not accept until it is told to. */
export interface DeafListener {
  readonly address: Address;
  /** Says `received N` when a client has sent something. */
  readonly command: Command;
  wake(): void;
}

/** @param path - The UNIX socket to listen on; when absent, a TCP port is chosen. */
export async function deafListener(t: TestContext, path?: string): Promise<DeafListener> {
  const options = { ...(path === undefined ? { host: "127.0.0.1", port: 0 } : { path }), backlog };
  const command = Command.start(t, [process.execPath, "-e", program, JSON.stringify(options)], { stdin: "ignore" });
  const line = await command.line(/^port /);
  const address: Address =
    path === undefined
      ? { kind: "tcp", host: "127.0.0.1", port: Number(line.slice("port ".length)) }
      : { kind: "unix", path };
  command.signal("SIGSTOP");
  // The system accepts one more than the backlog; then the queue is full.
  for (let taken = 0; taken <= backlog; taken += 1) await TestSocket.connect(t, address);
  return { address, command, wake: () => command.signal("SIGCONT") };
}

/** An address where connecting gets no answer. */
export async function deafAddress(t: TestContext, path?: string): Promise<Address> {
  return (await deafListener(t, path)).address;
}
