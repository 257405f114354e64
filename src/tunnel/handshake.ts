/**
 * The dialogue of the handshake over one socket, as client (`spiped -e`, `spipe`) or as server (`spiped -d`). The
 * steps themselves are in `protocol/handshake-steps.ts`; here is who says what when.
 *
 * Source: docs/protocol.md, "The handshake".
 */

import type { CancelSignal } from "../net/cancellation.js";
import { type Channel, sendAhead } from "../net/channel.js";
import { MACED_PUBLIC_BYTES, NONCE_BYTES } from "../protocol/constants.js";
import {
  type ForwardSecrecy,
  type ServerAwaitingPublic,
  type ServerVerified,
  type SessionKeys,
  startClientHandshake,
  startServerHandshake,
} from "../protocol/handshake-steps.js";
import type { KeySet, SharedKey } from "../protocol/secret.js";

/** What both roles need. */
export interface HandshakeOptions {
  /** The encrypted side, from whose reader nothing has been read. */
  readonly channel: Channel;
  readonly key: SharedKey;
  readonly forwardSecrecy: ForwardSecrecy;
  /** Aborted when the connection has ended: all secrets are wiped then, and what costs CPU time is left out. */
  readonly signal: CancelSignal;
}

/**
 * Speaks the client's part.
 *
 * @param onShown - Called as soon as the server may know that this side has the key.
 * @throws SpipedError of the step that failed, or of the read; the caller closes the socket and says nothing on it.
 */
export async function handshakeAsClient(options: HandshakeOptions, onShown?: () => void): Promise<SessionKeys> {
  const { channel, key, forwardSecrecy, signal } = options;
  const { reader } = channel;
  signal.throwIfAborted();
  let phase: { destroy(): void } | undefined;
  // At once: the read that is waited for may never settle.
  const wipe = () => phase?.destroy();
  signal.addEventListener("abort", wipe);
  try {
    const awaitingNonce = startClientHandshake(key, forwardSecrecy);
    phase = awaitingNonce;
    // At once, and not after the server's: there are servers that wait for it.
    sendAhead(channel, awaitingNonce.nonce);
    const keyed = awaitingNonce.receiveNonce(await reader.readExactly(NONCE_BYTES));
    phase = keyed;
    const { macedPublic, next } = await keyed.makePublic();
    phase = next;
    signal.throwIfAborted();
    onShown?.();
    sendAhead(channel, macedPublic);
    const exchanged = next.verify(await reader.readExactly(MACED_PUBLIC_BYTES));
    phase = exchanged;
    return await exchanged.deriveKeys();
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
 * @param onClientKnown - Called as soon as the client has shown that it has the key, while the keys are exchanged; a
 * promise that it gives holds the handshake up.
 * @throws SpipedError of the step that failed, or of the read; the caller closes the socket and says nothing on it.
 */
export async function handshakeAsServer(
  { channel, key, forwardSecrecy, signal, onIdentified }: ServerHandshakeOptions,
  onClientKnown: () => Promise<void> | undefined,
): Promise<SessionKeys> {
  const { reader } = channel;
  signal.throwIfAborted();
  let phase: { destroy(): void } | undefined;
  const wipe = () => phase?.destroy();
  signal.addEventListener("abort", wipe);
  try {
    const awaitingNonce = startServerHandshake(key, forwardSecrecy);
    phase = awaitingNonce;
    sendAhead(channel, awaitingNonce.nonce);
    const awaitingPublic = awaitingNonce.receiveNonce(await reader.readExactly(NONCE_BYTES));
    phase = awaitingPublic;
    const verified = verifyClient(awaitingPublic, await reader.readExactly(MACED_PUBLIC_BYTES), onIdentified);
    phase = verified;
    // Whoever was told which key it is may have ended the connection for that.
    signal.throwIfAborted();
    const admitted = onClientKnown();
    if (admitted !== undefined) {
      await admitted;
      signal.throwIfAborted();
    }
    const { macedPublic, next } = await verified.makePublic();
    phase = next;
    signal.throwIfAborted();
    sendAhead(channel, macedPublic);
    return await next.deriveKeys();
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
  awaitingPublic: ServerAwaitingPublic,
  macedPublic: Uint8Array,
  onIdentified: ((keyIndex: number) => void) | undefined,
): ServerVerified {
  try {
    return awaitingPublic.verify(macedPublic);
  } finally {
    const { keyIndex } = awaitingPublic;
    if (keyIndex !== undefined) onIdentified?.(keyIndex);
  }
}
