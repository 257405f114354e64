/**
 * Says who has connected, ahead of all cleartext: to the target by a server, and through the tunnel by a client. It is no
 * part of what the source sends, and is not counted.
 *
 * Source: docs/lifecycle.md, "PROXY protocol".
 */

import { SpipedError } from "../errors.js";
import { type Channel, sendAhead } from "../net/channel.js";
import { proxyHeader } from "../net/proxy-header.js";
import type { SessionKeys } from "../protocol/handshake.js";

/** What is announced, and to whom. */
export interface Announcement {
  readonly encrypts: boolean;
  readonly source: Channel;
  /** Has been sent no cleartext yet. */
  readonly target: Channel;
  readonly keys: SessionKeys;
  /** The name of the client's key; undefined where it has none. */
  readonly keyName: string | undefined;
}

/**
 * Announces the source.
 *
 * @returns False where the target has failed, which it tells.
 * @throws SpipedError `SPIPED_RESET` where the source has gone, and nobody knows any more who it was: the target must not
 *   take it for somebody on this machine.
 */
export function announceClient({ encrypts, source, target, keys, keyName }: Announcement): boolean {
  const ends = source.ends?.();
  if (ends === undefined)
    throw new SpipedError("SPIPED_RESET", `source ${source.peer}: its address is no longer known`);
  const header = proxyHeader(ends, keyName);
  return sendAhead(target, encrypts ? keys.sealFirst(header) : header);
}
