// spipe started by a shell with standard streams of any kind, connected to a spiped -d with an echo server.

import type { TestContext } from "node:test";
import { type AddressKind, textOf } from "./addresses.js";
import { temporaryFolder } from "./cleanup.js";
import { startServerEnd } from "./one-end.js";
import { ours } from "./programs.js";
import { patience } from "./tunnel.js";

export type Args = readonly [string, ...string[]];

/** Our spiped -d in front of an echo server, and the arguments of a spipe to it. */
export async function startEcho(t: TestContext, kind: AddressKind = "tcp"): Promise<{ args: Args; folder: string }> {
  const { spiped, target, key } = await startServerEnd(t, { kind, flags: ["-f", "-n", "0", ...patience] });
  target.echo();
  const args = [...ours.spipe, "-t", textOf(spiped.source), "-k", key.path, ...patience] as const;
  return { args, folder: await temporaryFolder(t) };
}

/** Has a shell run `script`, in which `"$@"` is spipe. */
export function inShell(script: string, args: Args): Args {
  return ["sh", "-c", script, "sh", ...args];
}
