/**
 * The command `spipe`: standard input and output as the cleartext end of one connection to a `spiped -d`.
 */

import { readKeyFile } from "../config/key-file.js";
import { DEFAULTS } from "../config/tunnel-config.js";
import { formatAddress, parseAddress, parseBindAddress } from "../net/address.js";
import { resolve } from "../net/resolver.js";
import { createLog } from "../observe/log.js";
import { Connection, type ConnectionReport } from "../tunnel/connection.js";
import { cleartextMemory } from "../tunnel/memory.js";
import { createCommand, forwardSecrecyOf, parseSeconds, parseWords, resolveBind, usageError } from "./options.js";
import { StdioChannel } from "./stdio-channel.js";

const USAGE = "-t TARGET -k KEYFILE [-b BIND] [-f | -g] [-j] [-o SECONDS]";

const EXAMPLES = `
Addresses are [IPv4]:port, [IPv6]:port, host:port, or the /absolute/path of a UNIX socket.

Examples:
  echo hello | spipe -t far.example:2562 -k keyfile
  ssh -o 'ProxyCommand spipe -t %h:8022 -k keyfile' far.example
`;

interface Flags {
  readonly target?: string;
  readonly key?: string;
  readonly bind?: string;
  readonly withoutForwardSecrecy?: true;
  readonly requireForwardSecrecy?: true;
  readonly keepAlive: boolean;
  readonly timeout: number;
}

/** Runs `spipe`. */
export async function main(words: readonly string[]): Promise<number> {
  const log = createLog("spipe", process.stderr);
  const command = createCommand("spipe", USAGE)
    .description("Standard input and output through an encrypted, authenticated connection to a spiped -d.")
    .option("-t, --target <address>", "where to connect: the SOURCE of a spiped -d")
    .option("-k, --key <file>", "key file")
    .option("-b, --bind <address>", "local address of the connection, with or without a port")
    .option("-f, --without-forward-secrecy", "give forward secrecy up: less CPU time, less secrecy")
    .option("-g, --require-forward-secrecy", "refuse a peer that gives forward secrecy up")
    .option("-j, --no-keep-alive", "no TCP keep-alive")
    .option(
      "-o, --timeout <seconds>",
      "time for connecting, and again for the handshake",
      parseSeconds("-o", DEFAULTS.timeoutMs),
      DEFAULTS.timeoutMs,
    )
    .addHelpText("after", EXAMPLES);
  const parsed = parseWords(command, words);
  if (parsed !== undefined) return parsed.exitStatus;
  const flags = command.opts<Flags>();
  if (flags.target === undefined) throw usageError(command, "-t TARGET is missing");
  if (flags.key === undefined) throw usageError(command, "-k KEYFILE is missing");
  if (flags.key === "-") throw usageError(command, "-k - would take the key from the data; name a file");
  const target = parseAddress(flags.target);
  const targets = await resolve(target);
  const bind = await resolveBind(flags.bind === undefined ? undefined : parseBindAddress(flags.bind));
  const forwardSecrecy = forwardSecrecyOf(command, flags);
  const { key, warnings } = readKeyFile(flags.key);
  for (const warning of warnings) log.line(warning);
  return new Promise((resolveStatus) => {
    process.on("SIGTERM", () => resolveStatus(0));
    new Connection({
      role: "encrypt",
      source: new StdioChannel(cleartextMemory.readBuffer),
      targets,
      targetName: formatAddress(target),
      bind,
      key,
      forwardSecrecy,
      keepAlive: flags.keepAlive,
      timeoutMs: flags.timeout,
      ended: (report) => {
        if (report.reason !== "closed") log.line(failureOf(report));
        resolveStatus(report.reason === "closed" ? 0 : 1);
      },
    });
  });
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
