/**
 * The command `spiped`: words → configuration → a tunnel that runs until a signal ends it.
 */

import { randomFillSync } from "node:crypto";
import type { Command } from "commander";
import { generateKeyFile, readKeyFile } from "../config/key-file.js";
import { DEFAULTS, type TunnelConfig } from "../config/tunnel-config.js";
import { formatAddress, parseAddress, parseBindAddress } from "../net/address.js";
import { resolve } from "../net/resolver.js";
import { createLog, type Log } from "../observe/log.js";
import { createTunnelLog } from "../observe/tunnel-log.js";
import { Tunnel } from "../tunnel/listener.js";
import {
  createCommand,
  forwardSecrecyOf,
  parseLimit,
  parseSeconds,
  parseWords,
  resolveBind,
  usageError,
} from "./options.js";

const MAX_CONNECTIONS = 1_000_000;

const USAGE = "{-e | -d} -s SOURCE -t TARGET -k KEYFILE [-Fj] [-b BIND] [-f | -g] [-n MAX] [-o SECONDS]";

const EXAMPLES = `
Addresses are [IPv4]:port, [IPv6]:port, host:port, or the /absolute/path of a UNIX socket.

Examples:
  spiped keygen keyfile                 make a key; copy it to the other machine
  spiped -e -s '[127.0.0.1]:2562' -t far.example:2562 -k keyfile
                                        near: cleartext comes in, packets go out
  spiped -d -s '[0.0.0.0]:2562' -t '[127.0.0.1]:2562' -k keyfile
                                        far: packets come in, cleartext goes out
`;

interface Flags {
  readonly encrypt?: true;
  readonly decrypt?: true;
  readonly source?: string;
  readonly target?: string;
  readonly key?: string;
  readonly bind?: string;
  readonly withoutForwardSecrecy?: true;
  readonly requireForwardSecrecy?: true;
  readonly keepAlive: boolean;
  readonly maxConnections: number;
  readonly timeout: number;
}

/** Runs `spiped`. */
export async function main(words: readonly string[]): Promise<number> {
  const log = createLog("spiped", process.stderr);
  let parsedKeygen: string | undefined;
  const command = spipedCommand();
  command
    .command("keygen <file>")
    .description("write a new key: 32 random bytes, mode 0600, never over an existing file")
    .allowExcessArguments(false)
    .action((file: string) => {
      parsedKeygen = file;
    });
  command.action(() => undefined);
  const parsed = parseWords(command, words);
  if (parsed !== undefined) return parsed.exitStatus;
  if (parsedKeygen !== undefined) {
    generateKeyFile(parsedKeygen, randomFillSync);
    return 0;
  }
  const { config, keyFile } = configOf(command);
  return runTunnel(config, keyFile, log);
}

function spipedCommand(): Command {
  return createCommand("spiped", USAGE)
    .description("An encrypted, authenticated pipe between two socket addresses.")
    .option("-e, --encrypt", "take cleartext at SOURCE, send packets to TARGET")
    .option("-d, --decrypt", "take packets at SOURCE, send cleartext to TARGET")
    .option("-s, --source <address>", "where to listen")
    .option("-t, --target <address>", "where to connect")
    .option("-k, --key <file>", "key file; - for standard input")
    .option("-b, --bind <address>", "local address of connections to TARGET, with or without a port")
    .option("-F, --foreground", "stay in the foreground")
    .option("-f, --without-forward-secrecy", "give forward secrecy up: less CPU time, less secrecy")
    .option("-g, --require-forward-secrecy", "refuse a peer that gives forward secrecy up")
    .option("-j, --no-keep-alive", "no TCP keep-alive")
    .option(
      "-n, --max-connections <count>",
      "most connections at once, 0 for no limit",
      parseLimit("-n", MAX_CONNECTIONS),
      DEFAULTS.maxConnections,
    )
    .option(
      "-o, --timeout <seconds>",
      "time for connecting, and again for the handshake",
      parseSeconds("-o", DEFAULTS.timeoutMs),
      DEFAULTS.timeoutMs,
    )
    .addHelpText("after", EXAMPLES);
}

function configOf(command: Command): { readonly config: TunnelConfig; readonly keyFile: string } {
  const flags = command.opts<Flags>();
  if (flags.encrypt && flags.decrypt) throw usageError(command, "-e and -d exclude each other; take one of them");
  if (!flags.encrypt && !flags.decrypt) throw usageError(command, "either -e or -d is needed");
  const required = (name: string, value: string | undefined): string => {
    if (value === undefined) throw usageError(command, `${name} is missing`);
    return value;
  };
  const source = required("-s SOURCE", flags.source);
  const target = required("-t TARGET", flags.target);
  const keyFile = required("-k KEYFILE", flags.key);
  const config: TunnelConfig = Object.freeze({
    role: flags.encrypt ? "encrypt" : "decrypt",
    source: parseAddress(source),
    target: parseAddress(target),
    bind: flags.bind === undefined ? undefined : parseBindAddress(flags.bind),
    forwardSecrecy: forwardSecrecyOf(command, flags),
    keepAlive: flags.keepAlive,
    maxConnections: flags.maxConnections,
    timeoutMs: flags.timeout,
  });
  return { config, keyFile };
}

/** Resolve, read the key, listen, run: in this order, as scripts know it from the original. */
async function runTunnel(config: TunnelConfig, keyFile: string, log: Log): Promise<number> {
  const [source, ...others] = await resolve(config.source);
  const targets = await resolve(config.target);
  const bind = await resolveBind(config.bind);
  if (others.length > 0) {
    log.line(`${formatAddress(config.source)} has ${others.length + 1} addresses; listening on the first only`);
  }
  const { key, warnings } = readKeyFile(keyFile);
  for (const warning of warnings) log.line(warning);
  const tunnel = await Tunnel.start(config, { key, source, targets, bind, events: createTunnelLog(log) });
  const verb = config.role === "encrypt" ? "encrypting" : "decrypting";
  log.line(`listening on ${formatAddress(tunnel.address)}, ${verb} to ${formatAddress(config.target)}`);
  return untilSignal(tunnel, log);
}

/** SIGTERM lets connections finish; a second one, or SIGINT, does not. */
function untilSignal(tunnel: Tunnel, log: Log): Promise<number> {
  return new Promise((resolve) => {
    let draining = false;
    let cut = 0;
    const drain = (signal: string) => {
      draining = true;
      if (tunnel.connections > 0) log.line(`${signal}: no longer listening; ${tunnel.connections} connections go on`);
      tunnel.drain().then(() => {
        log.line(cut === 0 ? "stopped: all connections have ended" : `stopped: ${cut} connections were cut`);
        resolve(cut === 0 ? 0 : 1);
      });
    };
    const cancel = (signal: string) => {
      cut += tunnel.connections;
      if (!draining) drain(signal);
      tunnel.cancel();
    };
    process.on("SIGTERM", () => (draining ? cancel("SIGTERM") : drain("SIGTERM")));
    process.on("SIGINT", () => cancel("SIGINT"));
  });
}
