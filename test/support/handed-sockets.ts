// Plays a service manager: opens sockets, passes them to commands, and keeps them.

import { closeSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { addon } from "#dist/native/native.js";
import { type Address, freePort, socketOptionsOf } from "./addresses.js";
import { afterwards, temporaryFolder } from "./cleanup.js";

/** The command line that starts a command with sockets from descriptor 3 on, in the same process. */
export function handing(
  command: readonly [string, ...string[]],
  { count = 1, names }: { readonly count?: number; readonly names?: string },
): readonly [string, ...string[]] {
  const variables = [
    "LISTEN_PID=$$",
    `LISTEN_FDS=${count}`,
    ...(names === undefined ? [] : [`LISTEN_FDNAMES=${names}`]),
  ];
  return ["sh", "-c", `export ${variables.join(" ")}; exec "$@"`, "sh", ...command];
}

/** A socket opened by the manager; it stays open as long as the test runs. */
export async function managed(
  t: TestContext,
  kind: "tcp" | "unix",
  mode?: number,
): Promise<{ readonly descriptor: number; readonly address: Address }> {
  const address: Address =
    kind === "unix"
      ? { kind, path: join(await temporaryFolder(t), "socket") }
      : { kind, host: "127.0.0.1", port: await freePort("127.0.0.1") };
  const descriptor =
    address.kind === "unix"
      ? new addon.SocketFile(Buffer.from(address.path)).listen(1_024, mode)
      : addon.listenTcp(address.host, address.port, 1_024);
  afterwards(t, () => closeSync(descriptor));
  return { descriptor, address };
}

/** Sends a line through and expects it back. @returns The error if it does not come. */
export function echo(address: Address): Promise<string | undefined> {
  return new Promise((resolve) => {
    let text = "";
    const socket = connect(socketOptionsOf(address));
    socket.setEncoding("latin1");
    socket.on("data", (piece: string) => {
      text += piece;
    });
    socket.on("error", ({ message }) => resolve(message));
    socket.on("close", () => resolve(text === "hello" ? undefined : `ended with ${JSON.stringify(text)}`));
    socket.end("hello");
  });
}
