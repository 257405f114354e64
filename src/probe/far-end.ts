/**
 * Probes the far end of a tunnel as a client: it goes through every step of a connection, without sending the service any
 * data.
 *
 * It sends nothing until the far end has sent something or a short time has passed, and waits a little longer after that. So
 * anything that is not spiped can identify itself first. The original's `spiped -d` dials the service before it has
 * authenticated the client, so the wait also tells one whose service is down from one with a different key.
 */

import { SpipedError } from "../errors.js";
import { Cancellation } from "../net/cancellation.js";
import { type Channel, sendAhead } from "../net/channel.js";
import { HANDSHAKE_BYTES, MACED_PUBLIC_BYTES, NONCE_BYTES } from "../protocol/constants.js";
import { detectProtocol } from "../protocol/detect-protocol.js";
import type { ForwardSecrecy, SessionKeys } from "../protocol/handshake.js";
import type { SharedKey } from "../protocol/secret.js";
import { handshakeAsClient } from "../tunnel/handshake.js";
import type { AnswerOutcome, Ending, Finding, ForwardSecrecyOutcome, HandshakeOutcome } from "./findings.js";
import { type Reached, type ReachOptions, reach } from "./reach.js";
import { Recording } from "./recording.js";
import { closeCleanly, listeningMs, outcomeOf } from "./service.js";

/** How long the far end has to close the connection after its nonce, as a part of the timeout: 0.25 s of 5 s. */
const SETTLE_PART = 20;

/**
 * How long to listen on a second connection, if the far end may have a different key. Long enough for its refused dial, and
 * shorter than its own handshake timeout, which is 5 s or the same as ours.
 */
function listenAgainMs(timeoutMs: number): number {
  return Math.min(0.9 * listeningMs(timeoutMs), 4_000);
}

/** Options of a probe of the far end. */
export interface FarEndOptions extends ReachOptions {
  readonly key: SharedKey;
  readonly forwardSecrecy: ForwardSecrecy;
}

/** Probes step by step and stops at the first failure. Each step takes at most `timeoutMs`. */
export async function* probeFarEnd(options: FarEndOptions): AsyncGenerator<Finding> {
  const reached = yield* reach(options);
  if (reached === undefined) return;
  const connection = new FarEndConnection(reached.channel, options);
  try {
    const answer = await connection.answer();
    yield { step: "answer", outcome: answer };
    if (answer.kind !== "nonce") return;
    if (connection.ending !== undefined) {
      yield { step: "service", outcome: { kind: "hung-up-unasked", how: connection.ending } };
      return;
    }
    const { outcome, keys } = await connection.handshake();
    const why = outcome.kind === "closed" ? await whyClosed(outcome.how, reached, options) : undefined;
    yield why ?? { step: "handshake", outcome };
    if (outcome.kind !== "done") return;
    yield { step: "forward-secrecy", outcome: connection.forwardSecrecy() };
    if (keys !== undefined) yield await connection.service(keys);
  } finally {
    await connection.close();
  }
}

/** Why the far end closed the connection when it could verify the key; undefined if the key is the likely reason. */
async function whyClosed(how: Ending, reached: Reached, options: FarEndOptions): Promise<Finding | undefined> {
  if (options.forwardSecrecy === "off") {
    const retried = await onNewConnection(reached, { ...options, forwardSecrecy: "allow" }, (connection) =>
      connection.handshake(),
    );
    retried?.keys?.destroy();
    if (retried?.outcome.kind === "done") return { step: "forward-secrecy", outcome: { kind: "required-there" } };
  }
  // A different key leads to an orderly close, not to a reset.
  if (how === "reset") return { step: "service", outcome: { kind: "reset-early" } };
  // Its dial to the service may have failed just then; if so, it fails again.
  const unasked = await onNewConnection(reached, options, (connection) => connection.listenAgain());
  return unasked === undefined ? undefined : { step: "service", outcome: { kind: "hung-up-unasked", how: unasked } };
}

