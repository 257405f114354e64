// Whether a command is listening, without connecting: a connection would count for -n, reach the target, or be logged.

import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { platform } from "node:process";
import type { Address } from "./addresses.js";
import { until } from "./cleanup.js";
import type { Command } from "./command.js";

/**
 * Waits until `command` listens on `address`.
 *
 * @returns False if the command exited instead.
 */
export async function untilListening(command: Command, address: Address): Promise<boolean> {
  const isListening = platform === "linux" ? isListeningByProc : isListeningByLsof;
  return until(() => {
    if (command.isGone) return false;
    return isListening(command, address) ? true : undefined;
  }, `${command.commandLine} to listen`);
}

const stateListen = "0A";
const flagAcceptsConnections = 0x1_0000;

function isListeningByProc(_command: Command, address: Address): boolean {
  if (address.kind === "unix") {
    // Num RefCount Protocol Flags Type St Inode Path
    return rowsOf("/proc/net/unix").some(
      (row) => row[7] === address.path && (Number.parseInt(row[3] ?? "0", 16) & flagAcceptsConnections) !== 0,
    );
  }
  const port = address.port.toString(16).toUpperCase().padStart(4, "0");
  // sl local_address rem_address st …
  return rowsOf(address.host === "::1" ? "/proc/net/tcp6" : "/proc/net/tcp").some(
    (row) => row[1]?.endsWith(`:${port}`) === true && row[3] === stateListen,
  );
}

/** The fields of each line of a file of /proc/net. */
export function rowsOf(file: string): readonly (readonly string[])[] {
  return readFileSync(file, "utf8")
    .split("\n")
    .slice(1)
    .map((line) => line.trim().split(/\s+/));
}

function isListeningByLsof(command: Command, address: Address): boolean {
  const what = address.kind === "unix" ? ["-U"] : [`-iTCP:${address.port}`, "-sTCP:LISTEN"];
  const { stdout } = spawnSync("lsof", ["-nP", "-a", "-p", String(command.id), ...what], { encoding: "utf8" });
  return address.kind === "unix" ? stdout.includes(address.path) : stdout.includes("(LISTEN)");
}
