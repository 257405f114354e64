// spiped on free addresses: one end, or both ends with a target behind them.

import { randomBytes } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { type Address, type AddressKind, freeAddress, textOf } from "./addresses.js";
import { failsafeMs, temporaryFolder } from "./cleanup.js";
import { Command } from "./command.js";
import { Listener } from "./listener.js";
import { untilListening } from "./listening.js";
import { ours, type Pair, type Program, pairOf } from "./programs.js";
import { TestSocket } from "./test-socket.js";

/** A key file and its contents. */
export interface Key {
  readonly path: string;
  readonly bytes: Uint8Array;
}

export async function newKey(t: TestContext, bytes: Uint8Array = randomBytes(32)): Promise<Key> {
  const path = join(await temporaryFolder(t), "key");
  await writeFile(path, bytes, { mode: 0o600 });
  return { path, bytes };
}

export interface SpipedOptions {
  readonly program?: Program;
  /** -d or -e. */
  readonly end: "-d" | "-e";
  /** What kind of address to listen on. */
  readonly source: AddressKind;
  /** Where to connect; a text is taken as it is. */
  readonly target: Address | string;
  readonly key: Key;
  readonly flags?: readonly string[];
  /** Additional environment variables. */
  readonly env?: Readonly<Record<string, string>>;
}

/** A running spiped. */
export interface Spiped {
  readonly command: Command;
  readonly source: Address;
}

/** Starts spiped on a free address and waits until it listens and, if it is ours, has logged that. */
export async function startSpiped(t: TestContext, options: SpipedOptions): Promise<Spiped> {
  const program = options.program ?? ours;
  for (let attempt = 1; ; attempt += 1) {
    const source = await freeAddress(t, options.source);
    const target = typeof options.target === "string" ? options.target : textOf(options.target);
    const addresses = ["-s", textOf(source), "-t", target];
    const flags = ["-F", options.end, ...addresses, "-k", options.key.path, ...(options.flags ?? [])];
    const command = Command.start(t, [...program.spiped, ...flags], { stdin: "ignore", env: options.env ?? {} });
    if (await untilListening(command, source)) {
      if (program.name === "ours") await command.line(/./);
      return { command, source };
    }
    const { status } = await command.exit();
    // Another process may have taken the port meanwhile.
    const isTaken = source.kind === "tcp" && /in use/i.test(command.stderr);
    if (!isTaken || attempt === 5) throw new Error(`${command.commandLine} ended with ${status}: ${command.stderr}`);
  }
}

/** Stops one of our spipeds that has no open connections. @returns Its log messages about single connections. */
export async function stopAndGetLines({ command }: Spiped): Promise<readonly string[]> {
  const before = command.lines.length;
  command.signal("SIGTERM");
  const { status, signal } = await command.exit();
  if (status !== 0)
    throw new Error(`${command.commandLine} ended with ${status ?? signal} on SIGTERM: ${command.stderr}`);
  if (command.lines.length <= before) throw new Error(`${command.commandLine} ended without a word`);
  return connectionLines(command);
}

/**
 * How many failed connections a stopped spiped has logged, in single messages and in summaries.
 *
 * @param pattern - Which failures to count; default all.
 */
export function failuresTold({ command }: Spiped, pattern = /./): number {
  const sums = command.stderr.split("\n").filter((line) => /^spiped: [a-z -]+: [\d,]+ more from /.test(line));
  const summed = sums
    .filter((line) => pattern.test(line))
    .map((line) => Number(/ ([\d,]+) more from /.exec(line)?.[1]?.replaceAll(",", "")));
  const lines = connectionLines(command).filter((line) => pattern.test(line));
  return summed.reduce((sum, count) => sum + count, lines.length);
}

/** The log messages about single connections so far. */
export function connectionLines(command: Command): readonly string[] {
  return command.lines.filter((line) => /^spiped: connection from /.test(line));
}

export interface TunnelOptions {
  readonly pair?: Pair;
  /** The kind of all three addresses. */
  readonly kind?: AddressKind;
  readonly clientFlags?: readonly string[];
  readonly serverFlags?: readonly string[];
  readonly clientKey?: Key;
  readonly serverKey?: Key;
  /** -o of both ends; default `patience`. */
  readonly timeLimit?: readonly [flag: "-o", seconds: string];
  /** Where the server connects, if not to a listener of the test's. */
  readonly targetAddress?: Address;
}

/** Both ends, with a target of the test's behind them. */
export interface Tunnel {
  readonly client: Spiped;
  readonly server: Spiped;
  readonly target: Listener;
  /** The server's key. */
  readonly key: Key;
  /** A new connection to the source. */
  connect(): Promise<TestSocket>;
  /** A new connection to the source, and the matching one at the target. */
  connectThrough(): Promise<{ app: TestSocket; service: TestSocket }>;
}

/** Time limit for connecting and handshakes in tests that are not about time. */
export const patience = ["-o", String(failsafeMs / 1000)];

/** Starts both ends on free addresses of one kind. */
export async function startTunnel(t: TestContext, options: TunnelOptions = {}): Promise<Tunnel> {
  const { client: clientProgram, server: serverProgram } = options.pair ?? pairOf(ours, ours);
  const kind = options.kind ?? "tcp";
  const key = options.serverKey ?? (await newKey(t));
  const timeLimit = options.timeLimit ?? patience;
  const target = await Listener.listen(t, kind);
  const server = await startSpiped(t, {
    program: serverProgram,
    end: "-d",
    source: kind,
    target: options.targetAddress ?? target.address,
    key,
    flags: [...timeLimit, ...(options.serverFlags ?? [])],
  });
  const client = await startSpiped(t, {
    program: clientProgram,
    end: "-e",
    source: kind,
    target: server.source,
    key: options.clientKey ?? key,
    flags: [...timeLimit, ...(options.clientFlags ?? [])],
  });
  const connect = (): Promise<TestSocket> => TestSocket.connect(t, client.source);
  const connectThrough = async (): Promise<{ app: TestSocket; service: TestSocket }> => {
    const app = await connect();
    return { app, service: await target.next() };
  };
  return { client, server, target, key, connect, connectThrough };
}
