/**
 * The command `spipe`: standard input and output as the cleartext end of one connection to a `spiped -d`.
 */

import type { Command } from "commander";
import { systemClock } from "../clock.js";
import { readKeyFile } from "../config/key-file.js";
import type { FlagValues } from "../flags/flags.js";
import { forwardSecrecyOf } from "../flags/tunnel-values.js";
import { usageOf } from "../flags/usage.js";
import { type Address, formatAddress, parseBindAddress, parseTargetAddress } from "../net/address.js";
import { DescriptorBudget } from "../net/descriptors.js";
import { resolve, resolveBind } from "../net/resolver.js";
import { endedEntry } from "../observe/connection-entries.js";
import { createLog } from "../observe/log.js";
import { standardErrorSink } from "../observe/standard-error.js";
import { keyPairs } from "../protocol/key-pairs.js";
import { KeyRing } from "../protocol/key-ring.js";
import { Connection } from "../tunnel/connection.js";
import { setFlowSettings } from "../tunnel/flow-settings.js";
import { cleartextMemory } from "../tunnel/memory.js";
import type { ConnectionReport } from "../tunnel/reports.js";
import { dialledTarget } from "../tunnel/target.js";
import { isHangUpIgnored, leaveSignal, takeSignal } from "./early-signals.js";
import { addFlags, createCommand, parseWords, refuseContradictions, required, usageError } from "./options.js";
import { StdioChannel } from "./stdio-channel.js";

const EXAMPLES = `
Addresses are [IPv4]:port, [IPv6]:port, host:port, or the /absolute/path of a UNIX socket.

Examples:
  echo hello | spipe -t far.example:2562 -k keyfile
  ssh -o 'ProxyCommand spipe -t %h:8022 -k keyfile' far.example
  spipe --probe -t far.example:2562 -k keyfile
                                        where it does not work: what is wrong, step by step
`;

/** So long may the end of standard input take to come once a signal has. */
const LAST_INPUT_MS = 250;

/** Runs `spipe`. */
export async function main(words: readonly string[]): Promise<number> {
  const log = createLog(standardErrorSink("spipe"));
  const command = spipeCommand();
  const parsed = parseWords(command, words);
  if (parsed !== undefined) return parsed.exitStatus;
  const flags = command.opts<FlagValues<"spipe">>();
  refuseContradictions(command, "spipe");
  const target = parseTargetAddress(required(command, "target", flags.target));
  const keyFile = required(command, "key", flags.key);
  if (keyFile === "-") throw usageError(command, "-k - would take the key from the data; name a file");
  if (flags.probe) return probeTarget(flags, target, keyFile);
  setFlowSettings({ coalescing: flags.coalescing });
  endOnSignals();
  const targets = await resolve(target);
  const bind = await resolveBind(flags.bind === undefined ? undefined : parseBindAddress(flags.bind));
  const forwardSecrecy = forwardSecrecyOf(flags);
  const releaseKeyPairs = forwardSecrecy === "off" ? () => undefined : keyPairs.keep(1, systemClock);
  const { key, warnings } = await readKeyFile(keyFile, { exceptStandardInput: true });
  for (const warning of warnings) log.warning(warning);
  return new Promise((resolveStatus) => {
    let forwardHasEnded = false;
    let leave: (() => void) | undefined;
    // Whoever closes our input and sends a signal right behind it, as ssh does to its ProxyCommand, is done: the end goes
    // out before we go. An input that has not ended is cut, and the far end sees a reset.
    for (const [signal, status] of [
      ["SIGTERM", 0],
      ...(isHangUpIgnored() ? [] : ([["SIGHUP", 129]] as const)),
    ] as const) {
      takeSignal(signal, () => {
        leave = () => resolveStatus(status);
        if (forwardHasEnded) leave();
        else setTimeout(leave, LAST_INPUT_MS);
      });
    }
    new Connection({
      role: "encrypt",
      source: new StdioChannel(cleartextMemory.readBuffer),
      target: {
        ...dialledTarget({
          addresses: targets,
          name: formatAddress(target),
          bind,
          timeoutMs: flags.timeout,
          keepAlive: flags.keepAlive,
          descriptors: DescriptorBudget.measure(),
        }),
        opened: () => {
          // There is no other connection that would need them.
          key.destroy();
          releaseKeyPairs();
        },
      },
      keys: () => KeyRing.of(key).offer,
      forwardSecrecy,
      timeoutMs: flags.timeout,
      endWithTarget: flags.endWithRemote === true,
      forwardEnded: () => {
        forwardHasEnded = true;
        leave?.();
      },
      ended: (report) => {
        if (report.reason !== "closed") log.write({ ...endedEntry(report), message: failureOf(report) });
        resolveStatus(report.reason === "closed" ? 0 : 1);
      },
    });
  });
}

async function probeTarget(flags: FlagValues<"spipe">, target: Address, keyFile: string): Promise<number> {
  const { probe } = await import("./probe.js");
  for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const) leaveSignal(signal);
  return probe(keyFile, {
    target,
    bind: flags.bind === undefined ? undefined : parseBindAddress(flags.bind),
    forwardSecrecy: forwardSecrecyOf(flags),
    keepAlive: flags.keepAlive,
    timeoutMs: flags.timeout,
  });
}

/** Until data can flow, SIGTERM is an orderly end; others do what they do to a program that does not know them. */
function endOnSignals(): void {
  takeSignal("SIGTERM", () => process.exit(0));
  leaveSignal("SIGINT");
  if (isHangUpIgnored()) takeSignal("SIGHUP", () => undefined);
  else leaveSignal("SIGHUP");
}

/** The command's flags. */
export function spipeCommand(): Command {
  const command = createCommand("spipe", usageOf("spipe").join("\n       spipe ")).description(
    "Standard input and output through an encrypted, authenticated connection to a spiped -d.",
  );
  return addFlags(command, "spipe").addHelpText("after", EXAMPLES);
}

/** The original's three messages, and behind them the reason, which it does not give. */
function failureOf({ phase, error }: ConnectionReport): string {
  const what = WHAT_FAILED[phase] ?? "Connection error";
  return error === undefined ? what : `${what}: ${error.message}`;
}

const WHAT_FAILED: Partial<Record<ConnectionReport["phase"], string>> = {
  dialling: "Could not connect",
  handshaking: "Handshake failed",
};
