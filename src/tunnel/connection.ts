/**
 * One connection, from accept to end. Start reading here: a connection's life is `#runAsClient` or `#runAsServer`, and
 * every way it can end goes through `#end`.
 *
 *     client (-e): dial the target → handshake with it → two pumps
 *     server (-d): handshake with the source; once the client is known, dial the target → two pumps
 *
 * Longer than most files because all phases share the ways to end.
 *
 * Source: DESIGN.md, "Data path" and docs/protocol.md, "How a connection ends".
 */

import { type EndReason, endReasonOf, SpipedError } from "../errors.js";
import { Cancellation } from "../net/cancellation.js";
import type { Channel } from "../net/channel.js";
import { HANDSHAKE_BYTES } from "../protocol/constants.js";
import type { ForwardSecrecy, SessionKeys } from "../protocol/handshake.js";
import type { KeyOffer, RingKey } from "../protocol/key-ring.js";
import { asSpipedError } from "../protocol/native-errors.js";
import { type Announcement, announceClient } from "./announce-client.js";
import type { Flow, FlowOptions } from "./flow.js";
import { handshakeAsClient, handshakeAsServer } from "./handshake.js";
import { HandshakeTimer } from "./handshake-timer.js";
import { cleartextMemory, packetMemory } from "./memory.js";
import { PumpedFlow } from "./pumped-flow.js";
import { type Recognition, recognize, TELLING_BYTES } from "./recognition.js";
import { relayedFlow } from "./relayed-flow.js";
import type { ConnectionReport, ConnectionView, PhaseName } from "./reports.js";
import type { Target } from "./target.js";

/** The settings of a connection, fixed when it begins. */
export interface ConnectionOptions {
  readonly role: "encrypt" | "decrypt";
  /** The accepted side. If it is the encrypted one, nothing has been read from it. */
  readonly source: Channel;
  /** Where to connect. */
  readonly target: Target;
  /** Called when the handshake begins, which may be long after the connection did. A client uses the first key. */
  readonly keys: () => KeyOffer;
  readonly forwardSecrecy: ForwardSecrecy;
  /** Time limit for the handshake. */
  readonly timeoutMs: number;
  /** True to end once everything from the target has been delivered, even if the source has not ended. */
  readonly endWithTarget: boolean;
  /** True to send a PROXY header before all data; see announce-client.ts. */
  readonly proxyProtocol?: boolean;
  /**
   * Called by a server when its client has authenticated.
   *
   * @returns Resolves when the client may continue; undefined: at once.
   */
  readonly admit?: () => Promise<void> | undefined;
  /** Called once, when everything from the source and its end have been handed to the system and will arrive. */
  readonly forwardEnded?: () => void;
  /** Called once, when the handshake is complete, the target is connected, and data can flow. */
  readonly established?: () => void;
  /** Called once, when all resources of the connection have been released. */
  readonly ended: (report: ConnectionReport) => void;
}

type Phase =
  | { readonly name: Exclude<PhaseName, "piping" | "ended"> }
  | { readonly name: "piping"; readonly flow: Flow }
  /** Kept for the byte counts of the flow, if there was one. */
  | { readonly name: "ended"; readonly flow: Flow | undefined };

let lastId = 0;

/**
 * Cancellation reason for pending operations of an ended connection. Shared: creating one per connection is costly, and
 * it is never shown.
 */
const ENDED = new SpipedError("SPIPED_CANCELLED", "the connection has ended");

/**
 * One connection. It begins at once, owns both channels, and calls `options.ended` exactly once, when all its resources
 * have been released.
 */
export class Connection implements ConnectionView {
  readonly id: number;
  readonly #options: ConnectionOptions;
  readonly #startedAt = performance.now();
  readonly #over = new Cancellation();
  #phase: Phase;
  #target: Channel | undefined;
  readonly #handshakeTimer: HandshakeTimer;
  /** Whether a packet has been sent before the flow exists. */
  #isStreamBegun = false;
  /** The client's key, once identified. */
  #key: RingKey | undefined;
  #recognized: Recognition | undefined;

