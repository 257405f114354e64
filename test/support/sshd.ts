// A private sshd on loopback, with its own keys and configuration; the system's sshd is not touched.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { userInfo } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { type Address, freeAddress, textOf } from "./addresses.js";
import { temporaryFolder } from "./cleanup.js";
import { Command } from "./command.js";
import { refused, skipLoudly } from "./environment.js";
import { untilListening } from "./listening.js";
import { declareIf, withCommands } from "./programs.js";

/** The programs, by their paths. */
export interface SshPrograms {
  readonly sshd: string;
  readonly keygen: string;
}

/** A running sshd. */
export interface Sshd {
  readonly address: Address;
  /** The user that it accepts: the test's own. */
  readonly user: string;
  /** The private key of that user. */
  readonly identity: string;
  /** A file of known hosts with the daemon's key under `name`. */
  knownHostsFor(name: string): Promise<string>;
}

/** Declares tests that need these commands, including sshd; root's sshd also needs folders of its own. */
export function withSshd(names: readonly string[], declare: (paths: readonly string[]) => void): void {
  const missing = process.getuid?.() === 0 ? refused(["mounts"]) : [];
  if (missing.length > 0) declareIf(undefined, missing.join(", "), declare);
  else withCommands(names, declare);
}

/**
 * Why nobody can log in with a terminal, for `skip`: an unprivileged sshd can only pass on terminals that the system
 * has put into the group tty already, by the mount option `gid`.
 */
export function withoutTerminals(): string | false {
  if (process.platform !== "linux" || process.getuid?.() === 0) return false;
  if (/^\S+ \/dev\/pts devpts \S*\bgid=/m.test(readFileSync("/proc/self/mounts", "utf8"))) return false;
  return skipLoudly("needs terminals of the group tty (/dev/pts, gid=5), for a login with a terminal");
}

/** Starts an sshd on a free port. */
export async function startSshd(t: TestContext, { sshd, keygen }: SshPrograms): Promise<Sshd> {
  const folder = await temporaryFolder(t);
  const fileOf = (name: string): string => join(folder, name);
  for (const file of [fileOf("host"), fileOf("identity")]) {
    assert.equal((await Command.run(t, [keygen, "-q", "-t", "ed25519", "-N", "", "-f", file])).status, 0);
  }
  const publicKey = await Command.run(t, [keygen, "-y", "-f", fileOf("host")]);
  const lines = [
    `HostKey ${fileOf("host")}`,
    `AuthorizedKeysFile ${fileOf("identity.pub")}`,
    "PidFile none",
    "StrictModes no",
    "UsePAM no",
    "PermitUserRC no",
    "PasswordAuthentication no",
    "KbdInteractiveAuthentication no",
    "PermitRootLogin prohibit-password",
    "Subsystem sftp internal-sftp",
  ];
  await writeFile(fileOf("config"), `${lines.join("\n")}\n`);
  for (let attempt = 1; ; attempt += 1) {
    const address = await freeAddress(t, "tcp");
    const where = ["-o", `ListenAddress=${textOf(address)}`];
    const args = [sshd, "-D", "-e", "-f", fileOf("config"), ...where];
    const command = Command.start(t, [...withOwnFolders, ...args], { stdin: "ignore" });
    if (await untilListening(command, address)) {
      const knownHostsFor = async (name: string): Promise<string> => {
        await writeFile(fileOf("known"), `${name} ${publicKey.stdout}`);
        return fileOf("known");
      };
      return { address, user: userInfo().username, identity: fileOf("identity"), knownHostsFor };
    }
    // Another process may have taken the port meanwhile.
    if (attempt === 5) throw new Error(`sshd does not start here: ${command.stderr}`);
  }
}

const makeOwnFolders = 'mount -t tmpfs tmpfs /run && mount -t tmpfs tmpfs /var/log && mkdir /run/sshd && exec "$@"';

/**
 * Root's sshd needs a folder in /run that only an installed service creates, and records logins in /var/log: both are
 * private here.
 */
export const withOwnFolders: readonly [string, ...string[]] =
  process.getuid?.() === 0 ? ["unshare", "--mount", "sh", "-c", makeOwnFolders, "sh"] : ["env"];
