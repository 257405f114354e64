/**
 * The part of `spiped --check` about the process: its user, its pid file, its configuration file and its limits.
 */

import { lstatSync } from "node:fs";
import { DescriptorBudget } from "../net/descriptors.js";
import { pathBytes } from "../paths.js";
import type { TunnelSettings } from "../service/served-tunnel.js";
import { mayOf, mayRemove } from "./file-access.js";
import { PidFile } from "./pid-file.js";
import type { Verdicts } from "./probe-output.js";
import { type Identity, lookupIdentity, mayBecome } from "./user.js";
import { unreadableConfig } from "./user-access.js";

/** @returns The user of `-u`, if it exists. */
export function checkUser(verdicts: Verdicts, user: string): Identity | undefined {
  const step = "user";
  try {
    const identity = lookupIdentity(user);
    if (mayBecome(identity)) verdicts.write({ verdict: "ok", step, text: `can switch to ${user}` });
    else {
      verdicts.write({
        verdict: "failed",
        step,
        text: `this user cannot switch to ${user}`,
        hint: "run the check, and spiped, as root, or remove -u",
      });
    }
    return identity;
  } catch (error) {
    verdicts.writeError(step, error);
    return undefined;
  }
}

/** Warns if the user of `-u` cannot read the configuration again. */
export async function checkConfigFile(verdicts: Verdicts, path: string, identity: Identity | undefined): Promise<void> {
  const text = identity && (await unreadableConfig(path, mayOf(verdicts, identity)));
  if (text !== undefined) verdicts.write({ verdict: "warning", step: "configuration", text });
}

/** Checks whether the pid file could be locked and written, and leaves it as it is. */
export async function checkPidFile(verdicts: Verdicts, pidFile: string, identity: Identity | undefined): Promise<void> {
  const step = "pid file";
  try {
    const holder = PidFile.holderOf(pidFile);
    if (holder === undefined) {
      const owner = lstatSync(pathBytes(pidFile), { throwIfNoEntry: false })?.uid ?? process.geteuid?.() ?? 0;
      const stays = identity !== undefined && !(await mayRemove(pidFile, owner, identity, mayOf(verdicts, identity)));
      const atExit = stays ? `; at exit, user ${identity.text} can empty it, but not remove it` : "";
      verdicts.write({ verdict: "ok", step, text: `${pidFile} can be written${atExit}` });
    } else {
      const text = `${pidFile} is held by pid ${holder || "(not yet written)"}: this tunnel is probably running already`;
      verdicts.write({ verdict: "warning", step, text });
    }
  } catch (error) {
    verdicts.writeError(step, error);
  }
}

/** Checks whether there are enough descriptors for all connections. */
export function checkLimit(verdicts: Verdicts, tunnels: readonly Pick<TunnelSettings, "config">[]): void {
  const step = "limit";
  const maxConnections = tunnels.reduce((sum, { config }) => sum + config.maxConnections, 0);
  const { connections } = DescriptorBudget.measure();
  const room = Number.isFinite(connections)
    ? `enough file descriptors for ${connections} connections`
    : "no limit on file descriptors";
  if (maxConnections <= connections || !Number.isFinite(maxConnections)) {
    verdicts.write({ verdict: "ok", step, text: room });
    return;
  }
  verdicts.write({
    verdict: "warning",
    step,
    text: `${room}, and -n allows ${maxConnections}; new clients would wait`,
    hint: `raise ulimit -n, or LimitNOFILE= in the unit, to ${2 * maxConnections + 64} or more`,
  });
}
