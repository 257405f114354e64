/**
 * The keys of a tunnel: one, or several with names. Handshakes that have begun keep what they have; those that begin
 * later go by what is here then.
 */

import type { SharedKey } from "./secret.js";

/** A key, and whom it stands for. */
export interface NamedKey {
  /** Undefined where there is one key for everybody. */
  readonly name: string | undefined;
  readonly key: SharedKey;
}

/** See the head of this file. */
export class KeyRing {
  #keys: readonly NamedKey[];

  constructor(keys: readonly NamedKey[]) {
    this.#keys = keys;
  }

  /** One key for everybody. */
  static of(key: SharedKey): KeyRing {
    return new KeyRing([{ name: undefined, key }]);
  }

  /** The keys for a handshake that begins now. */
  get keys(): readonly NamedKey[] {
    return this.#keys;
  }

  /**
   * Takes other keys for handshakes that begin from now on.
   *
   * @returns The keys until now; the caller destroys them, unless others use them.
   */
  replace(keys: readonly NamedKey[]): readonly NamedKey[] {
    const old = this.#keys;
    this.#keys = keys;
    return old;
  }
}
