/**
 * The target's addresses: looked up once, and again every so often in the background, so that a name may move while
 * the tunnel runs. New connections dial what the last successful look-up gave.
 */

import { SpipedError } from "../errors.js";
import { type Address, formatAddress, type SocketAddress } from "../net/address.js";

/** How addresses are looked up. */
export type Lookup = (
  address: Address,
  limits: { readonly signal: AbortSignal },
) => Promise<readonly [SocketAddress, ...SocketAddress[]]>;

/** What is reported of the look-ups in the background. */
export interface TargetAddressEvents {
  /** A look-up failed where the one before succeeded; the old addresses stay. */
  lookupFailed(error: SpipedError): void;
  /** A look-up gave other addresses than before. */
  addressesChanged(name: string, addresses: readonly SocketAddress[]): void;
}

/** The target's addresses. `addresses` never waits: it gives what the last successful lookup found. */
export class TargetAddresses {
  readonly name: string;
  readonly #address: Address;
  readonly #lookUp: Lookup;
  readonly #events: TargetAddressEvents;
  #addresses: readonly SocketAddress[];
  #failing = false;
  #lookingUp = false;
  #timer: NodeJS.Timeout | undefined;
  readonly #stopped = new AbortController();

  /** @param addresses - What the first look-up gave. */
  constructor(address: Address, addresses: readonly SocketAddress[], lookUp: Lookup, events: TargetAddressEvents) {
    this.name = formatAddress(address);
    this.#address = address;
    this.#addresses = addresses;
    this.#lookUp = lookUp;
    this.#events = events;
  }

  /** The addresses to dial now, in order. */
  get addresses(): readonly SocketAddress[] {
    return this.#addresses;
  }

  /** Looks up again every `intervalMs`; not where that could change nothing. */
  refreshEvery(intervalMs: number): void {
    const fixed = this.#address.kind === "unix" || this.#address.literal;
    if (fixed || !Number.isFinite(intervalMs) || this.#stopped.signal.aborted) return;
    this.#timer = setInterval(() => void this.refresh(), intervalMs);
    // Looking up is no reason to stay alive.
    this.#timer.unref();
  }

  /** Looks up once more, unless a look-up is still under way: behind a silent name server they would pile up. */
  async refresh(): Promise<void> {
    if (this.#lookingUp) return;
    this.#lookingUp = true;
    try {
      const addresses = await this.#lookUp(this.#address, { signal: this.#stopped.signal });
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

  /** Looks up no more, and waits for no answer: behind a silent name server it could be the last thing to wait for. */
  stop(): void {
    clearInterval(this.#timer);
    this.#stopped.abort();
  }
}

/** Name servers turn the order round from answer to answer; that is no change. */
function listed(addresses: readonly SocketAddress[]): string {
  return addresses.map(formatAddress).sort().join(" ");
}