  constructor(options: ConnectionOptions) {
    lastId += 1;
    this.id = lastId;
    this.#options = options;
    this.#handshakeTimer = new HandshakeTimer(options.timeoutMs, options.source, (error) => this.#fail(error));
    this.#phase = { name: options.role === "encrypt" ? "dialing" : "handshaking" };
    if (options.role === "encrypt") options.source.resetOnDeath?.(true);
    options.source.onFailure((error) => this.#fail(onSide("source", options.source, error), "source"));
    const run = options.role === "encrypt" ? this.#runAsClient() : this.#runAsServer();
    run.catch((error: unknown) => this.#fail(error));
  }

  get phase(): PhaseName {
    return this.#phase.name;
  }

  get source(): string {
    return this.#options.source.peer;
  }

  get keyName(): string | undefined {
    return this.#key?.name;
  }

  get ageMs(): number {
    return performance.now() - this.#startedAt;
  }

  get handshakeMs(): number | undefined {
    return this.#handshakeTimer.durationMs;
  }

  get bytesForward(): number {
    return this.#flow?.bytesForward ?? 0;
  }

  get bytesReverse(): number {
    return this.#flow?.bytesReverse ?? 0;
  }

  get #flow(): Flow | undefined {
    return "flow" in this.#phase ? this.#phase.flow : undefined;
  }

  /** Ends the connection at once and resets both sides. */
  cancel(): void {
    this.#fail(new SpipedError("SPIPED_CANCELLED", "shutting down"));
  }

  /** Ends the connection at once if the client's key was removed. @returns Whether it did. */
  endIfKeyRemoved(): boolean {
    if (!this.#key?.isRemoved) return false;
    this.#fail(new SpipedError("SPIPED_CANCELLED", `the key ${this.#key.name ?? ""} was removed`));
    return true;
  }

  /** Drops a client that has not authenticated, to make room for others. */
  evict(): void {
    this.#fail(new SpipedError("SPIPED_CROWDED_OUT", "dropped for newer clients before it authenticated"));
  }

  async #runAsClient(): Promise<void> {
    const { source, forwardSecrecy } = this.#options;
    const target = await this.#openTarget(HANDSHAKE_BYTES);
    if (target === undefined) return;
    this.#phase = { name: "handshaking" };
    this.#handshakeTimer.start();
    const signal = this.#over;
    const [own] = this.#options.keys().entries;
    if (own === undefined) throw new SpipedError("SPIPED_STEP", "this connection has no key");
    this.#key = own;
    const keys = await handshakeAsClient({ channel: target, key: own.key, forwardSecrecy, signal }, () => {
      // The server may have authenticated us by now, so from here on ending abruptly must not look like the end of the
      // stream.
      target.resetOnDeath?.(true);
    });
    this.#handshakeTimer.finish();
    this.#pipe(source, target, keys);
  }

  async #runAsServer(): Promise<void> {
    const { source, forwardSecrecy } = this.#options;
    let target: Promise<Channel | undefined> | undefined;
    this.#handshakeTimer.start();
    const signal = this.#over;
    const { keys: key, entries } = this.#options.keys();
    const onIdentified = (index: number) => {
      this.#key = entries[index];
      this.endIfKeyRemoved();
    };
    const keys = await handshakeAsServer({ channel: source, key, forwardSecrecy, signal, onIdentified }, () => {
      this.#phase = { name: "client-known" };
      source.resetOnDeath?.(true);
      const dial = () => {
        // Differs from spiped: there an unauthenticated connection reaches the target.
        target = this.#openTarget(0);
        target.catch((error: unknown) => this.#fail(error));
      };
      const admitted = this.#options.admit?.();
      if (admitted === undefined) {
        dial();
        return undefined;
      }
      this.#handshakeTimer.suspend();
      return admitted.then(() => {
        if (this.#handshakeTimer.resume()) dial();
      });
    });
    this.#handshakeTimer.finish();
    let dialed: Channel | undefined;
    try {
      dialed = await target;
    } finally {
      if (dialed === undefined) keys.destroy();
    }
    if (dialed !== undefined) this.#pipe(source, dialed, keys);
  }

  async #openTarget(exactLength: number): Promise<Channel | undefined> {
    const { role } = this.#options;
    const target = await this.#options.target.open({
      readBuffer: (role === "encrypt" ? packetMemory : cleartextMemory).readBuffer,
      exactLength,
      resetOnDeath: role === "decrypt",
      signal: this.#over,
    });
    if (this.#phase.name === "ended") {
      target.reset();
      return undefined;
    }
    this.#target = target;
    target.onFailure((error) => this.#fail(onSide("target", target, error), "target"));
    return target;
  }

  #pipe(source: Channel, target: Channel, keys: SessionKeys): void {
    if (this.#phase.name === "ended") {
      keys.destroy();
      return;
    }
    const { role, proxyProtocol } = this.#options;
    const encrypts = role === "encrypt";
    if (proxyProtocol) {
      this.#isStreamBegun = encrypts;
      if (!this.#announceClient({ encrypts, source, target, keys, keyName: this.keyName })) return;
    }
    const options: FlowOptions = {
      encrypts,
      source,
      target,
      keys,
      endWithTarget: this.#options.endWithTarget,
      forwardEnded: this.#options.forwardEnded,
      ended: () => this.#end("closed", undefined),
      failed: (error) => this.#fail(error),
    };
    const relayed = relayedFlow(options);
    if (relayed !== undefined) {
      this.#phase = { name: "piping", flow: relayed };
      this.#established();
      return;
    }
    const flow = new PumpedFlow(options);
    this.#phase = { name: "piping", flow };
    this.#established();
    flow.start();
  }

