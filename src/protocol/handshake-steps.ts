/**
 * The handshake's steps, bytes in and bytes out. A phase is a type: each step is a method of the phase before it and
 * gives the next phase, so that steps can be neither left out nor taken in another order.
 *
 *     client: start → receiveNonce → makePublic → verify → deriveKeys
 *     server: start → receiveNonce → verify → makePublic → deriveKeys
 *
 * Whoever holds a phase owns secrets in the addon, and calls `destroy()` if there will be no next step.
 *
 * Source: docs/protocol.md, "The handshake".
 */

import {
  addon,
  type ClientHandshake,
  type SessionKeys as NativeSessionKeys,
  type ServerHandshake,
} from "../native/native.js";
import { PACKET_BYTES } from "./constants.js";
import { keyPairs } from "./key-pairs.js";
import { asSpipedError } from "./native-errors.js";
import { Opener, Sealer } from "./packets.js";
import type { KeySet, SharedKey } from "./secret.js";

/** Forward secrecy: given up by this side, used if the peer does, or demanded from the peer. */
export type ForwardSecrecy = "off" | "allow" | "require";

/** What a handshake ends with: one key for each direction. */
export class SessionKeys {
  /** The addon's half, for the relay to take over as a whole. */
  readonly native: NativeSessionKeys;
  #sealer: Sealer | undefined;
  #opener: Opener | undefined;

  constructor(native: NativeSessionKeys) {
    this.native = native;
  }

  /**
   * Seals the first data that this side sends, 1 to 1,024 bytes. Whatever seals later, here or in the relay, goes on
   * behind it.
   *
   * @returns The packet.
   */
  sealFirst(plaintext: Uint8Array): Uint8Array {
    const packet = new Uint8Array(PACKET_BYTES);
    translating(() => this.native.sealFirst(plaintext, packet));
    return packet;
  }

  /** Seals what this side sends. */
  get sealer(): Sealer {
    this.#sealer ??= new Sealer(this.native.takeSealer());
    return this.#sealer;
  }

  /** Opens what the peer sends. */
  get opener(): Opener {
    this.#opener ??= new Opener(this.native.takeOpener());
    return this.#opener;
  }

  /** Wipes all of it that nobody has taken over. */
  destroy(): void {
    this.native.destroy();
    this.#sealer?.destroy();
    this.#opener?.destroy();
  }
}

/** The own nonce is made; the peer's is awaited. */
export interface AwaitingNonce<Next> {
  /** This side's nonce, 32 bytes, to be sent at once. */
  readonly nonce: Uint8Array;
  /** @param peerNonce - 32 bytes. */
  receiveNonce(peerNonce: Uint8Array): Next;
  destroy(): void;
}

/** Client: both nonces are known; its public value comes next. */
export interface ClientKeyed {
  /** Makes y_C ‖ h_C. */
  makePublic(): Promise<{ readonly macedPublic: Uint8Array; readonly next: ClientAwaitingPublic }>;
  destroy(): void;
}

/** Client: the public value is made; the server's is awaited. */
export interface ClientAwaitingPublic {
  /**
   * Checks y_S ‖ h_S, 288 bytes.
   *
   * @throws SpipedError `SPIPED_WRONG_MAC`, `SPIPED_SAME_ROLE` where they are another client's, `SPIPED_DH_OUT_OF_RANGE`, `SPIPED_FORWARD_SECRECY_REQUIRED`.
   */
  verify(macedPublic: Uint8Array): PublicExchanged;
  destroy(): void;
}

/** Server: both nonces are known; the client's public value is awaited. */
export interface ServerAwaitingPublic {
  /**
   * Which of several keys the client has, as soon as {@link verify} has found its MAC right, even where it then throws.
   */
  readonly keyIndex: number | undefined;
  /**
   * Checks y_C ‖ h_C, 288 bytes. From here on the client is known to have one of the keys.
   *
   * @throws SpipedError `SPIPED_WRONG_MAC`, `SPIPED_DH_OUT_OF_RANGE`, `SPIPED_FORWARD_SECRECY_REQUIRED`.
   */
  verify(macedPublic: Uint8Array): ServerVerified;
  destroy(): void;
}

