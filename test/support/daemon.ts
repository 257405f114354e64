// spiped as a daemon: started by a process that has exited, found by its pid file, and stopped when the test ends.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { basename, join } from "node:path";
import type { TestContext } from "node:test";
import { type Address, type AddressKind, freeAddress, textOf } from "./addresses.js";
import { afterwards, temporaryFolder } from "./cleanup.js";
import { Command, type CommandOptions } from "./command.js";
import { Listener } from "./listener.js";
import type { Established } from "./one-end.js";
import { isRunning, processesWith, untilEnded } from "./processes.js";
import { ours } from "./programs.js";
import { ReferencePeer } from "./reference-peer.js";
import { TestSocket } from "./test-socket.js";
import { type Key, newKey, patience } from "./tunnel.js";

/** Daemons are looked for in /proc. */
export const onLinux = process.platform === "linux" ? false : "needs Linux";

/** Environment variables that identify what each test has started. */
const markers = new Map<string, readonly string[]>();
process.on("exit", () => {
  for (const [marker, args] of markers) killAll(marker, args);
});

function killAll(marker: string, args: readonly string[]): void {
  for (const id of processesWith(marker, args)) process.kill(id, "SIGKILL");
}

/** Starts a command that may leave a daemon behind. All of it is killed when the test ends. */
export function startDetached(
  t: TestContext,
  args: readonly [string, ...string[]],
  options: CommandOptions = { stdin: "ignore" },
): Command {
  const mark = newMark(args);
  const command = Command.start(t, args, { ...options, env: { ...options.env, ...mark.env } });
  // Before waiting for the command's own exit: a daemon may have its output open.
  afterwards(t, mark.killAll);
  return command;
}

/**
 * An environment variable for commands that may leave something behind: every process that has it is killed when the
 * test ends.
 */
export function markOf(t: TestContext): Readonly<Record<string, string>> {
  const { env, killAll } = newMark([]);
  afterwards(t, killAll);
  return env;
}

function newMark(args: readonly string[]): { readonly env: Readonly<Record<string, string>>; killAll(): void } {
  const id = randomUUID();
  const marker = `TEST_DAEMON=${id}`;
  markers.set(marker, args);
  return {
    env: { TEST_DAEMON: id },
    killAll: () => {
      killAll(marker, args);
      markers.delete(marker);
    },
  };
}

export interface DaemonOptions extends CommandOptions {
  /** The arguments that start spiped; default ours. */
  readonly program?: readonly [string, ...string[]];
  /** Default -d. */
  readonly end?: "-d" | "-e";
  readonly source: AddressKind;
  readonly target: Address;
  readonly key: Pick<Key, "path">;
  readonly flags?: readonly string[];
}

/** A daemon whose first process has exited with status 0. */
export interface Daemon {
  /** The first process, which has exited; the daemon shares its output. */
  readonly command: Command;
  readonly id: number;
  readonly source: Address;
  readonly pidFile: string;
}

/** Starts a daemon with its default pid file, in a new folder unless one is given. */
export async function startDaemon(t: TestContext, options: DaemonOptions): Promise<Daemon> {
  const cwd = options.cwd ?? (await temporaryFolder(t));
  for (let attempt = 1; ; attempt += 1) {
    const source = await freeAddress(t, options.source);
    const addresses = ["-s", textOf(source), "-t", textOf(options.target)];
    const flags = [options.end ?? "-d", ...addresses, "-k", options.key.path, ...(options.flags ?? [])];
    const command = startDetached(t, [...(options.program ?? ours.spiped), ...flags], {
      ...options,
      stdin: options.stdin ?? "ignore",
      cwd,
    });
    const { status } = await command.ownExit();
    if (status !== 0) {
      // Another process may have taken the port meanwhile.
      const isTaken = source.kind === "tcp" && /in use/i.test(command.stderr);
      if (isTaken && attempt < 5) continue;
      throw new Error(`${command.commandLine} ended with ${status}: ${command.stderr}`);
    }
    const pidFile = source.kind === "unix" ? `${source.path}.pid` : join(cwd, `${textOf(source)}.pid`);
    return { command, id: readPidFile(pidFile), source, pidFile };
  }
}

/** The process id in a pid file, which must contain nothing else. */
export function readPidFile(path: string): number {
  const text = readFileSync(path, "latin1");
  assert.match(text, /^\d+$/, `${basename(path)} holds a number without a line break`);
  const id = Number(text);
  assert.ok(isRunning(id), `process ${id} of ${basename(path)} runs`);
  return id;
}

/** Stops a daemon and waits until it has exited. */
export async function stopDaemon({ id }: Pick<Daemon, "id">, signal: NodeJS.Signals = "SIGTERM"): Promise<void> {
  process.kill(id, signal);
  await untilEnded(id);
}

/** A daemon with -d between the reference peer and a target of the test's. */
export interface DaemonEnd extends Daemon {
  readonly key: Key;
  readonly target: Listener;
  establish(): Promise<Established>;
}

export async function startDaemonEnd(t: TestContext, options: Partial<DaemonOptions> = {}): Promise<DaemonEnd> {
  const source = options.source ?? "unix";
  const key = await newKey(t);
  const target = await Listener.listen(t, source);
  const flags = [...patience, ...(options.flags ?? [])];
  const daemon = await startDaemon(t, { key, ...options, source, target: target.address, flags });
  return { ...daemon, key, target, establish: () => establishThrough(t, daemon.source, target, key) };
}

/** Completes a handshake with a spiped -d and accepts its connection to the target. */
export async function establishThrough(
  t: TestContext,
  source: Address,
  target: Listener,
  key: Key,
): Promise<Established> {
  const peer = ReferencePeer.client(await TestSocket.connect(t, source), { keyFile: key.bytes });
  await peer.handshake();
  return { peer, plain: await target.next() };
}

/** Makes a connection that a spiped -d refuses and logs. */
export async function annoy(t: TestContext, source: Address): Promise<void> {
  const stranger = await TestSocket.connect(t, source);
  await stranger.write(new Uint8Array(1_000));
  await stranger.end();
}
