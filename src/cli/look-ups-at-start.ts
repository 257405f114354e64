/**
 * Look-ups at a start with `-D`, which may take until a name server is there: they are tried again each second.
 */

import { messageOf } from "../errors.js";
import type { Address } from "../net/address.js";
import { resolve } from "../net/resolver.js";
import type { Log } from "../observe/log.js";
import { retryingLookUpEntry } from "../observe/service-entries.js";
import type { Supervisor } from "../service/supervisor.js";
import type { ConfigReload } from "./config-reload.js";

const RETRY_MS = 1_000;

/** Has the names of all tunnels looked up until they are known; where the file has other tunnels meanwhile, theirs. */
export async function lookUpAgainAndAgain(
  supervisor: Supervisor,
  reload: ConfigReload | undefined,
  log: Log,
): Promise<void> {
  for (let isKnown = false; !isKnown; ) {
    const { tunnels } = supervisor;
    const isWanted = () => supervisor.tunnels === tunnels;
    const replaced = new Promise<void>((done) => reload?.wait(done));
    const known = supervisor.lookUp((address) => resolveAgainAndAgain(address, isWanted, log));
    await Promise.race([known, replaced]);
    isKnown = isWanted();
  }
  reload?.stopWaiting();
}

async function resolveAgainAndAgain(address: Address, isWanted: () => boolean, log: Log): ReturnType<typeof resolve> {
  for (let said = false; isWanted(); said = true) {
    try {
      return await resolve(address);
    } catch (error) {
      if (!said) log.write(retryingLookUpEntry(messageOf(error)));
    }
    await new Promise((wake) => setTimeout(wake, RETRY_MS));
  }
  return new Promise(() => undefined);
}
