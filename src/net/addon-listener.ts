/**
 * Accepts clients without making a `net.Socket` of each; see addon-sockets.ts.
 */

import { messageOf, SpipedError } from "../errors.js";
import type { AcceptedByAddon } from "./accepted.js";
import type { AddonSocketOptions, AddonSockets } from "./addon-sockets.js";

/** How long to wait after the system has refused to accept: too many files are open, say. */
const RETRY_MS = 1_000;

interface Handlers {
  /** How many clients may be accepted before others have a turn; at least 1 counts. */
  clientsPerTurn(): number;
  accepted(client: AcceptedByAddon): void;
  failed(error: SpipedError): void;
}

/**
 * Accepts clients from a descriptor that it owns. It does not accept until `accept`; after an error it tries again each
 * second.
 */
export class AddonListener {
  readonly #sockets: AddonSockets;
  readonly #handlers: Handlers;
  readonly #id: number;
  #accepting = false;
  #closed = false;
  #retry: NodeJS.Timeout | undefined;

  /**
   * @param descriptor - One that listens; it belongs to this from now on.
   * @param shared - Whether others accept from the same socket: then nothing is set on it.
   */
  constructor(
    descriptor: number,
    {
      sockets,
      options,
      shared,
    }: { readonly sockets: AddonSockets; readonly options: AddonSocketOptions; readonly shared: boolean },
    handlers: Handlers,
  ) {
    this.#sockets = sockets;
    this.#handlers = handlers;
    this.#id = sockets.listen(
      descriptor,
      { ...options, shared },
      {
        // One try each second, however many clients come meanwhile.
        acceptable: () => {
          if (this.#retry === undefined) this.#acceptable();
        },
      },
    );
  }

  /** Begins to accept, or goes on after `pause`; never at once. */
  accept(): void {
    if (this.#accepting || this.#closed) return;
    this.#accepting = true;
    this.#sockets.rearm(this.#id);
  }

  /** Leaves further clients in the backlog. True where it accepted until now. */
  pause(): boolean {
    const accepted = this.#accepting;
    this.#accepting = false;
    return accepted;
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#accepting = false;
    clearTimeout(this.#retry);
    this.#sockets.close(this.#id, false);
  }

  #acceptable(): void {
    const most = Math.max(1, this.#handlers.clientsPerTurn());
    for (let count = 0; this.#accepting; count += 1) {
      if (count === most) {
        this.#sockets.rearm(this.#id);
        return;
      }
      let client: ReturnType<AddonSockets["accept"]>;
      try {
        client = this.#sockets.accept(this.#id);
      } catch (cause) {
        const why = `cannot accept a connection: ${messageOf(cause)}`;
        this.#handlers.failed(new SpipedError("SPIPED_LISTEN", why, { cause }));
        this.#retry = setTimeout(() => {
          this.#retry = undefined;
          this.#acceptable();
        }, RETRY_MS);
        return;
      }
      if (client === undefined) return;
      this.#handlers.accepted({ sockets: this.#sockets, ...client });
    }
  }
}
