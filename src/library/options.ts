/**
 * Options of the library's functions, and their defaults. They are read and checked once, here: JavaScript programs
 * have no other check.
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
  invalidOption,
  kindOf,
  milliseconds,
  oneOf,
  optional,
  permissions,
  type Reader,
  refused,
  signal,
  text,
} from "./checks.js";
import { Key } from "./key.js";

/** Options of every function that opens connections. */
export interface CommonOptions {
  /** The key shared with the peer. */
  readonly key: Key;
  /** `off` turns forward secrecy off, `require` refuses a peer that turns it off. Default `allow`. */
  readonly forwardSecrecy?: ForwardSecrecy;
  /**
   * Time limit; default 5,000. `connect`: for lookup, connection and handshake together. Servers and tunnels: for each
   * of the lookups at the start, a client's handshake, and reaching the target.
   */
  readonly timeoutMs?: number;
  /** TCP keep-alive; default true. */
  readonly keepAlive?: boolean;
  /** Cancels the operation, or ends the connections, at once. */
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

export const connectOptions = {
  ...common,
  target: (name: string, value: unknown) => parseTargetAddress(text(name, value)),
  bind: optional((name, value) => parseBindAddress(text(name, value)), undefined),
  allowHalfOpen: optional(flag, false),
};

export const serverOptions = { ...common, ...limit, allowHalfOpen: optional(flag, true) };

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

/** Options after checking, with defaults filled in. */
export type Checked<Readers> = {
  readonly [Name in keyof Readers]: Readers[Name] extends Reader<infer T> ? T : never;
};

/**
 * Reads each option once, and rejects unknown ones.
 *
 * @param caller - The function they were passed to, for messages.
 * @throws SpipedError `SPIPED_OPTION`; `SPIPED_ADDRESS` for a malformed address.
 */
export function readOptions<Readers extends Readonly<Record<string, Reader<unknown>>>>(
  caller: string,
  readers: Readers,
  options: unknown,
): Checked<Readers> {
  if (typeof options !== "object" || options === null) {
    throw invalidOption(`the first argument of ${caller}`, "an object with options", options);
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

/** A key that has not been destroyed. */
export function readKey(name: string, value: unknown): Key {
  const allowed = "a Key, as readKeyFile and createKey give it";
  // Never show the value: it may be the key itself.
  if (!(value instanceof Key)) throw refused(name, allowed, kindOf(value));
  if (value.destroyed) throw refused(name, allowed, "one that was destroyed");
  return value;
}

/**
 * The key for a new handshake, which may start long after the options were read.
 *
 * @throws SpipedError `SPIPED_OPTION` if it has been destroyed since.
 */
export function keyInUse(key: Key): SharedKey {
  return readKey("key", key).shared;
}
