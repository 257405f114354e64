/**
 * The handshake over one channel, as client (`spiped -e`, `spipe`) or as server (`spiped -d`). The cryptographic steps
 * are in `protocol/handshake.ts`; this file sends and receives, in the right order.
 *
 * Source: docs/protocol.md, "The handshake".
 */

import { SpipedError } from "../errors.js";
import type { CancelSignal } from "../net/cancellation.js";
import { type Channel, sendAhead } from "../net/channel.js";
import { EarlyEnd } from "../net/exact-reads.js";
import { MACED_PUBLIC_BYTES, NONCE_BYTES } from "../protocol/constants.js";
import { ClientHandshake, type ForwardSecrecy, ServerHandshake, type SessionKeys } from "../protocol/handshake.js";
import type { KeySet, SharedKey } from "../protocol/secret.js";

/** Options of both roles. */
export interface HandshakeOptions {
  /** The encrypted side. Nothing has been read from it yet. */
  readonly channel: Channel;
  readonly key: SharedKey;
  readonly forwardSecrecy: ForwardSecrecy;
  /** Aborted when the connection ends: wipes all secrets at once, and stops computing. */
  readonly signal: CancelSignal;
}

/**
 * Performs the client's handshake.
 *
 * @param onShown - Called when the server may know that this side has the key.
 * @throws SpipedError of the step or read that failed; the signal's reason if it is aborted. The caller closes the
 *   channel and sends nothing on it.
 */
export async function handshakeAsClient(options: HandshakeOptions, onShown?: () => void): Promise<SessionKeys> {
  const { channel, key, forwardSecrecy, signal } = options;
  signal.throwIfAborted();
  const handshake = new ClientHandshake(key, forwardSecrecy);
  // Wiped at once on abort, not only in `finally`: the pending read may settle later.
  const wipe = () => handshake.destroy();
  signal.addEventListener("abort", wipe);
  try {
    // Sent without waiting for the server's nonce: some servers wait for ours.
    sendAhead(channel, handshake.nonce);
    handshake.receiveNonce(await channel.reader.readExactly(NONCE_BYTES));
    const macedPublic = await handshake.macedPublic();
    signal.throwIfAborted();
    onShown?.();
    sendAhead(channel, macedPublic);
    handshake.verify(await channel.reader.readExactly(MACED_PUBLIC_BYTES));
    return await handshake.deriveKeys();
  } catch (error) {
    // A step that fails because its secrets were wiped is not the cause.
    signal.throwIfAborted();
    throw handshakeError(error);
  } finally {
    signal.removeEventListener("abort", wipe);
    wipe();
  }
}

/** Options of a server. */
export interface ServerHandshakeOptions extends Omit<HandshakeOptions, "key"> {
  /** The key of its clients, or a set of keys to identify them by. */
  readonly key: SharedKey | KeySet;
  /** Called when the client's key has been identified, even if the client is then refused. */
  readonly onIdentified?: (keyIndex: number) => void;
}

/**
 * Performs the server's handshake.
 *
 * @param onAuthenticated - Called when the client has proved that it has the key. If it returns a promise, the
 *   handshake waits for it.
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
    // A step that fails because its secrets were wiped is not the cause.
    signal.throwIfAborted();
    throw handshakeError(error);
  } finally {
    signal.removeEventListener("abort", wipe);
    wipe();
  }
}

/** Turns the early end of a stream into the error to report; returns any other error as it is. */
function handshakeError(error: unknown): unknown {
  if (!(error instanceof EarlyEnd)) return error;
  const got = `${error.arrivedBytes} of ${error.wantedBytes} handshake bytes`;
  return error.how === "orderly"
    ? new SpipedError("SPIPED_HANDSHAKE_ENDED", `the peer closed the connection after ${got}`)
    : new SpipedError("SPIPED_RESET", `connection reset after ${got}`);
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
