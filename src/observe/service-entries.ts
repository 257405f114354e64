/**
 * Log messages about the process: what it listens on, how it shuts down, what a reload changes.
 */

import { counted } from "./counted.js";
import type { LogEntry } from "./entry.js";
import { errorEntry } from "./log.js";

/** A tunnel listens. */
export function listeningEntry(
  message: string,
  { role, source, target }: { readonly role: "encrypt" | "decrypt"; readonly source: string; readonly target: string },
): LogEntry {
  return { event: "listening", level: "info", message, role, source, target };
}

/** The source is a name with several addresses, and a tunnel listens on one. */
export function severalSourcesEntry(source: string, count: number, first: string): LogEntry {
  const message = `${source} resolves to ${counted(count, "address", "addresses")}; listening on ${first} only`;
  return { event: "note", level: "warning", message, source };
}

/** The target is the tunnel's own source. */
export function talksToItselfEntry(source: string, target: string): LogEntry {
  const message = `tunnel connects to itself: target ${target} is its own source ${source}`;
  return { event: "talks-to-itself", level: "warning", message, hint: TARGETS, source, target };
}

/** Tunnels of this process lead to each other. @param names - In the order of the connections. */
export function loopEntry(names: readonly string[]): LogEntry {
  const steps = names.map((name, index) => `${name} to ${names[(index + 1) % names.length]}`);
  const message = `tunnels connect in a loop: ${steps.join(", ")}`;
  return { event: "talks-to-itself", level: "warning", message, hint: TARGETS };
}

const TARGETS = "the target of spiped -e is the source of a spiped -d; the target of spiped -d is the service";

/** Names cannot be resolved at a start with -D, which goes on trying. */
export function retryingLookupEntry(why: string): LogEntry {
  return { event: "note", level: "warning", message: `${why}; retrying every second` };
}

/** A signal asked for the end while connections are open. */
export function drainingEntry(signal: string, count: number): LogEntry {
  const message = `${signal}: shutting down, draining ${counted(count, "connection")}`;
  return { event: "draining", level: "info", message, signal, count };
}

/**
 * The process exits.
 *
 * @param resets - Connections that were reset.
 * @param limitMs - The drain timeout, where that is what reset them.
 */
export function stoppedEntry(resets: number, limitMs?: number): LogEntry {
  const how =
    resets === 0 ? "all connections closed" : `reset ${counted(resets, "open connection")}${afterDrain(limitMs)}`;
  return { event: "stopped", level: "info", message: `stopped: ${how}`, count: resets };
}

/** Connections of a tunnel that a reload changed or removed have reached the drain timeout. */
export function oldConnectionsCutEntry(count: number, limitMs: number): LogEntry {
  const which = `${counted(count, "connection")} from before the reload`;
  const message = `reset ${which}${afterDrain(limitMs)}`;
  return { event: "old-connections-cut", level: "info", message, count };
}

function afterDrain(limitMs: number | undefined): string {
  return limitMs === undefined ? "" : ` after ${limitMs / 1_000} s (--drain-timeout)`;
}

/**
 * The configuration has been reloaded.
 *
 * @param tunnels - How many there are now, and what has become of which.
 */
export function configReadEntry(
  configFile: string,
  tunnels: { readonly count: number; readonly changes: string },
): LogEntry {
  const message = `SIGHUP: reloaded ${configFile}; tunnels: ${tunnels.changes}`;
  return { event: "config-read", level: "info", message, configFile, tunnels: tunnels.count };
}

/** One error in the configuration. */
export function configMistakeEntry(message: string, configFile: string, line: number | undefined): LogEntry {
  return { event: "config-mistake", level: "warning", message, configFile, line };
}

/** The configuration has errors, and nothing was changed. */
export function configKeptEntry(configFile: string, count: number): LogEntry {
  const message = `SIGHUP: ${configFile} has ${counted(count, "error")}; ${KEEPING_CONFIG}`;
  return { event: "config-kept", level: "warning", message, configFile, count };
}

/** The configuration is valid, but one of its tunnels cannot be started, and nothing was changed. */
export function configNotStartedEntry(configFile: string, count: number): LogEntry {
  const message = `SIGHUP: cannot apply ${configFile}: ${counted(count, "error")}; ${KEEPING_CONFIG}`;
  return { event: "config-kept", level: "warning", message, configFile, count };
}

const KEEPING_CONFIG = "keeping the old configuration";

/** A tunnel of a reload cannot start. */
export function notStartedEntry(error: unknown): LogEntry {
  return errorEntry(error, "not-started");
}

/** A setting of the process differs from the one it was started with. */
export function restartNeededEntry(configFile: string, key: string): LogEntry {
  const message = `SIGHUP: ${restartNeededText([key])}`;
  return { event: "restart-needed", level: "warning", message, configFile };
}

/** Which settings of the process have changed, and what to do. @param keys - At least one. */
export function restartNeededText(keys: readonly string[]): string {
  const names = keys.join(", ");
  return keys.length === 1
    ? `${names} has changed; restart spiped to apply it`
    : `${names} have changed; restart spiped to apply them`;
}

/** A reload replaced tunnels that are waiting for their names. */
export function resolvingNewNamesEntry(): LogEntry {
  const message = "SIGHUP: resolving the new names; the tunnels listen once all of them resolve";
  return { event: "note", level: "info", message };
}

/** Tunnels of a reload listen, but cannot accept. */
export function tunnelsFailedEntry(count: number): LogEntry {
  const message = `SIGHUP: ${counted(count, "tunnel")} failed to start; the next SIGHUP tries again`;
  return { event: "note", level: "warning", message, count };
}

/** A reload removed every tunnel. */
export function noTunnelsEntry(): LogEntry {
  return {
    event: "note",
    level: "warning",
    message: "SIGHUP: no tunnels left; waiting for another SIGHUP",
    tunnels: 0,
  };
}

/** SIGHUP during the shutdown. */
export function reloadWhileStoppingEntry(): LogEntry {
  return { event: "note", level: "info", message: "SIGHUP: shutting down, reloading key folders only" };
}

/** SIGUSR1 or SIGUSR2 to a program that has no state to report. */
export function signalIgnoredEntry(signal: string): LogEntry {
  return { event: "note", level: "info", message: `${signal}: ignored`, signal };
}

/** The status server listens. */
export function statusListeningEntry(address: string): LogEntry {
  return { event: "note", level: "info", message: `status: listening on ${address}` };
}

/** The status is not on a loopback address or a UNIX socket. */
export function statusExposedEntry(address: string): LogEntry {
  const message = `status: anyone who can reach ${address} can see who is connected and how much is transferred`;
  return { event: "note", level: "warning", message };
}

/** The owner of the status socket could not be changed for -u. */
export function statusOwnerEntry(why: string): LogEntry {
  return { event: "note", level: "warning", message: `status: cannot change the owner of the socket: ${why}` };
}

/** The status server could not accept or answer. */
export function statusFailedEntry(why: string): LogEntry {
  return { event: "note", level: "warning", message: `status: ${why}` };
}
