/**
 * The command `spiped`: words → settings → a tunnel in the foreground, or a daemon.
 */

import { type Command, Option } from "commander";
import { DEFAULTS, type TunnelConfig } from "../config/tunnel-config.js";
import { SpipedError } from "../errors.js";
import { parseAddress, parseBindAddress, parseTargetAddress } from "../net/address.js";
import { MAX_DEFAULT_THREADS } from "../tunnel/flow-choices.js";
import { KEY_DESCRIPTOR, startDaemon, takeReport } from "./daemon.js";
import { applyEnvironment } from "./environment.js";
import { takeGiven } from "./given.js";
import { keyId } from "./key-id.js";
import { keygen } from "./keygen.js";
import {
  addAboutOptions,
  addConnectionOptions,
  type ConnectionFlags,
  createCommand,
  forwardSecrecyOf,
  GROUPS,
  parseCount,
  parseLimit,
  parseMode,
  parseSeconds,
  parseWords,
  required,
  usageError,
} from "./options.js";
import { runService, type ServiceSettings } from "./service.js";

const MAX_CONNECTIONS = 1_000_000;
const MAX_THREADS = 256;

const USAGE =
  "{-e | -d} -s SOURCE -t TARGET -k KEYFILE [-DFj] [-b BIND] [-f | -g] [-n MAX] [-o SECONDS] [-p PIDFILE] " +
  "[-r SECONDS | -R] [--no-coalescing] [--source-mode MODE] [--syslog] [--threads COUNT] [-u USER[:GROUP] | -u :GROUP]";

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
`;

interface Flags extends ConnectionFlags {
  readonly encrypt?: true;
  readonly decrypt?: true;
  readonly source?: string;
  readonly daemonizeFirst?: true;
  readonly foreground?: true;
  readonly maxConnections: number;
  readonly pidFile?: string;
  readonly resolveInterval: number;
  readonly resolveOnce?: true;
  readonly syslog?: true;
  readonly user?: string;
  readonly sourceMode?: number;
  readonly threads?: number;
}

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
  if (flags.foreground) return runService(settings);
  if (reportReady === undefined) return startDaemon(settings.keyFile);
  return runService({
    ...settings,
    keyDescriptor: settings.keyFile === "-" ? undefined : KEY_DESCRIPTOR,
    pidFile: flags.pidFile ?? `${flags.source}.pid`,
    reportReady,
  });
}

/** The command's flags. */
export function spipedCommand(): Command {
  const command = createCommand("spiped", USAGE)
    .description("An encrypted, authenticated pipe between two socket addresses.")
    .optionsGroup(GROUPS.ends)
    .option("-e, --encrypt", "take cleartext at SOURCE, send packets to TARGET")
    .option("-d, --decrypt", "take packets at SOURCE, send cleartext to TARGET")
    .option("-s, --source <address>", "where to listen");
  addConnectionOptions(command, "where to connect")
    .addOption(
      new Option("-n, --max-connections <count>", "most connections at once, 0 for no limit")
        .argParser(parseLimit("-n", MAX_CONNECTIONS))
        .default(DEFAULTS.maxConnections),
    )
    .addOption(
      new Option("-r, --resolve-interval <seconds>", "time between look-ups of TARGET")
        .argParser(parseSeconds("-r", DEFAULTS.resolveIntervalMs))
        .default(DEFAULTS.resolveIntervalMs, String(DEFAULTS.resolveIntervalMs / 1_000)),
    )
    .option("-R, --resolve-once", "look TARGET up at the start only")
    .optionsGroup(GROUPS.process)
    .option("-F, --foreground", "stay in the foreground: no daemon, no pid file")
    .option("-D, --daemonize-first", "become a daemon at once, then retry failed look-ups each second")
    .option("-p, --pid-file <file>", "pid file of the daemon (default: SOURCE.pid)")
    .option("-u, --user <user>", "USER[:GROUP] or :GROUP to become after the start")
    .addOption(
      new Option(
        "--threads <count>",
        `threads that move packets (default: one for each core, at most ${MAX_DEFAULT_THREADS})`,
      ).argParser(parseCount("--threads", MAX_THREADS)),
    )
    .option("--syslog", "after the start, write to the system's log instead of standard error")
    .addOption(
      new Option("--source-mode <mode>", "permissions of the file where SOURCE is a UNIX socket, 0660 say")
        .argParser(parseMode("--source-mode"))
        .helpGroup(GROUPS.ends),
    );
  return addAboutOptions(command).addHelpText("after", EXAMPLES);
}

function settingsOf(command: Command, flags: Flags): ServiceSettings {
  if (flags.encrypt && flags.decrypt) throw usageError(command, "-e and -d exclude each other; take one of them");
  if (!flags.encrypt && !flags.decrypt) throw usageError(command, "either -e or -d is needed");
  if (process.platform === "win32") refuseOnWindows(command, flags);
  if (flags.resolveOnce && flags.resolveInterval !== DEFAULTS.resolveIntervalMs) {
    throw usageError(command, "-R looks up once and -r again and again; take one of them");
  }
  const config: TunnelConfig = Object.freeze({
    role: flags.encrypt ? "encrypt" : "decrypt",
    source: parseAddress(required(command, "-s SOURCE", flags.source)),
    target: parseTargetAddress(required(command, "-t TARGET", flags.target)),
    sourceMode: flags.sourceMode,
    resolveIntervalMs: flags.resolveOnce ? Number.POSITIVE_INFINITY : flags.resolveInterval,
    bind: flags.bind === undefined ? undefined : parseBindAddress(flags.bind),
    forwardSecrecy: forwardSecrecyOf(command, flags),
    keepAlive: flags.keepAlive,
    maxConnections: flags.maxConnections,
    timeoutMs: flags.timeout,
  });
  return {
    config,
    keyFile: required(command, "-k KEYFILE", flags.key),
    keyDescriptor: undefined,
    waitsForLookUps: flags.daemonizeFirst === true,
    pidFile: undefined,
    user: flags.user,
    syslog: flags.syslog === true,
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
