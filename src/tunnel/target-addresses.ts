/**
 * The target's addresses: resolved once, and again at intervals in the background, so that a name may move while the
 * tunnel runs. New connections dial the result of the last successful lookup.
 */

import { SpipedError } from "../errors.js";
import { type Address, formatAddress, type SocketAddress } from "../net/address.js";

/** Resolves an address. */
export type Lookup = (
  address: Address,
  limits: { readonly signal: AbortSignal },
) => Promise<readonly [SocketAddress, ...SocketAddress[]]>;

/** Events of background lookups. */
export interface TargetAddressEvents {
  /** A lookup failed after one that succeeded; the old addresses are kept. */
  lookupFailed(error: SpipedError): void;
  /** The first successful lookup after one that failed. */
  lookupRecovered(name: string): void;
  /** A lookup found different addresses. */
  addressesChanged(name: string, addresses: readonly SocketAddress[]): void;
}

/** The target's addresses. `addresses` never waits: it returns the result of the last successful lookup. */
export class TargetAddresses {
  readonly name: string;
  readonly #address: Address;
  readonly #lookup: Lookup;
  readonly #events: TargetAddressEvents;
  #addresses: readonly SocketAddress[];
  #failing = false;
  #lookingUp = false;
  #timer: NodeJS.Timeout | undefined;
  readonly #stopped = new AbortController();

  /** @param addresses - The result of the first lookup. */
  constructor(address: Address, addresses: readonly SocketAddress[], lookup: Lookup, events: TargetAddressEvents) {
    this.name = formatAddress(address);
    this.#address = address;
    this.#addresses = addresses;
    this.#lookup = lookup;
    this.#events = events;
  }

  /** The addresses to dial now, in order. */
  get addresses(): readonly SocketAddress[] {
    return this.#addresses;
  }

  /** Resolves again every `intervalMs`, unless the address is fixed. */
  refreshEvery(intervalMs: number): void {
    const fixed = this.#address.kind === "unix" || this.#address.literal;
    if (fixed || !Number.isFinite(intervalMs) || this.#stopped.signal.aborted) return;
    this.#timer = setInterval(() => void this.refresh(), intervalMs);
    // Do not keep the process alive for lookups.
    this.#timer.unref();
  }

  /** Resolves again, unless a lookup is pending: with an unresponsive name server they would pile up. */
  async refresh(): Promise<void> {
    if (this.#lookingUp) return;
    this.#lookingUp = true;
    try {
      const addresses = await this.#lookup(this.#address, { signal: this.#stopped.signal });
      if (this.#failing) this.#events.lookupRecovered(this.name);
      this.#failing = false;
      if (listed(addresses) === listed(this.#addresses)) return;
      this.#addresses = addresses;
      this.#events.addressesChanged(this.name, addresses);
    } catch (error) {
      if (this.#failing || this.#stopped.signal.aborted || !(error instanceof SpipedError)) return;
      this.#failing = true;
      this.#events.lookupFailed(error);
    } finally {
      this.#lookingUp = false;
    }
  }

  /** Stops lookups and cancels a pending one: with an unresponsive name server it could delay the exit. */
  stop(): void {
    clearInterval(this.#timer);
    this.#stopped.abort();
  }
}

/** Name servers rotate the order of addresses; that is not a change. */
function listed(addresses: readonly SocketAddress[]): string {
  return addresses.map(formatAddress).sort().join(" ");
}
