// Named pipes.

import { spawnSync } from "node:child_process";
import { closeSync, constants, openSync, writeSync } from "node:fs";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { afterwards, temporaryFolder, until } from "./cleanup.js";

/** A new named pipe. Processes still blocked on it when the test ends are released. */
export async function namedPipe(t: TestContext): Promise<string> {
  const path = join(await temporaryFolder(t), "pipe");
  const { status, stderr } = spawnSync("mkfifo", [path], { encoding: "utf8" });
  if (status !== 0) throw new Error(stderr);
  afterwards(t, () => closeIfOpen(openForReader(path)));
  return path;
}

/** Writes to a named pipe once it has a reader, and closes it. */
export async function writeToReader(path: string, bytes: Uint8Array): Promise<void> {
  const writer = await until(() => openForReader(path), `a reader of ${path}`);
  writeSync(writer, bytes);
  closeSync(writer);
}

/** Opens a named pipe for writing; undefined if it has no reader. */
export function openForReader(path: string): number | undefined {
  try {
    return openSync(path, constants.O_WRONLY | constants.O_NONBLOCK);
  } catch {
    return undefined;
  }
}

function closeIfOpen(descriptor: number | undefined): void {
  if (descriptor !== undefined) closeSync(descriptor);
}
