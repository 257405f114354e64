/**
 * The command `spipe`: standard input and output as the cleartext end of one connection to a `spiped -d`.
 */

import type { Command } from "commander";
import { systemClock } from "../clock.js";
import { readKeyFile } from "../config/key-file.js";
import { codeOf } from "../errors.js";
import { parseAddressOption } from "../flags/addresses.js";
import type { FlagValues } from "../flags/flags.js";
import { forwardSecrecyOf } from "../flags/tunnel-values.js";
import { shortUsageOf } from "../flags/usage.js";
import { type Address, formatAddress, type HostAddress } from "../net/address.js";
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
import { dialedTarget } from "../tunnel/target.js";
import { isHangUpIgnored, leaveSignal, takeSignal } from "./early-signals.js";
import { addFlags, createCommand, parseArguments, refuseContradictions } from "./options.js";
import type { RawArguments } from "./raw-arguments.js";
import { StdioChannel } from "./stdio-channel.js";
import { usageError } from "./usage-error.js";

const EXAMPLES = `
Addresses are [IPv4]:port, [IPv6]:port, host:port, or the /absolute/path of a UNIX socket.

Examples:
  echo hello | spipe -t far.example:2562 -k keyfile
  ssh -o 'ProxyCommand spipe -t %h:8022 -k keyfile' far.example
  spipe --probe -t far.example:2562 -k keyfile
                                        check the way step by step, and say what is wrong
`;

/** How long to wait, after a signal, for the end of standard input. */
const LAST_INPUT_MS = 250;

/** Runs `spipe`. */
export async function main({ args }: RawArguments): Promise<number> {
  const log = createLog(standardErrorSink("spipe"));
  const command = spipeCommand();
  const parsed = parseArguments(command, args[0] === "help" || args[0] === "version" ? [`--${args[0]}`] : args);
  if (parsed !== undefined) return parsed.exitStatus;
  const flags = command.opts<FlagValues<"spipe">>();
  refuseContradictions(command, "spipe");
  const target = parseAddressOption("target", flags.target ?? "");
  const bind = flags.bind === undefined ? undefined : parseAddressOption("bind", flags.bind);
  const keyFile = flags.key ?? "";
  if (keyFile === "-") throw usageError("-k - is standard input, which is the data", "name a key file");
  if (flags.probe) return probeTarget(flags, { target, bind }, keyFile);
  setFlowSettings({ coalescing: flags.coalescing });
  endOnSignals();
  const targets = await resolve(target);
  const bindAddresses = await resolveBind(bind);
  const forwardSecrecy = forwardSecrecyOf(flags);
  const releaseKeyPairs = forwardSecrecy === "off" ? () => undefined : keyPairs.keep(1, systemClock);
  const { key, warnings } = await readKeyFile(keyFile, { exceptStandardInput: true });
  for (const warning of warnings) log.warning(warning);
  return new Promise((resolveStatus) => {
    let forwardHasEnded = false;
    let leave: (() => void) | undefined;
    // ssh closes the input of its ProxyCommand and sends a signal right after it: the end of the data must still go out.
    // Where the input has not ended, the far end sees a reset.
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
        ...dialedTarget({
          addresses: targets,
          name: formatAddress(target),
          bind: bindAddresses,
          timeoutMs: flags.timeout,
          keepAlive: flags.keepAlive,
          descriptors: DescriptorBudget.measure(),
        }),
        opened: () => {
          // There will be no other connection.
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
        if (report.reason !== "closed") {
          const entry = endedEntry(report);
          log.write({ ...entry, message: failureOf(report), hint: entry.hint ?? hintFor(report) });
        }
        resolveStatus(report.reason === "closed" ? 0 : 1);
      },
    });
  });
}

async function probeTarget(
  flags: FlagValues<"spipe">,
  addresses: { readonly target: Address; readonly bind: HostAddress | undefined },
  keyFile: string,
): Promise<number> {
  const { probe } = await import("./probe.js");
  for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const) leaveSignal(signal);
  return probe(keyFile, {
    ...addresses,
    forwardSecrecy: forwardSecrecyOf(flags),
    keepAlive: flags.keepAlive,
    timeoutMs: flags.timeout,
  });
}

/** Until data can flow, SIGTERM exits with status 0, and other signals have their default effect. */
function endOnSignals(): void {
  takeSignal("SIGTERM", () => process.exit(0));
  leaveSignal("SIGINT");
  if (isHangUpIgnored()) takeSignal("SIGHUP", () => undefined);
  else leaveSignal("SIGHUP");
}

/** The command with its options. */
export function spipeCommand(): Command {
  const command = createCommand("spipe", shortUsageOf("spipe").join("\n       spipe ")).description(
    "Standard input and output through an encrypted, authenticated connection to a spiped -d.",
  );
  return addFlags(command, "spipe").addHelpText("after", EXAMPLES);
}

/** The message of the C original, followed by the reason, which it does not give. */
function failureOf({ phase, error }: ConnectionReport): string {
  const what = WHAT_FAILED[phase] ?? "Connection error";
  return error === undefined ? what : `${what}: ${error.message}`;
}

function hintFor({ phase, error }: ConnectionReport): string | undefined {
  if (phase !== "dialing" || codeOf(error?.cause) !== "ECONNREFUSED") return undefined;
  return "is spiped -d running there? Try spipe --probe";
}

const WHAT_FAILED: Partial<Record<ConnectionReport["phase"], string>> = {
  dialing: "Could not connect",
  handshaking: "Handshake failed",
};
