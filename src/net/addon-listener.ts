/**
 * Accepts clients without creating a `net.Socket` for each; see addon-sockets.ts.
 */

import { SpipedError } from "../errors.js";
import { systemReason } from "../system-reason.js";
import type { AcceptedByAddon } from "./accepted.js";
import type { AddonSocketOptions, AddonSockets } from "./addon-sockets.js";

/** How long to wait after accepting failed, for example because too many files are open. */
const RETRY_MS = 1_000;

interface Handlers {
  /** How many clients to accept before yielding to the event loop; less than 1 counts as 1. */
  clientsPerTurn(): number;
  accepted(client: AcceptedByAddon): void;
  failed(error: SpipedError): void;
}

/**
 * Accepts clients on a descriptor that it owns. It starts paused, until `accept` is called. After an error it retries
 * every second.
 */
export class AddonListener {
  readonly #sockets: AddonSockets;
  readonly #handlers: Handlers;
  readonly #id: number;
  #accepting = false;
  #closed = false;
  #retry: NodeJS.Timeout | undefined;

  /**
   * @param descriptor - A listening descriptor; the listener takes ownership.
   * @param shared - Whether other processes accept on the same socket: its options are then left alone.
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
        // While a retry is pending, new clients do not trigger another attempt.
        acceptable: () => {
          if (this.#retry === undefined) this.#acceptable();
        },
      },
    );
  }

  /** Starts or resumes accepting. Clients are accepted asynchronously, never before this returns. */
  accept(): void {
    if (this.#accepting || this.#closed) return;
    this.#accepting = true;
    this.#sockets.rearm(this.#id);
  }

  /**
   * Stops accepting; new clients stay in the backlog.
   *
   * @returns Whether it was accepting.
   */
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
        const why = `cannot accept a connection: ${systemReason(cause)}`;
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
