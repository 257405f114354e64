// A target that neither answers nor refuses: a listener that does not accept, with a full queue. Linux drops further SYNs then.

import type { TestContext } from "node:test";
import type { Address } from "./addresses.js";
import { Command } from "./command.js";
import { TestSocket } from "./test-socket.js";

const backlog = 1;

const program = `
  const server = require("node:net").createServer();
  server.listen({ host: "127.0.0.1", port: 0, backlog: ${backlog} }, () => {
    console.error("port " + server.address().port);
  });
`;

/** An address where a connect stays unanswered. */
export async function deafAddress(t: TestContext): Promise<Address> {
  const command = Command.start(t, [process.execPath, "-e", program], { stdin: "ignore" });
  const line = await command.line(/^port /);
  const address = { kind: "tcp", host: "127.0.0.1", port: Number(line.slice("port ".length)) } as const;
  command.signal("SIGSTOP");
  // One more than the backlog is taken; then the queue is full.
  for (let taken = 0; taken <= backlog; taken += 1) await TestSocket.connect(t, address);
  return address;
}
