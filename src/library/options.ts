/**
 * What the functions of the library take, and the defaults. Options are read and checked once, here, whoever calls: a
 * program in JavaScript has no other check.
 */

import { DEFAULTS } from "../config/tunnel-config.js";
import { SpipedError } from "../errors.js";
import { parseAddress, parseBindAddress, parseTargetAddress } from "../net/address.js";
import type { ForwardSecrecy } from "../protocol/handshake.js";
import type { SharedKey } from "../protocol/secret.js";
import {
  count,
  flag,
  interval,
  kindOf,
  milliseconds,
  oneOf,
  optional,
  permissions,
  type Reader,
  refused,
  signal,
  text,
  wrong,
} from "./checks.js";
import { Key } from "./key.js";

/** What every connection takes. */
export interface CommonOptions {
  /** The key shared with the peer. */
  readonly key: Key;
  /** `off` gives forward secrecy up, `require` refuses a peer that does; `allow` where it is left out. */
  readonly forwardSecrecy?: ForwardSecrecy;
  /**
   * Time limit, 5,000 where it is left out. `connect`: for all of it, the look-up and the handshake too. Servers and
   * tunnels: for the look-ups at the start, for a client's handshake, and to reach the target.
   */
  readonly timeoutMs?: number;
  /** TCP keep-alive; true where it is left out. */
  readonly keepAlive?: boolean;
  /** Ends what was begun, at once. */
  readonly signal?: AbortSignal;
}

const common = {
  key: readKey,
  forwardSecrecy: optional(oneOf("off", "allow", "require"), "allow"),
  timeoutMs: optional(milliseconds, DEFAULTS.timeoutMs),
  keepAlive: optional(flag, true),
  signal: optional(signal, undefined),
};

const limit = { maxConnections: optional(count, DEFAULTS.maxConnections) };

/** The options of `connect`. */
export const connectOptions = {
  ...common,
  target: (name: string, value: unknown) => parseTargetAddress(text(name, value)),
  bind: optional((name, value) => parseBindAddress(text(name, value)), undefined),
  allowHalfOpen: optional(flag, false),
};

/** The options of `createServer`. */
export const serverOptions = { ...common, ...limit, allowHalfOpen: optional(flag, true) };

/** The options of `createTunnel`. */
export const tunnelOptions = {
  ...common,
  ...limit,
  role: oneOf("encrypt", "decrypt"),
  source: (name: string, value: unknown) => parseAddress(text(name, value)),
  target: connectOptions.target,
  bind: connectOptions.bind,
  resolveIntervalMs: optional(interval, DEFAULTS.resolveIntervalMs),
  sourceMode: optional(permissions, undefined),
  proxyProtocol: optional(flag, false),
};

/** Options that have been read, with every default filled in. */
export type Checked<Readers> = {
  readonly [Name in keyof Readers]: Readers[Name] extends Reader<infer T> ? T : never;
};

/**
 * Reads options: each once, and none but those that there are.
 *
 * @param caller - The function that takes them, for messages.
 * @throws SpipedError `SPIPED_OPTION`; `SPIPED_ADDRESS` for a text that is no address.
 */
export function readOptions<Readers extends Readonly<Record<string, Reader<unknown>>>>(
  caller: string,
  readers: Readers,
  options: unknown,
): Checked<Readers> {
  if (typeof options !== "object" || options === null) {
    throw wrong(`the first argument of ${caller}`, "an object with options", options);
  }
  for (const name of Object.keys(options)) {
    if (Object.hasOwn(readers, name)) continue;
    throw new SpipedError("SPIPED_OPTION", `${caller} has no option ${JSON.stringify(name)}`, {
      hint: `its options are ${Object.keys(readers).join(", ")}`,
    });
  }
  const read = Object.entries(readers).map(([name, reader]) => [name, reader(name, Reflect.get(options, name))]);
  return Object.freeze(Object.fromEntries(read));
}

/** A key that can still be used. */
export function readKey(name: string, value: unknown): Key {
  const allowed = "a Key, as readKeyFile and createKey give it";
  // Never its value: that may be the key itself.
  if (!(value instanceof Key)) throw refused(name, allowed, kindOf(value));
  if (value.destroyed) throw refused(name, allowed, "one that was destroyed");
  return value;
}

/**
 * The key of a handshake that begins, long after it was read perhaps.
 *
 * @throws SpipedError `SPIPED_OPTION` where it was destroyed meanwhile.
 */
export function keyInUse(key: Key): SharedKey {
  return readKey("key", key).shared;
}
