/**
 * The life of a service as entries of the log.
 */

import type { LogEntry } from "./entry.js";

/** Clients can connect. */
export function listeningEntry(
  message: string,
  { role, source, target }: { readonly role: "encrypt" | "decrypt"; readonly source: string; readonly target: string },
): LogEntry {
  return { event: "listening", level: "info", message, role, source, target };
}

/** The target is the source. */
export function talksToItselfEntry(source: string, target: string): LogEntry {
  const message = `TARGET ${target} leads to SOURCE ${source}: this tunnel connects to itself`;
  const hint = "TARGET of an -e is the SOURCE of a spiped -d, and TARGET of a -d is the service";
  return { event: "talks-to-itself", level: "warning", message, hint, source, target };
}

/** Told to end, with connections open. */
export function drainingEntry(signal: string, count: number): LogEntry {
  const message = `${signal}: no longer listening; open connections go on until they end (${count})`;
  return { event: "draining", level: "info", message, signal, count };
}

/**
 * The end.
 *
 * @param cut - Connections that were not left to end.
 * @param why - What cut them, where nobody asked for it at that moment.
 */
export function stoppedEntry(cut: number, why: string): LogEntry {
  const words = cut === 0 ? "all connections have ended" : `open connections were cut${why} (${cut})`;
  return { event: "stopped", level: "info", message: `stopped: ${words}`, count: cut };
}

/**
 * The configuration is read again, and done.
 *
 * @param what - How many tunnels are what.
 */
export function configReadEntry(configFile: string, what: string, tunnels: number): LogEntry {
  const message = `SIGHUP: read ${configFile} again; tunnels: ${what}`;
  return { event: "config-read", level: "info", message, configFile, tunnels };
}

/** Something is wrong in it. */
export function configMistakeEntry(message: string, configFile: string, line: number | undefined): LogEntry {
  return { event: "config-mistake", level: "warning", message, configFile, line };
}

/** It has mistakes, and so nothing was done. */
export function configKeptEntry(configFile: string, count: number): LogEntry {
  const mistakes = count === 1 ? "a mistake" : `${count} mistakes`;
  const message = `SIGHUP: ${configFile} has ${mistakes}; nothing was changed`;
  return { event: "config-kept", level: "warning", message, configFile, count };
}

/** It has none, and tunnels of it cannot be started, and so nothing was done. */
export function configNotStartedEntry(configFile: string, count: number): LogEntry {
  const why = count === 1 ? "a failure" : `${count} failures`;
  const message = `SIGHUP: ${configFile} cannot be used: ${why}; nothing was changed`;
  return { event: "config-kept", level: "warning", message, configFile, count };
}

/** Connections of a tunnel that a reload has ended have had their time. */
export function oldConnectionsCutEntry(tunnel: string, count: number, limitMs: number): LogEntry {
  const message = `${tunnel}: connections from before SIGHUP were cut after ${limitMs / 1_000} s, as --drain-timeout says (${count})`;
  return { event: "old-connections-cut", level: "info", message, count };
}

/** It says something else of the process than at the start. */
export function restartNeededEntry(configFile: string, key: string): LogEntry {
  const message = `SIGHUP: ${key} has changed, which takes a restart`;
  return { event: "restart-needed", level: "warning", message, configFile };
}