/** Calls `act` with a new connection; undefined if there is none. */
async function onNewConnection<T>(
  reached: Reached,
  options: FarEndOptions,
  act: (connection: FarEndConnection) => Promise<T>,
): Promise<T | undefined> {
  let channel: Channel;
  try {
    channel = await reached.again();
  } catch (error) {
    if (error instanceof SpipedError && ["SPIPED_CONNECT", "SPIPED_TIMEOUT"].includes(error.code)) return undefined;
    throw error;
  }
  const connection = new FarEndConnection(channel, options);
  try {
    return await act(connection);
  } finally {
    await connection.close();
  }
}

/** The result of a handshake. */
interface HandshakeResult {
  readonly outcome: HandshakeOutcome;
  /** Undefined if it failed, or if forward secrecy is required and missing. */
  readonly keys: SessionKeys | undefined;
}

/** One connection to the far end. */
class FarEndConnection {
  readonly #channel: Channel;
  readonly #recording: Recording;
  readonly #options: FarEndOptions;
  readonly #over = new Cancellation();
  #nonce: Uint8Array | undefined;
  #lacksSecrecy = false;
  #handshaking: Promise<SessionKeys> | undefined;

  constructor(channel: Channel, options: FarEndOptions) {
    this.#channel = channel;
    this.#recording = new Recording(channel);
    this.#options = options;
  }

