/**
 * The dialogue of the handshake over one channel, as client (`spiped -e`, `spipe`) or as server (`spiped -d`). The steps
 * themselves are in `protocol/handshake.ts`; this says who sends what and when.
 *
 * Source: docs/protocol.md, "The handshake".
 */

import type { CancelSignal } from "../net/cancellation.js";
import { type Channel, sendAhead } from "../net/channel.js";
import { MACED_PUBLIC_BYTES, NONCE_BYTES } from "../protocol/constants.js";
import { ClientHandshake, type ForwardSecrecy, ServerHandshake, type SessionKeys } from "../protocol/handshake.js";
import type { KeySet, SharedKey } from "../protocol/secret.js";

/** What both roles need. */
export interface HandshakeOptions {
  /** The encrypted side, from whose reader nothing has been read. */
  readonly channel: Channel;
  readonly key: SharedKey;
  readonly forwardSecrecy: ForwardSecrecy;
  /** Aborted when the connection has ended: all secrets are wiped at once, and no more CPU time is spent. */
  readonly signal: CancelSignal;
}

/**
 * Speaks the client's part.
 *
 * @param onShown - Called as soon as the server may know that this side has the key.
 * @throws SpipedError of the step that failed, or of the read; the signal's reason where it is aborted. The caller closes
 *   the channel and sends nothing on it.
 */
export async function handshakeAsClient(options: HandshakeOptions, onShown?: () => void): Promise<SessionKeys> {
  const { channel, key, forwardSecrecy, signal } = options;
  signal.throwIfAborted();
  const handshake = new ClientHandshake(key, forwardSecrecy);
  // Wiped on abort, not only in `finally`: the read that is awaited may never settle.
  const wipe = () => handshake.destroy();
  signal.addEventListener("abort", wipe);
  try {
    // Sent without waiting for the server's: some servers wait for it.
    sendAhead(channel, handshake.nonce);
    handshake.receiveNonce(await channel.reader.readExactly(NONCE_BYTES));
    const macedPublic = await handshake.macedPublic();
    signal.throwIfAborted();
    onShown?.();
    sendAhead(channel, macedPublic);
    handshake.verify(await channel.reader.readExactly(MACED_PUBLIC_BYTES));
    return await handshake.deriveKeys();
  } catch (error) {
    // A step that finds its secrets wiped is not what went wrong.
    signal.throwIfAborted();
    throw error;
  } finally {
    signal.removeEventListener("abort", wipe);
    wipe();
  }
}

/** What a server needs. */
export interface ServerHandshakeOptions extends Omit<HandshakeOptions, "key"> {
  /** The key of its clients, or one of several for each. */
  readonly key: SharedKey | KeySet;
  /** Called as soon as it is known which of several keys the client has, even where the client is then refused. */
  readonly onIdentified?: (keyIndex: number) => void;
}

/**
 * Speaks the server's part.
 *
 * @param onAuthenticated - Called as soon as the client has shown that it has the key; a promise that it returns holds
 *   the handshake up.
 * @throws SpipedError as {@link handshakeAsClient} does.
 */
export async function handshakeAsServer(
  { channel, key, forwardSecrecy, signal, onIdentified }: ServerHandshakeOptions,
  onAuthenticated: () => Promise<void> | undefined,
): Promise<SessionKeys> {
  signal.throwIfAborted();
  const handshake = new ServerHandshake(key, forwardSecrecy);
  const wipe = () => handshake.destroy();
  signal.addEventListener("abort", wipe);
  try {
    sendAhead(channel, handshake.nonce);
    handshake.receiveNonce(await channel.reader.readExactly(NONCE_BYTES));
    verifyClient(handshake, await channel.reader.readExactly(MACED_PUBLIC_BYTES), onIdentified);
    // `onIdentified` may have ended the connection.
    signal.throwIfAborted();
    const admitted = onAuthenticated();
    if (admitted !== undefined) {
      await admitted;
      signal.throwIfAborted();
    }
    const macedPublic = await handshake.macedPublic();
    signal.throwIfAborted();
    sendAhead(channel, macedPublic);
    return await handshake.deriveKeys();
  } catch (error) {
    // A step that finds its secrets wiped is not what went wrong.
    signal.throwIfAborted();
    throw error;
  } finally {
    signal.removeEventListener("abort", wipe);
    wipe();
  }
}

function verifyClient(
  handshake: ServerHandshake,
  macedPublic: Uint8Array,
  onIdentified: ((keyIndex: number) => void) | undefined,
): void {
  try {
    handshake.verify(macedPublic);
  } finally {
    const { keyIndex } = handshake;
    if (keyIndex !== undefined) onIdentified?.(keyIndex);
  }
}
