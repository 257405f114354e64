/**
 * The steps of the handshake, bytes in and bytes out, over the addon's handles. The dialogue, which says who sends what
 * and when, is `tunnel/handshake.ts`.
 *
 *     client: nonce → receiveNonce → macedPublic → verify → deriveKeys
 *     server: nonce → receiveNonce → verify → macedPublic → deriveKeys
 *
 * The steps have these names in the core and in the addon too. The core makes each phase a type; the addon holds the
 * phase that is reached and refuses a step out of order.
 *
 * Source: docs/protocol.md, "The handshake".
 */

import {
  addon,
  type ClientHandshake as NativeClient,
  type ServerHandshake as NativeServer,
  type SessionKeys as NativeSessionKeys,
} from "../native/native.js";
import { PACKET_BYTES } from "./constants.js";
import { keyPairs } from "./key-pairs.js";
import { asSpipedError } from "./native-errors.js";
import { Opener, Sealer } from "./packets.js";
import type { KeySet, SharedKey } from "./secret.js";

/** Forward secrecy: turned off by this side, used unless the peer turns it off, or required of the peer. */
export type ForwardSecrecy = "off" | "allow" | "require";

/**
 * What both roles do. Every step throws a SpipedError: `SPIPED_STEP` where it is out of order or the handshake is
 * destroyed, `SPIPED_BUFFER` for a wrong length. A step that fails ends the handshake.
 *
 * The addon holds secrets for it until the last step is done, or `destroy` is called.
 */
abstract class Handshake {
  readonly #native: NativeClient | NativeServer;
  readonly #forwardSecrecy: ForwardSecrecy;

  constructor(native: NativeClient | NativeServer, forwardSecrecy: ForwardSecrecy) {
    this.#native = native;
    this.#forwardSecrecy = forwardSecrecy;
  }

  /** This side's nonce, 32 bytes, to be sent at once. */
  get nonce(): Uint8Array {
    return this.#native.nonce;
  }

  /** Takes the peer's nonce, 32 bytes. */
  receiveNonce(peerNonce: Uint8Array): void {
    translating(() => this.#native.receiveNonce(peerNonce));
  }

  /**
   * Makes this side's y ‖ h, 288 bytes, to be sent. Without forward secrecy there is no key pair to wait for, and no
   * promise.
   *
   * @throws SpipedError `SPIPED_RANDOM` when the system gives no random bytes.
   */
  macedPublic(): Uint8Array | Promise<Uint8Array> {
    if (this.#forwardSecrecy !== "off") return this.#macedPublicOfPair();
    return translating(() => this.#native.macedPublicWithoutForwardSecrecy());
  }

  /**
   * Checks the peer's y ‖ h, 288 bytes.
   *
   * @throws SpipedError `SPIPED_WRONG_MAC`, `SPIPED_SAME_ROLE` where a client gets another client's,
   *   `SPIPED_DH_OUT_OF_RANGE`, `SPIPED_FORWARD_SECRECY_REQUIRED`.
   */
  verify(macedPublic: Uint8Array): void {
    translating(() => this.#native.verify(macedPublic));
  }

  /** Derives the keys of both directions: off the event loop, unless there is no exponentiation to do. */
  deriveKeys(): SessionKeys | Promise<SessionKeys> {
    if (this.#forwardSecrecy !== "off") return this.#deriveKeysElsewhere();
    return new SessionKeys(translating(() => this.#native.deriveKeysNow()));
  }

  /** Wipes all secrets. Harmless after the last step, and more than once. */
  destroy(): void {
    this.#native.destroy();
  }

  async #macedPublicOfPair(): Promise<Uint8Array> {
    const keyPair = await keyPairs.take();
    try {
      return this.#native.macedPublic(keyPair);
    } catch (cause) {
      keyPair.destroy();
      throw asSpipedError(cause);
    }
  }

  async #deriveKeysElsewhere(): Promise<SessionKeys> {
    try {
      return new SessionKeys(await this.#native.deriveKeys());
    } catch (cause) {
      throw asSpipedError(cause);
    }
  }
}

/** A client's side. */
export class ClientHandshake extends Handshake {
  constructor(key: SharedKey, forwardSecrecy: ForwardSecrecy) {
    super(
      translating(() => new addon.ClientHandshake(key, forwardSecrecy)),
      forwardSecrecy,
    );
  }
}

/** A server's side. Once `verify` has passed, the client is known to have one of the keys. */
export class ServerHandshake extends Handshake {
  readonly #native: NativeServer;

  /** @param keys - The key that its clients have, or one of these. */
  constructor(keys: SharedKey | KeySet, forwardSecrecy: ForwardSecrecy) {
    const native = translating(() => new addon.ServerHandshake(keys, forwardSecrecy));
    super(native, forwardSecrecy);
    this.#native = native;
  }

  /** Which of several keys the client has: known as soon as `verify` found its MAC right, even where it then threw. */
  get keyIndex(): number | undefined {
    return this.#native.keyIndex ?? undefined;
  }
}

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
   * Seals the first data that this side sends, 1 to 1,024 bytes. Whatever seals later, here or in the relay, continues
   * with the next packet number.
   *
   * @returns The packet.
   */
  sealFirst(cleartext: Uint8Array): Uint8Array {
    const packet = new Uint8Array(PACKET_BYTES);
    translating(() => this.native.sealFirst(cleartext, packet));
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

  /** Wipes the keys, except those that the relay has taken over. */
  destroy(): void {
    this.native.destroy();
    this.#sealer?.destroy();
    this.#opener?.destroy();
  }
}

function translating<Result>(step: () => Result): Result {
  try {
    return step();
  } catch (cause) {
    throw asSpipedError(cause);
  }
}
