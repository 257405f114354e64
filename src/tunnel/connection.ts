/**
 * One connection, from the moment it is accepted to its one end. This is where to begin reading: the whole life of a
 * connection is `#runAsClient` or `#runAsServer`, and all its deaths are `#end`.
 *
 *     client (-e): dial the target → handshake with it → two pumps
 *     server (-d): handshake with the source; once the client is known, dial the target → two pumps
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
import { cleartextMemory, packetMemory } from "./memory.js";
import { PumpedFlow } from "./pumped-flow.js";
import { type Recognition, recognise, TELLING_BYTES } from "./recognition.js";
import { relayedFlow } from "./relayed-flow.js";
import type { ConnectionReport, ConnectionView, PhaseName } from "./reports.js";
import type { Target } from "./target.js";

/** What a connection needs to know when it begins; later changes do not reach it. */
export interface ConnectionOptions {
  readonly role: "encrypt" | "decrypt";
  /** The accepted side. Where it is the encrypted one, nothing has been read from it. */
  readonly source: Channel;
  /** Where it goes. */
  readonly target: Target;
  /** Asked when the handshake begins, which may be long after the connection did. A client takes the first. */
  readonly keys: () => KeyOffer;
  readonly forwardSecrecy: ForwardSecrecy;
  /** Time for the handshake. */
  readonly timeoutMs: number;
  /** True to end when everything from the target has been handed on, whatever the source still has to say. */
  readonly endWithTarget: boolean;
  /** True to announce the source ahead of all cleartext; see announce-client.ts. */
  readonly proxyProtocol?: boolean;
  /**
   * Asked by a server when its client has shown that it has the key.
   *
   * @returns When the client may go on; undefined: at once.
   */
  readonly admit?: () => Promise<void> | undefined;
  /** Told once, when everything from the source, its end too, is with the system and will arrive. */
  readonly forwardEnded?: () => void;
  /** Told once, when the handshake is over, the target is reached, and data can flow. */
  readonly established?: () => void;
  /** Told once, when nothing of the connection is left. */
  readonly ended: (report: ConnectionReport) => void;
}

type Phase =
  | { readonly name: Exclude<PhaseName, "piping" | "ended"> }
  | { readonly name: "piping"; readonly flow: Flow }
  /** The flow, where there was one, still knows what it has moved. */
  | { readonly name: "ended"; readonly flow: Flow | undefined };

/** How often a client that waits for a connection slot is checked for being gone. */
const WAITING_CHECK_MS = 1_000;

let lastId = 0;

/** Why what a connection had begun is given up; one for all, since making one for each costs more than it tells. */
const ENDED = new SpipedError("SPIPED_CANCELLED", "the connection has ended");

/**
 * One connection. It begins at once, owns both channels, and calls `ended` of its options exactly once, when nothing of it
 * is left.
 */
export class Connection implements ConnectionView {
  readonly id: number;
  readonly #options: ConnectionOptions;
  readonly #startedAt = performance.now();
  readonly #over = new Cancellation();
  #phase: Phase;
  #target: Channel | undefined;
  #handshakeTimer: NodeJS.Timeout | undefined;
  /** Whether the other end has been sent a packet before there is a flow. */
  #isStreamBegun = false;
  /** Since when the client waits for a place; undefined where it does not. */
  #waitsSince: number | undefined;
  /** The key of the client, once it is known. */
  #key: RingKey | undefined;
  #handshakeStartedAt = 0;
  #handshakeMs: number | undefined;
  #recognised: Recognition | undefined;

  /** Begins at once. */
  constructor(options: ConnectionOptions) {
    lastId += 1;
    this.id = lastId;
    this.#options = options;
    this.#phase = { name: options.role === "encrypt" ? "dialling" : "handshaking" };
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
    return this.#handshakeMs;
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

  /** Ends the connection at once; both sides are reset. */
  cancel(): void {
    this.#fail(new SpipedError("SPIPED_CANCELLED", "shutting down"));
  }

  /** Ends the connection at once where the client's key was taken away. @returns Whether it was. */
  endIfKeyRemoved(): boolean {
    if (!this.#key?.isRemoved) return false;
    this.#fail(new SpipedError("SPIPED_CANCELLED", `the key ${this.#key.name ?? ""} was removed`));
    return true;
  }

  /** Ends the connection of a client that has not shown that it has the key, since others need its place. */
  evict(): void {
    this.#fail(new SpipedError("SPIPED_CROWDED_OUT", "dropped for newer clients before it authenticated"));
  }

  async #runAsClient(): Promise<void> {
    const { source, forwardSecrecy } = this.#options;
    const target = await this.#openTarget(HANDSHAKE_BYTES);
    if (target === undefined) return;
    this.#phase = { name: "handshaking" };
    this.#startHandshake();
    const signal = this.#over;
    const [own] = this.#options.keys().entries;
    if (own === undefined) throw new SpipedError("SPIPED_STEP", "this connection has no key");
    this.#key = own;
    const keys = await handshakeAsClient({ channel: target, key: own.key, forwardSecrecy, signal }, () => {
      // The server may know us from now on, and must not take our death for the end of all that we have to say.
      target.resetOnDeath?.(true);
    });
    this.#handshakeEnded();
    this.#pipe(source, target, keys);
  }

  async #runAsServer(): Promise<void> {
    const { source, forwardSecrecy } = this.#options;
    let target: Promise<Channel | undefined> | undefined;
    this.#startHandshake();
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
        // Differs from spiped: there a stranger's connection reaches the target.
        target = this.#openTarget(0);
        target.catch((error: unknown) => this.#fail(error));
      };
      const admitted = this.#options.admit?.();
      if (admitted === undefined) {
        dial();
        return undefined;
      }
      this.#waitsSince = performance.now();
      this.#watchWaiting(this.#waitsSince);
      return admitted.then(() => {
        if (this.#hasPlace()) dial();
      });
    });
    this.#handshakeEnded();
    let dialled: Channel | undefined;
    try {
      dialled = await target;
    } finally {
      if (dialled === undefined) keys.destroy();
    }
    if (dialled !== undefined) this.#pipe(source, dialled, keys);
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

