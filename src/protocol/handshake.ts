/**
 * The steps of the handshake, bytes in and bytes out, on top of the addon. `tunnel/handshake.ts` runs them over a
 * connection.
 *
 *     client: nonce → receiveNonce → macedPublic → verify → deriveKeys
 *     server: nonce → receiveNonce → verify → macedPublic → deriveKeys
 *
 * The steps have the same names in the core and in the addon. In the core, each phase is a type; the addon stores the
 * current phase and rejects steps out of order.
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

/** Forward secrecy: turned off by this side, used unless the peer turns it off, or required. */
export type ForwardSecrecy = "off" | "allow" | "require";

/**
 * The steps of both roles. Every step throws a SpipedError: `SPIPED_STEP` if it is out of order or the handshake is
 * destroyed, `SPIPED_BUFFER` for a wrong length. After a failed verification the handshake cannot continue.
 *
 * The addon keeps its secrets until the last step is done or `destroy` is called.
 */
abstract class Handshake {
  readonly #native: NativeClient | NativeServer;
  readonly #forwardSecrecy: ForwardSecrecy;

  constructor(native: NativeClient | NativeServer, forwardSecrecy: ForwardSecrecy) {
    this.#native = native;
    this.#forwardSecrecy = forwardSecrecy;
  }

  /** This side's nonce, 32 bytes, to be sent first. */
  get nonce(): Uint8Array {
    return this.#native.nonce;
  }

  /** Takes the peer's nonce, 32 bytes. */
  receiveNonce(peerNonce: Uint8Array): void {
    translating(() => this.#native.receiveNonce(peerNonce));
  }

  /**
   * Creates this side's y ‖ h, 288 bytes, to be sent. Synchronous without forward secrecy, which needs no key pair.
   *
   * @throws SpipedError `SPIPED_RANDOM` if the system provides no random bytes.
   */
  macedPublic(): Uint8Array | Promise<Uint8Array> {
    if (this.#forwardSecrecy !== "off") return this.#macedPublicOfPair();
    return translating(() => this.#native.macedPublicWithoutForwardSecrecy());
  }

  /**
   * Checks the peer's y ‖ h, 288 bytes.
   *
   * @throws SpipedError `SPIPED_WRONG_MAC`; `SPIPED_SAME_ROLE` if this is a client and so is the peer;
   *   `SPIPED_DH_OUT_OF_RANGE`; `SPIPED_FORWARD_SECRECY_REQUIRED`.
   */
  verify(macedPublic: Uint8Array): void {
    translating(() => this.#native.verify(macedPublic));
  }

  /** Derives the keys of both directions. Runs off the event loop, unless no exponentiation is needed. */
  deriveKeys(): SessionKeys | Promise<SessionKeys> {
    if (this.#forwardSecrecy !== "off") return this.#deriveKeysElsewhere();
    return new SessionKeys(translating(() => this.#native.deriveKeysNow()));
  }

  /** Wipes all secrets. Can be called at any time, and repeatedly. */
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

/** The client's side of a handshake. */
export class ClientHandshake extends Handshake {
  constructor(key: SharedKey, forwardSecrecy: ForwardSecrecy) {
    super(
      translating(() => new addon.ClientHandshake(key, forwardSecrecy)),
      forwardSecrecy,
    );
  }
}

/** The server's side of a handshake. After `verify`, the client is known to have one of the keys. */
export class ServerHandshake extends Handshake {
  readonly #native: NativeServer;

  /** @param keys - The key of all clients, or a set in which each client's key must be. */
  constructor(keys: SharedKey | KeySet, forwardSecrecy: ForwardSecrecy) {
    const native = translating(() => new addon.ServerHandshake(keys, forwardSecrecy));
    super(native, forwardSecrecy);
    this.#native = native;
  }

  /** Which key of the set the client has. Known once `verify` has found the MAC correct, even if it then threw. */
  get keyIndex(): number | undefined {
    return this.#native.keyIndex ?? undefined;
  }
}

/** The result of a handshake: the keys of both directions. */
export class SessionKeys {
  /** The addon's object, to hand over to the relay. */
  readonly native: NativeSessionKeys;
  #sealer: Sealer | undefined;
  #opener: Opener | undefined;

  constructor(native: NativeSessionKeys) {
    this.native = native;
  }

  /**
   * Seals the first data that this side sends, 1 to 1,024 bytes. The sealer or the relay then continues with the next
   * packet number.
   *
   * @returns The packet.
   */
  sealFirst(cleartext: Uint8Array): Uint8Array {
    const packet = new Uint8Array(PACKET_BYTES);
    translating(() => this.native.sealFirst(cleartext, packet));
    return packet;
  }

  /** Seals the data that this side sends. */
  get sealer(): Sealer {
    this.#sealer ??= new Sealer(this.native.takeSealer());
    return this.#sealer;
  }

  /** Opens the packets that the peer sends. */
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
