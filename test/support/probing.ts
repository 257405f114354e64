// Runs `spipe --probe` and `spiped --check`, against all kinds of servers.

import type { TestContext } from "node:test";
import { Command } from "./command.js";
import { Listener } from "./listener.js";
import { ours } from "./programs.js";
import type { TestSocket } from "./test-socket.js";
import type { Key } from "./tunnel.js";

/** The output of a probe. */
export interface Probed {
  readonly status: number | null;
  /** Standard output by lines; hints are separate lines. */
  readonly lines: readonly string[];
  readonly stderr: string;
}

/** How a probe is started. */
export interface ProbeOptions {
  readonly env?: Readonly<Record<string, string>>;
  /** Arguments before the command. */
  readonly before?: readonly string[];
}

export function runProbe(
  t: TestContext,
  key: Pick<Key, "path">,
  flags: readonly string[],
  options: ProbeOptions = {},
): Promise<Probed> {
  return run(t, [...ours.spipe, "--probe", "-k", key.path, ...flags], options);
}

export function runCheck(t: TestContext, flags: readonly string[], options: ProbeOptions = {}): Promise<Probed> {
  return run(t, [...ours.spiped, "--check", ...flags], options);
}

async function run(t: TestContext, args: readonly string[], { env = {}, before = [] }: ProbeOptions): Promise<Probed> {
  const [first = "", ...rest] = [...before, ...args];
  const { status, stdout, stderr } = await Command.run(t, [first, ...rest], { stdin: "ignore", env });
  return { status, lines: stdout.split("\n").slice(0, -1), stderr };
}

/** What a server does with each client. */
export type Server = (client: TestSocket) => unknown;

/** Starts a server. */
export async function serve(t: TestContext, server: Server, kind: "tcp" | "unix" = "tcp"): Promise<Listener> {
  const listener = await Listener.listen(t, kind);
  listener.onConnection(async (client) => {
    try {
      await server(client);
    } catch {
      // The probe may disconnect at any time.
    }
  });
  return listener;
}

/** Sends something at once, and waits. */
export function says(text: string | Uint8Array): Server {
  return (client) => client.write(text);
}

/** Sends something after the first data, and closes. */
export function answers(text: string | Uint8Array): Server {
  return async (client) => {
    await client.read(1);
    await client.write(text);
    client.finish();
  };
}

/** Sends nothing. */
export const waits: Server = () => undefined;
