/**
 * Sends a PROXY header before all data: a server sends it to the target, a client through the tunnel. It is not part of
 * the source's data, and not counted.
 *
 * Source: docs/lifecycle.md, "PROXY protocol".
 */

import { SpipedError } from "../errors.js";
import { type Channel, sendAhead } from "../net/channel.js";
import { proxyHeader } from "../net/proxy-header.js";
import type { SessionKeys } from "../protocol/handshake.js";

/** What to announce, and on which channel. */
export interface Announcement {
  readonly encrypts: boolean;
  readonly source: Channel;
  /** No cleartext has been sent to it yet. */
  readonly target: Channel;
  readonly keys: SessionKeys;
  /** The name of the client's key; undefined if it has none. */
  readonly keyName: string | undefined;
}

/**
 * Announces the source.
 *
 * @returns False if the target has failed; its channel reports the error.
 * @throws SpipedError `SPIPED_RESET` if the source has disconnected and its address is unknown: without an address the
 *   target would take it for a local client.
 */
export function announceClient({ encrypts, source, target, keys, keyName }: Announcement): boolean {
  const ends = source.ends?.();
  if (ends === undefined)
    throw new SpipedError("SPIPED_RESET", `source ${source.peer}: its address is no longer known`);
  const header = proxyHeader(ends, keyName);
  return sendAhead(target, encrypts ? keys.sealFirst(header) : header);
}