  #established(): void {
    this.#options.target.opened?.();
    this.#options.established?.();
  }

  /** Returns false if this ended the connection. */
  #announceClient(announcement: Announcement): boolean {
    let announced = false;
    try {
      announced = announceClient(announcement);
    } catch (error) {
      this.#fail(error);
    }
    if (!announced) announcement.keys.destroy();
    return announced;
  }

  /** @param side - The side whose socket failed, if one did. */
  #fail(thrown: unknown, side?: "source" | "target"): void {
    const error = this.#recognize(asSpipedError(thrown), side);
    const { role, forwardSecrecy } = this.#options;
    const isUnknown = this.#recognized === undefined;
    // A server with a different key, or with -g, just closes the connection; this is all that a client sees.
    if (error.code === "SPIPED_HANDSHAKE_ENDED" && role === "encrypt" && isUnknown) {
      const orStricter = forwardSecrecy === "off" ? ", or it requires forward secrecy, which is off at this end" : "";
      const why = `${error.message}; it may have a different key${orStricter}`;
      const hint =
        "compare `spiped key-id` on both machines; if the ids are equal, one end still uses an older key (SIGHUP reloads " +
        "it), or the far end is the C original and cannot reach its target";
      this.#end("handshake-failed", new SpipedError(error.code, why, { cause: error, hint }));
    } else if (error.code === "SPIPED_RESET" && role === "encrypt" && isUnknown && this.#hasNoAnswer(error)) {
      const hint = "the far end does this when it cannot reach its target; see its log";
      this.#end("reset", new SpipedError(error.code, error.message, { cause: error, hint }));
    } else {
      this.#end(endReasonOf(error), error);
    }
  }

  /** Whether the target has reset the connection before it sent any cleartext. */
  #hasNoAnswer({ message }: SpipedError): boolean {
    return message.startsWith("target ") && this.bytesReverse === 0;
  }

  /** Adds to a failed handshake's error what the peer seems to be. */
  #recognize(error: SpipedError, side: "source" | "target" | undefined): SpipedError {
    const { role, source } = this.#options;
    const encrypted = role === "encrypt" ? "target" : "source";
    if (this.#phase.name !== "handshaking" || (side !== undefined && side !== encrypted)) return error;
    const seen = (role === "encrypt" ? this.#target : source)?.reader.arrivedSoFar?.();
    const waiting = role === "encrypt" ? source.peek?.(TELLING_BYTES) : undefined;
    const known = recognize({ role, error, seen, waiting });
    this.#recognized = known.recognized;
    return known.error;
  }

  #end(reason: EndReason, error: SpipedError | undefined): void {
    const phase = this.#phase;
    if (phase.name === "ended") return;
    const flow = phase.name === "piping" ? phase.flow : undefined;
    this.#phase = { name: "ended", flow };
    this.#handshakeTimer.stop();
    this.#over.abort(ENDED);
    flow?.stop();
    this.#endChannels(reason, phase);
    const report: ConnectionReport = {
      id: this.id,
      reason,
      error,
      phase: phase.name,
      recognized: this.#recognized,
      source: this.source,
      keyName: this.keyName,
      handshakeMs: this.handshakeMs,
      bytesForward: this.bytesForward,
      bytesReverse: this.bytesReverse,
      durationMs: this.ageMs,
    };
    this.#options.target.ended?.(report);
    this.#options.ended(report);
  }

  /** Closes or resets each side; see the table in docs/protocol.md, "How a connection ends". */
  #endChannels(reason: EndReason, phase: Phase): void {
    const { role, source } = this.#options;
    if (reason === "closed") {
      source.close();
      this.#target?.close();
    } else if (phase.name === "handshaking" && role === "decrypt") {
      source.close();
    } else if (phase.name === "handshaking") {
      source.reset();
      // A header with no data after it must not look like a complete stream.
      if (this.#isStreamBegun) this.#target?.reset();
      else this.#target?.close();
    } else {
      source.reset();
      this.#target?.reset();
    }
  }
}

function onSide(side: "source" | "target", channel: Channel, error: SpipedError): SpipedError {
  return new SpipedError(error.code, `${side} ${channel.peer}: ${error.message}`, { cause: error });
}