  /** Waits for the nonce, or identifies what comes instead. */
  async answer(): Promise<AnswerOutcome> {
    const recording = this.#recording;
    const { timeoutMs } = this.#options;
    const startedAt = performance.now();
    const isClear = () => recording.bytes.length >= NONCE_BYTES || detectProtocol(recording.bytes) !== undefined;
    await recording.until(isClear, listeningMs(timeoutMs));
    if (recording.bytes.length === 0 && recording.ending === undefined) void this.#start();
    await recording.until(isClear, startedAt + timeoutMs - performance.now());
    const durationMs = performance.now() - startedAt;
    if (this.#handshaking === undefined)
      await recording.until(() => recording.bytes.length > NONCE_BYTES, timeoutMs / SETTLE_PART);
    const { bytes, ending } = recording;
    const recognized = detectProtocol(bytes, { isAll: bytes.length < NONCE_BYTES });
    if (recognized !== undefined) return { kind: "foreign", recognized };
    if (bytes.length < NONCE_BYTES) {
      return ending === undefined
        ? { kind: "silent", bytes: bytes.length, waitedMs: timeoutMs }
        : {
            kind: "closed",
            how: ending,
            afterSending: this.#handshaking !== undefined,
            bytes: bytes.length,
            durationMs,
          };
    }
    const nonce = bytes.subarray(0, NONCE_BYTES);
    if (this.#nonce?.every((byte, index) => byte === nonce[index])) return { kind: "echo" };
    if (this.#handshaking !== undefined) return { kind: "nonce", durationMs };
    if (bytes.length > NONCE_BYTES) return { kind: "talkative", bytes: bytes.length };
    return { kind: "nonce", durationMs };
  }

  /** How the far end closed the connection. */
  get ending(): Ending | undefined {
    return this.#recording.ending;
  }

  /** Sends nothing. @returns How the far end closes the connection meanwhile, if it does. */
  async listenAgain(): Promise<Ending | undefined> {
    await this.#recording.until(() => false, listenAgainMs(this.#options.timeoutMs));
    return this.#recording.ending;
  }

  /** Does the handshake. */
  async handshake(): Promise<HandshakeResult> {
    const { timeoutMs } = this.#options;
    const startedAt = performance.now();
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<undefined>((resolve) => {
      timer = setTimeout(() => resolve(undefined), timeoutMs);
    });
    try {
      const keys = await Promise.race([this.#start(), late]);
      if (keys === undefined) {
        return { outcome: { kind: "silent", bytes: this.#answerLength, waitedMs: timeoutMs }, keys };
      }
      return { outcome: { kind: "done", durationMs: performance.now() - startedAt }, keys };
    } catch (error) {
      return { outcome: this.#failure(error, startedAt), keys: undefined };
    } finally {
      clearTimeout(timer);
    }
  }

  /** Which end has disabled forward secrecy. Valid only after the handshake, which authenticates what was received. */
  forwardSecrecy(): ForwardSecrecyOutcome {
    const y = this.#recording.bytes.subarray(NONCE_BYTES, HANDSHAKE_BYTES - NONCE_BYTES);
    const { forwardSecrecy } = this.#options;
    const isGivenUp = y.every((byte, index) => byte === (index === y.length - 1 ? 1 : 0));
    if (forwardSecrecy === "off") return { kind: isGivenUp ? "disabled-by-both" : "disabled-here" };
    if (!isGivenUp && !this.#lacksSecrecy) return { kind: "both" };
    return { kind: "disabled-there", isRequired: forwardSecrecy === "require" };
  }

  /** Listens to the service behind the far end. */
  async service(keys: SessionKeys): Promise<Finding> {
    const recording = this.#recording;
    const startedAt = performance.now();
    let at = HANDSHAKE_BYTES;
    let said: Uint8Array = new Uint8Array(0);
    let failure: unknown;
    const isSaid = () => {
      const packets = recording.bytes.slice(at);
      if (packets.length === 0) return false;
      at += packets.length;
      const room = new Uint8Array(keys.opener.outputLength(packets.length));
      try {
        said = Buffer.concat([said, room.subarray(0, keys.opener.transform(packets, room))]);
      } catch (error) {
        failure = error;
      }
      return said.length > 0 || failure !== undefined;
    };
    await recording.until(isSaid, listeningMs(this.#options.timeoutMs));
    keys.destroy();
    if (failure === undefined) return { step: "service", outcome: outcomeOf(said, recording, startedAt) };
    if (!(failure instanceof SpipedError)) throw failure;
    return { step: "service", outcome: { kind: "wrong-packet", error: failure } };
  }

  async close(): Promise<void> {
    const isOpen = this.#handshaking !== undefined && this.#recording.bytes.length >= HANDSHAKE_BYTES;
    this.#over.abort(new SpipedError("SPIPED_CANCELLED", "the probe is over"));
    if (isOpen) await closeCleanly(this.#channel, this.#recording);
    else this.#channel.close();
  }

  /** How many bytes of its handshake message, after the nonce, have arrived. */
  get #answerLength(): number {
    return Math.max(0, Math.min(this.#recording.bytes.length - NONCE_BYTES, MACED_PUBLIC_BYTES));
  }

  /** Starts the handshake, once. */
  #start(): Promise<SessionKeys> {
    const { key, forwardSecrecy } = this.#options;
    this.#handshaking ??= handshakeAsClient({
      channel: this.#handshakeChannel(),
      key,
      forwardSecrecy,
      signal: this.#over,
    });
    // Avoids an unhandled rejection before anything awaits it.
    this.#handshaking.catch(() => undefined);
    return this.#handshaking;
  }

  /** The channel for the handshake, which reads from the recording. */
  #handshakeChannel(): Channel {
    const channel = this.#channel;
    return {
      reader: this.#recording,
      writable: channel.writable,
      peer: channel.peer,
      sendNow: (bytes) => {
        this.#nonce ??= Uint8Array.from(bytes);
        return sendAhead(channel, bytes);
      },
      onFailure: () => undefined,
      close: () => channel.close(),
      reset: () => channel.reset(),
    };
  }

  #failure(error: unknown, startedAt: number): HandshakeOutcome {
    if (!(error instanceof SpipedError)) throw error;
    switch (error.code) {
      case "SPIPED_HANDSHAKE_ENDED":
      case "SPIPED_RESET":
        return { kind: "closed", how: this.#recording.ending ?? "reset", bytes: this.#answerLength };
      case "SPIPED_FORWARD_SECRECY_REQUIRED":
        // The MAC is right: the far end has the key.
        this.#lacksSecrecy = true;
        return { kind: "done", durationMs: performance.now() - startedAt };
      case "SPIPED_SAME_ROLE":
        return { kind: "same-role", error };
      case "SPIPED_WRONG_MAC":
      case "SPIPED_DH_OUT_OF_RANGE":
        return { kind: "wrong-answer", error };
      default:
        throw error;
    }
  }
}
