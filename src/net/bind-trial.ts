/**
 * Checks whether an address can be listened on, without leaving anything behind or disturbing a server that already
 * listens there.
 */

import { lstatSync, statSync } from "node:fs";
import { createServer } from "node:net";
import { dirname } from "node:path";
import { codeOf, type SpipedError } from "../errors.js";
import { addon } from "../native/native.js";
import { pathBytes } from "../paths.js";
import { hasDescriptors } from "../platform.js";
import { systemReason } from "../system-reason.js";
import type { SocketAddress } from "./address.js";
import { stickyBitAllows, tryToWriteIn } from "./file-trial.js";
import { cannotListen } from "./listening-socket.js";

/** The outcome that listening would have. */
export type BindTrial =
  | { readonly kind: "free" }
  /** The file of a UNIX socket is there, but nothing listens on it. */
  | { readonly kind: "stale" }
  | { readonly kind: "in-use" }
  | { readonly kind: "refused"; readonly error: SpipedError };

/** Checks whether an address can be listened on. Never throws. */
export async function tryToListen(address: SocketAddress): Promise<BindTrial> {
  try {
    return address.kind === "unix" ? tryUnix(address.path) : await tryTcp(address.address, address.port);
  } catch (cause) {
    return codeOf(cause) === "EADDRINUSE"
      ? { kind: "in-use" }
      : { kind: "refused", error: cannotListen(address, cause) };
  }
}

async function tryTcp(host: string, port: number): Promise<BindTrial> {
  if (hasDescriptors()) {
    new addon.DescriptorGuard(addon.listenTcp(host, port, 0)).close();
    return { kind: "free" };
  }
  await new Promise<void>((resolve, reject) => {
    const server = createServer().once("error", reject);
    server.listen({ host, port, exclusive: true }, () => server.close(() => resolve()));
  });
  return { kind: "free" };
}

function tryUnix(path: string): BindTrial {
  const bytes = pathBytes(path);
  const status = lstatSync(bytes, { throwIfNoEntry: false });
  if (status !== undefined && !status.isSocket()) throw Object.assign(new Error("a file is there"), { code: "EEXIST" });
  if (status !== undefined && addon.SocketFile.isBound(bytes)) return { kind: "in-use" };
  mustBeWritable(dirname(path));
  if (status === undefined) return { kind: "free" };
  mustBeRemovable(dirname(path), status.uid);
  return { kind: "stale" };
}

/** A start replaces the file. */
function mustBeRemovable(folder: string, owner: number): void {
  const user = process.geteuid?.() ?? 0;
  if (stickyBitAllows(statSync(pathBytes(folder)), { owner, user })) return;
  throw Object.assign(new Error("only its owner may remove the stale socket there"), { code: "EPERM" });
}

function mustBeWritable(folder: string): void {
  try {
    tryToWriteIn(folder, "");
  } catch (cause) {
    const code = codeOf(cause) ?? "";
    throw Object.assign(new Error(FOLDERS[code] ?? systemReason(cause)), { code });
  }
}

const FOLDERS: Readonly<Record<string, string>> = {
  EACCES: "its folder is not writable",
  ENOENT: "there is no such folder",
  EROFS: "the disk is read-only",
};
