/**
 * Lookups at startup with `-D`: retried every second until a name server answers.
 */

import { messageOf } from "../errors.js";
import type { Address } from "../net/address.js";
import { resolve } from "../net/resolver.js";
import type { Log } from "../observe/log.js";
import { retryingLookupEntry } from "../observe/service-entries.js";
import type { Supervisor } from "../service/supervisor.js";
import type { ConfigReload } from "./config-reload.js";

const RETRY_MS = 1_000;

/** Looks up the names of all tunnels until they are known. If a reload replaces the tunnels, starts over with theirs. */
export async function lookupWithRetries(
  supervisor: Supervisor,
  reload: ConfigReload | undefined,
  log: Log,
): Promise<void> {
  for (let isKnown = false; !isKnown; ) {
    const { tunnels } = supervisor;
    const isWanted = () => supervisor.tunnels === tunnels;
    const replaced = new Promise<void>((resolve) => reload?.wait(resolve));
    const known = supervisor.lookup((...of) => resolveWithRetries(...of, { isWanted, log }));
    await Promise.race([known, replaced]);
    isKnown = isWanted();
  }
  reload?.stopWaiting();
}

async function resolveWithRetries(
  address: Address,
  failed: (why: string) => void,
  { isWanted, log }: { readonly isWanted: () => boolean; readonly log: Log },
): ReturnType<typeof resolve> {
  for (let isLogged = false; isWanted(); isLogged = true) {
    try {
      return await resolve(address);
    } catch (error) {
      failed(messageOf(error));
      if (!isLogged) log.write(retryingLookupEntry(messageOf(error)));
    }
    await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
  }
  return new Promise(() => undefined);
}
