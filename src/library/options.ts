/**
 * What the functions of the library take in common, and the defaults.
 */

import { DEFAULTS } from "../config/tunnel-config.js";
import { DescriptorBudget } from "../net/descriptors.js";
import type { ForwardSecrecy } from "../protocol/handshake-steps.js";
import type { Key } from "./key.js";

/** What every connection takes. */
export interface CommonOptions {
  /** The key shared with the peer. */
  readonly key: Key;
  /** `off` gives forward secrecy up, `require` refuses a peer that does; `allow` where it is left out. */
  readonly forwardSecrecy?: ForwardSecrecy;
  /** Time to reach the target, and apart from it for the handshake; 5,000 where it is left out. */
  readonly timeoutMs?: number;
  /** TCP keep-alive; true where it is left out. */
  readonly keepAlive?: boolean;
  /** Ends what was begun, at once. */
  readonly signal?: AbortSignal;
}

/** {@link CommonOptions} with every default filled in. */
export function withDefaults(options: CommonOptions): {
  readonly forwardSecrecy: ForwardSecrecy;
  readonly timeoutMs: number;
  readonly keepAlive: boolean;
} {
  const { forwardSecrecy = "allow", timeoutMs = DEFAULTS.timeoutMs, keepAlive = true } = options;
  if (!(timeoutMs >= 1 && timeoutMs < 2 ** 31)) {
    throw new RangeError(`timeoutMs must be a number of milliseconds from 1 to 2147483647, not ${timeoutMs}`);
  }
  return { forwardSecrecy, timeoutMs, keepAlive };
}

/** Lets an aborted signal destroy what listens, until it is closed. */
export function destroyOnAbort(
  signal: AbortSignal | undefined,
  listening: { destroy(): Promise<void>; once(event: "close", listener: () => void): unknown },
): void {
  const abort = () => void listening.destroy();
  signal?.addEventListener("abort", abort, { once: true });
  listening.once("close", () => signal?.removeEventListener("abort", abort));
}

let budget: DescriptorBudget | undefined;

/** The descriptors of this process, counted when they are first asked for. */
export function descriptors(): DescriptorBudget {
  budget ??= DescriptorBudget.measure();
  return budget;
}
