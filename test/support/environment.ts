// What tests can do on this machine, found out by trying: root in a container may lack privileges.

import { spawnSync } from "node:child_process";
import { accessSync, constants, readFileSync } from "node:fs";
import { networkInterfaces, tmpdir } from "node:os";
import { test } from "node:test";

/** A longer name would make the path of a socket in a folder below it too long: some systems allow 103 bytes. */
const MAX_FOLDER_LENGTH = 60;

/**
 * The folder for temporary folders: the system's, unless its name is too long for the path of a UNIX socket, or the
 * users that root's tests switch to cannot enter it.
 */
export const temporaryRoot = findTemporaryRoot();

function findTemporaryRoot(): string {
  const own = tmpdir();
  const isPrivate = process.getuid?.() === 0 && !works("setpriv", "--reuid=65534", "--clear-groups", "test", "-x", own);
  if (own.length <= MAX_FOLDER_LENGTH && !isPrivate) return own;
  for (const folder of ["/tmp", "/var/tmp"]) {
    try {
      accessSync(folder, constants.W_OK);
      return folder;
    } catch {
      // Missing, or not ours.
    }
  }
  return own;
}

/** Whether a command exits with 0 here. */
export function works(file: string, ...args: readonly string[]): boolean {
  return spawnSync(file, args, { stdio: "ignore" }).status === 0;
}

/** Reports what is not tested. @returns The reason, for `skip`. */
export function skipLoudly(reason: string): string {
  process.stderr.write(`SKIPPED: ${reason}\n`);
  return reason;
}

/** Whether loopback has an IPv6 address. */
const hasIpv6 = Object.values(networkInterfaces()).some((all) => all?.some(({ address }) => address === "::1"));

/** The kinds of addresses available on this machine; one skipped test stands for the others. */
export function kindsHere<K extends string>(...kinds: readonly K[]): readonly K[] {
  if (hasIpv6 || !kinds.includes("tcp6" as K)) return kinds;
  ipv6IsMissing();
  return kinds.filter((kind) => kind !== "tcp6");
}

/** For the options of a test that needs IPv6. */
export const withoutIpv6: string | false = hasIpv6 ? false : "needs IPv6 on the loopback";

let isSaid = false;
function ipv6IsMissing(): void {
  if (isSaid) return;
  isSaid = true;
  test("everything over IPv6", { skip: skipLoudly("needs IPv6 on the loopback: NONE of the tests over it ran") });
}

/** The capability's number in linux/capability.h. */
const capSysPtrace = 19n;

/** Privileges that root may lack in a container, each with a check; `name` is for the message. */
const tries = {
  mounts: {
    name: "the right to mount",
    isThere: () => works("unshare", "--mount", "mount", "-t", "tmpfs", "none", temporaryRoot),
  },
  networks: {
    name: "the right to make networks",
    isThere: () => works("unshare", "--net", "ip", "link", "set", "lo", "up"),
  },
  processes: {
    name: "the right to make process namespaces",
    isThere: () => works("unshare", "--pid", "--fork", "--mount-proc", "true"),
  },
  users: {
    name: "the right to become any user",
    isThere: () => works("setpriv", "--reuid=345678", "--regid=345678", "--groups=4,20", "true"),
  },
  inspection: {
    name: "the right to look into other processes",
    isThere: () => {
      const [, digits = "0"] = /^CapEff:\s*(\w+)$/m.exec(readFileSync("/proc/self/status", "utf8")) ?? [];
      return ((BigInt(`0x${digits}`) >> capSysPtrace) & 1n) === 1n;
    },
  },
} as const;

export type Right = keyof typeof tries;

/** Which of these the machine refuses, for a message. */
export function refused(rights: readonly Right[]): readonly string[] {
  return rights.filter((right) => !tries[right].isThere()).map((right) => tries[right].name);
}
