/**
 * The command `spiped`: words → settings → a tunnel in the foreground, or a daemon.
 */

import type { Command } from "commander";
import { SpipedError } from "../errors.js";
import type { FlagValues } from "../flags/flags.js";
import { tunnelConfigOf } from "../flags/tunnel-values.js";
import { usageOf } from "../flags/usage.js";
import { ADDRESS_PARSERS } from "../flags/values.js";
import { check } from "./check.js";
import { KEY_DESCRIPTOR, startDaemon, takeReport } from "./daemon.js";
import { applyEnvironment } from "./environment.js";
import { takeGiven } from "./given.js";
import { keyId } from "./key-id.js";
import { keygen } from "./keygen.js";
import { addFlags, createCommand, parseWords, refuseContradictions, required, usageError } from "./options.js";
import { runService, type ServiceSettings } from "./service.js";

const EXAMPLES = `
Addresses are [IPv4]:port, [IPv6]:port, host:port, or the /absolute/path of a UNIX socket.
Each flag can come from the environment: SPIPED_KEY for --key, SPIPED_DECRYPT=yes for --decrypt.

Examples:
  spiped keygen keyfile                 make a key; copy it to the other machine
  spiped key-id keyfile                 an id that is the same where the key is the same
  spiped -e -s '[127.0.0.1]:2562' -t far.example:2562 -k keyfile
                                        near: cleartext comes in, packets go out
  spiped -d -s '[0.0.0.0]:2562' -t '[127.0.0.1]:2562' -k keyfile
                                        far: packets come in, cleartext goes out
  spiped --check ...                    with the flags of either: what would not work, and what to do
`;

type Flags = FlagValues<"spiped">;

/** Runs `spiped`. */
export async function main(words: readonly string[]): Promise<number> {
  if (words[0] === "keygen") return keygen(words.slice(1));
  if (words[0] === "key-id") return keyId(words.slice(1));
  const reportReady = takeReport(process.env);
  const command = spipedCommand();
  const parsed = parseWords(command, words);
  if (parsed !== undefined) return parsed.exitStatus;
  applyEnvironment(command, takeGiven().variables);
  const flags = command.opts<Flags>();
  const settings = settingsOf(command, flags);
  const { keyFile } = settings.tunnel;
  const pidFile = flags.pidFile ?? `${flags.source}.pid`;
  if (flags.check) {
    const { tunnel, user } = settings;
    return check({ tunnels: [tunnel], user, pidFile: flags.foreground ? undefined : pidFile });
  }
  if (flags.foreground) return runService(settings);
  if (reportReady === undefined) return startDaemon(keyFile);
  return runService({
    ...settings,
    keyDescriptor: keyFile === "-" ? undefined : KEY_DESCRIPTOR,
    pidFile,
    reportReady,
  });
}

/** The command's flags. */
export function spipedCommand(): Command {
  const command = createCommand("spiped", usageOf("spiped")).description(
    "An encrypted, authenticated pipe between two socket addresses.",
  );
  return addFlags(command, "spiped").addHelpText("after", EXAMPLES);
}

function settingsOf(command: Command, flags: Flags): ServiceSettings {
  refuseContradictions(command, "spiped");
  if (process.platform === "win32") refuseOnWindows(command, flags);
  const config = tunnelConfigOf(flags.encrypt ? "encrypt" : "decrypt", {
    ...flags,
    source: required(command, "source", flags.source),
    target: required(command, "target", flags.target),
  });
  if (config.source.kind === "systemd" && flags.sourceMode !== undefined) {
    throw usageError(command, "--source-mode is for sockets made here; a .socket unit has SocketMode=");
  }
  return {
    tunnel: { config, keyFile: required(command, "key", flags.key) },
    keyDescriptor: undefined,
    waitsForLookUps: flags.daemonizeFirst === true,
    pidFile: undefined,
    user: flags.user,
    drainTimeoutMs: flags.drainTimeout,
    syslog: flags.syslog === true,
    status: flags.status === undefined ? undefined : ADDRESS_PARSERS.status(flags.status),
    flows: {
      ...relayOf(takeGiven().variables),
      coalescing: flags.coalescing,
      ...(flags.threads === undefined ? {} : { threads: flags.threads }),
    },
    reportReady: undefined,
  };
}

/** For whoever suspects the threads, and for tests of what does without. */
function relayOf({ SPIPED_RELAY }: Readonly<Record<string, string | undefined>>): { readonly relay?: false } {
  if (SPIPED_RELAY === undefined || SPIPED_RELAY === "on") return {};
  if (SPIPED_RELAY === "off") return { relay: false };
  throw new SpipedError("SPIPED_USAGE", `bad value of SPIPED_RELAY: ${JSON.stringify(SPIPED_RELAY)}`, {
    hint: "write on or off",
  });
}

/** Says what Windows lacks where it is asked for. */
function refuseOnWindows(command: Command, flags: Flags): void {
  if (!flags.foreground)
    throw usageError(command, "there is no daemon on Windows; add -F and let a service manager run it");
  if (flags.syslog)
    throw usageError(command, "there is no syslog on Windows; leave --syslog out and redirect standard error");
  if (flags.sourceMode !== undefined) {
    throw usageError(command, "there are no UNIX sockets on Windows, so --source-mode means nothing there");
  }
}