  #handshakeEnded(): void {
    clearTimeout(this.#handshakeTimer);
    this.#handshakeMs = performance.now() - this.#handshakeStartedAt;
  }

  #startHandshake(): void {
    this.#handshakeStartedAt = performance.now();
    this.#limitHandshake();
  }

  #limitHandshake(): void {
    const { timeoutMs } = this.#options;
    this.#handshakeTimer = setTimeout(() => {
      this.#fail(new SpipedError("SPIPED_TIMEOUT", `handshake not finished after ${timeoutMs / 1_000} s`));
    }, timeoutMs);
  }

  /** In place of the time limit for as long as the client waits. */
  #watchWaiting(since: number): void {
    clearTimeout(this.#handshakeTimer);
    this.#handshakeTimer = setTimeout(() => {
      if (this.#stillWaits(since)) this.#watchWaiting(since);
    }, WAITING_CHECK_MS);
  }

  /**
   * Whether a client that waits for a place is still there. How long it waits is its own decision, as it is for those who
   * wait in the backlog; nothing is read from it meanwhile, so it has to be asked.
   */
  #stillWaits(since: number): boolean {
    if (this.#options.source.hasEnded?.() !== true) return true;
    const seconds = ((performance.now() - since) / 1_000).toFixed(1);
    this.#fail(
      new SpipedError("SPIPED_TIMEOUT", `the client disconnected after waiting ${seconds} s for a connection slot`),
    );
    return false;
  }

  /** The client that waited need wait no more. @returns False where it has gone. */
  #hasPlace(): boolean {
    const since = this.#waitsSince;
    if (this.#phase.name === "ended" || since === undefined || !this.#stillWaits(since)) return false;
    this.#waitsSince = undefined;
    // The wait was no part of the handshake, which has all its time.
    this.#handshakeStartedAt += performance.now() - since;
    clearTimeout(this.#handshakeTimer);
    this.#limitHandshake();
    return true;
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

  /** False where that is the connection's end. */
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

  /** @param side - Where it was a socket that failed: which. */
  #fail(thrown: unknown, side?: "source" | "target"): void {
    const error = this.#recognise(asSpipedError(thrown), side);
    const { role } = this.#options;
    const isUnknown = this.#recognised === undefined;
    // A server with another key says nothing; this is all that a client sees of it.
    if (error.code === "SPIPED_HANDSHAKE_ENDED" && role === "encrypt" && isUnknown) {
      const why = `${error.message}; it may have a different key`;
      this.#end("handshake-failed", new SpipedError(error.code, why, { cause: error }));
    } else {
      this.#end(endReasonOf(error), error);
    }
  }

  /** Says of a handshake that failed what the peer seems to be. */
  #recognise(error: SpipedError, side: "source" | "target" | undefined): SpipedError {
    const { role, source } = this.#options;
    const encrypted = role === "encrypt" ? "target" : "source";
    if (this.#phase.name !== "handshaking" || (side !== undefined && side !== encrypted)) return error;
    const seen = (role === "encrypt" ? this.#target : source)?.reader.arrivedSoFar?.();
    const waiting = role === "encrypt" ? source.peek?.(TELLING_BYTES) : undefined;
    const known = recognise({ role, error, seen, waiting });
    this.#recognised = known.recognised;
    return known.error;
  }

  #end(reason: EndReason, error: SpipedError | undefined): void {
    const phase = this.#phase;
    if (phase.name === "ended") return;
    const flow = phase.name === "piping" ? phase.flow : undefined;
    this.#phase = { name: "ended", flow };
    clearTimeout(this.#handshakeTimer);
    this.#over.abort(ENDED);
    flow?.stop();
    this.#endChannels(reason, phase);
    const report: ConnectionReport = {
      id: this.id,
      reason,
      error,
      phase: phase.name,
      recognised: this.#recognised,
      source: this.source,
      keyName: this.keyName,
      handshakeMs: this.#handshakeMs,
      bytesForward: this.bytesForward,
      bytesReverse: this.bytesReverse,
      durationMs: this.ageMs,
    };
    this.#options.target.ended?.(report);
    this.#options.ended(report);
  }

  /** What each side sees; the table is in docs/protocol.md, "How a connection ends". */
  #endChannels(reason: EndReason, phase: Phase): void {
    const { role, source } = this.#options;
    if (reason === "closed") {
      source.close();
      this.#target?.close();
    } else if (phase.name === "handshaking" && role === "decrypt") {
      source.close();
    } else if (phase.name === "handshaking") {
      source.reset();
      // What has been announced and has no more behind it must not look like a whole stream.
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