/** Server: the client is known; the own public value comes next. */
export interface ServerVerified {
  /** Makes y_S ‖ h_S. */
  makePublic(): Promise<{ readonly macedPublic: Uint8Array; readonly next: PublicExchanged }>;
  destroy(): void;
}

/** Both public values are known and checked. */
export interface PublicExchanged {
  /** Derives the keys of both directions, off the event loop. */
  deriveKeys(): Promise<SessionKeys>;
  destroy(): void;
}

/** Begins a client's handshake. */
export function startClientHandshake(key: SharedKey, forwardSecrecy: ForwardSecrecy): AwaitingNonce<ClientKeyed> {
  const native = translating(() => new addon.ClientHandshake(key, forwardSecrecy));
  const destroy = () => native.destroy();
  const awaitingPublic: ClientAwaitingPublic = {
    verify(macedPublic) {
      translating(() => native.verify(macedPublic));
      return publicExchanged(native, forwardSecrecy);
    },
    destroy,
  };
  const keyed: ClientKeyed = {
    async makePublic() {
      const macedPublic = await makePublic(native, forwardSecrecy);
      return { macedPublic, next: awaitingPublic };
    },
    destroy,
  };
  return awaitingNonce(native, keyed);
}

/** Begins a server's handshake. @param keys - The key that its clients have, or one of these. */
export function startServerHandshake(
  keys: SharedKey | KeySet,
  forwardSecrecy: ForwardSecrecy,
): AwaitingNonce<ServerAwaitingPublic> {
  const native = translating(() => new addon.ServerHandshake(keys, forwardSecrecy));
  const destroy = () => native.destroy();
  const verified: ServerVerified = {
    async makePublic() {
      const macedPublic = await makePublic(native, forwardSecrecy);
      return { macedPublic, next: publicExchanged(native, forwardSecrecy) };
    },
    destroy,
  };
  const awaitingPublic: ServerAwaitingPublic = {
    get keyIndex() {
      return native.keyIndex ?? undefined;
    },
    verify(macedPublic) {
      translating(() => native.verify(macedPublic));
      return verified;
    },
    destroy,
  };
  return awaitingNonce(native, awaitingPublic);
}

function awaitingNonce<Next>(native: ClientHandshake | ServerHandshake, next: Next): AwaitingNonce<Next> {
  return {
    nonce: native.nonce,
    receiveNonce(peerNonce) {
      translating(() => native.receiveNonce(peerNonce));
      return next;
    },
    destroy: () => native.destroy(),
  };
}

async function makePublic(
  native: ClientHandshake | ServerHandshake,
  forwardSecrecy: ForwardSecrecy,
): Promise<Uint8Array> {
  if (forwardSecrecy === "off") return translating(() => native.macedPublicWithoutForwardSecrecy());
  const keyPair = await keyPairs.take();
  try {
    return translating(() => native.macedPublic(keyPair));
  } catch (error) {
    keyPair.destroy();
    throw error;
  }
}

function publicExchanged(native: ClientHandshake | ServerHandshake, forwardSecrecy: ForwardSecrecy): PublicExchanged {
  return {
    async deriveKeys() {
      try {
        // Without forward secrecy there is nothing to compute that would be worth the way to another thread.
        return new SessionKeys(forwardSecrecy === "off" ? native.deriveKeysNow() : await native.deriveKeys());
      } catch (cause) {
        throw asSpipedError(cause);
      }
    },
    destroy: () => native.destroy(),
  };
}

function translating<Result>(step: () => Result): Result {
  try {
    return step();
  } catch (cause) {
    throw asSpipedError(cause);
  }
}
