/**
 * A probe of the far end of a tunnel, as its client: everything that a connection goes through, without a byte for the
 * service.
 *
 * Nothing is said until the far end has spoken, or a moment has passed, and a moment is waited after it has. So what is
 * no spiped shows itself unasked, and a `spiped -d` of the original that hangs up because the service behind it is down is
 * not taken for one that has another key: it dials the service before it knows its client.
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
import { Heard } from "./heard.js";
import { type Reached, type ReachOptions, reach } from "./reach.js";
import { leave, listeningMs, outcomeOf } from "./service.js";

/** Which part of the time limit the far end may take to hang up after its first words: a quarter of a second of 5. */
const SETTLE_PART = 20;

/**
 * How long it is listened to once more, where it could have another key: as long as a call may take that is refused, and
 * less than it waits for its client, with a limit of its own of 5 s or as ours.
 */
function listenAgainMs(timeoutMs: number): number {
  return Math.min(0.9 * listeningMs(timeoutMs), 4_000);
}

/** What a probe of the far end needs. */
export interface FarEndOptions extends ReachOptions {
  readonly key: SharedKey;
  readonly forwardSecrecy: ForwardSecrecy;
}

/** Probes step by step, up to the first one that fails. Each takes `timeoutMs` at most. */
export async function* probeFarEnd(options: FarEndOptions): AsyncGenerator<Finding> {
  const reached = yield* reach(options);
  if (reached === undefined) return;
  const talk = new Talk(reached.channel, options);
  try {
    const answer = await talk.answer();
    yield { step: "answer", outcome: answer };
    if (answer.kind !== "nonce") return;
    if (talk.ending !== undefined) {
      yield { step: "service", outcome: { kind: "hung-up-unasked", how: talk.ending } };
      return;
    }
    const { outcome, keys } = await talk.shakeHands();
    const why = outcome.kind === "closed" ? await whyClosed(outcome.how, reached, options) : undefined;
    yield why ?? { step: "handshake", outcome };
    if (outcome.kind !== "done") return;
    yield { step: "forward-secrecy", outcome: talk.forwardSecrecy() };
    if (keys !== undefined) yield await talk.service(keys);
  } finally {
    await talk.leave();
  }
}

/** Why the far end let go when it knew whose key it talks to, if that was not the key. */
async function whyClosed(how: Ending, reached: Reached, options: FarEndOptions): Promise<Finding | undefined> {
  if (options.forwardSecrecy === "off") {
    const shaken = await onceMore(reached, { ...options, forwardSecrecy: "allow" }, (talk) => talk.shakeHands());
    shaken?.keys?.destroy();
    if (shaken?.outcome.kind === "done") return { step: "forward-secrecy", outcome: { kind: "required-there" } };
  }
  // Whoever has another key is just disconnected.
  if (how === "reset") return { step: "service", outcome: { kind: "reset-early" } };
  // It may have taken its time to find that nobody is behind it; then it does so again.
  const unasked = await onceMore(reached, options, (talk) => talk.listenAgain());
  return unasked === undefined ? undefined : { step: "service", outcome: { kind: "hung-up-unasked", how: unasked } };
}

/** On another connection; undefined where there is none to be had. */
async function onceMore<T>(
  reached: Reached,
  options: FarEndOptions,
  act: (talk: Talk) => Promise<T>,
): Promise<T | undefined> {
  let channel: Channel;
  try {
    channel = await reached.again();
  } catch (error) {
    if (error instanceof SpipedError && ["SPIPED_CONNECT", "SPIPED_TIMEOUT"].includes(error.code)) return undefined;
    throw error;
  }
  const talk = new Talk(channel, options);
  try {
    return await act(talk);
  } finally {
    await talk.leave();
  }
}

/** What came of a handshake. */
interface Shaken {
  readonly outcome: HandshakeOutcome;
  /** Undefined where it failed, or where forward secrecy is missing and required. */
  readonly keys: SessionKeys | undefined;
}

/** One connection to the far end. */
class Talk {
  readonly #channel: Channel;
  readonly #heard: Heard;
  readonly #options: FarEndOptions;
  readonly #over = new Cancellation();
  #nonce: Uint8Array | undefined;
  #lacksSecrecy = false;
  #shaking: Promise<SessionKeys> | undefined;

  constructor(channel: Channel, options: FarEndOptions) {
    this.#channel = channel;
    this.#heard = new Heard(channel);
    this.#options = options;
  }

  /** Waits for the nonce, and looks at what comes instead. */
  async answer(): Promise<AnswerOutcome> {
    const heard = this.#heard;
    const { timeoutMs } = this.#options;
    const startedAt = performance.now();
    const isClear = () => heard.bytes.length >= NONCE_BYTES || detectProtocol(heard.bytes) !== undefined;
    await heard.until(isClear, listeningMs(timeoutMs));
    if (heard.bytes.length === 0 && heard.ending === undefined) void this.#start();
    await heard.until(isClear, startedAt + timeoutMs - performance.now());
    const durationMs = performance.now() - startedAt;
    if (this.#shaking === undefined) await heard.until(() => heard.bytes.length > NONCE_BYTES, timeoutMs / SETTLE_PART);
    const { bytes, ending } = heard;
    const recognised = detectProtocol(bytes, { isAll: bytes.length < NONCE_BYTES });
    if (recognised !== undefined) return { kind: "foreign", recognised };
    if (bytes.length < NONCE_BYTES) {
      return ending === undefined
        ? { kind: "silent", bytes: bytes.length, waitedMs: timeoutMs }
        : { kind: "closed", how: ending, whenSpokenTo: this.#shaking !== undefined, bytes: bytes.length, durationMs };
    }
    const nonce = bytes.subarray(0, NONCE_BYTES);
    if (this.#nonce?.every((byte, index) => byte === nonce[index])) return { kind: "echo" };
    if (this.#shaking !== undefined) return { kind: "nonce", durationMs };
    if (bytes.length > NONCE_BYTES) return { kind: "talkative", bytes: bytes.length };
    return { kind: "nonce", durationMs };
  }

  /** How the far end let go. */
  get ending(): Ending | undefined {
    return this.#heard.ending;
  }

  /** Says nothing. @returns How the far end lets go meanwhile. */
  async listenAgain(): Promise<Ending | undefined> {
    await this.#heard.until(() => false, listenAgainMs(this.#options.timeoutMs));
    return this.#heard.ending;
  }

  /** Exchanges keys. */
  async shakeHands(): Promise<Shaken> {
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

  /** Who gives it up, once the handshake has shown that what came is the peer's. */
  forwardSecrecy(): ForwardSecrecyOutcome {
    const y = this.#heard.bytes.subarray(NONCE_BYTES, HANDSHAKE_BYTES - NONCE_BYTES);
    const { forwardSecrecy } = this.#options;
    const isGivenUp = y.every((byte, index) => byte === (index === y.length - 1 ? 1 : 0));
    if (forwardSecrecy === "off") return { kind: isGivenUp ? "given-up-by-both" : "given-up-here" };
    if (!isGivenUp && !this.#lacksSecrecy) return { kind: "both" };
    return { kind: "given-up-there", isRequired: forwardSecrecy === "require" };
  }

  /** Listens to the service behind the far end. */
  async service(keys: SessionKeys): Promise<Finding> {
    const heard = this.#heard;
    const startedAt = performance.now();
    let at = HANDSHAKE_BYTES;
    let said: Uint8Array = new Uint8Array(0);
    let failure: unknown;
    const isSaid = () => {
      const packets = heard.bytes.slice(at);
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
    await heard.until(isSaid, listeningMs(this.#options.timeoutMs));
    keys.destroy();
    if (failure === undefined) return { step: "service", outcome: outcomeOf(said, heard, startedAt) };
    if (!(failure instanceof SpipedError)) throw failure;
    return { step: "service", outcome: { kind: "wrong-packet", error: failure } };
  }

  async leave(): Promise<void> {
    const isOpen = this.#shaking !== undefined && this.#heard.bytes.length >= HANDSHAKE_BYTES;
    this.#over.abort(new SpipedError("SPIPED_CANCELLED", "the probe is over"));
    if (isOpen) await leave(this.#channel, this.#heard);
    else this.#channel.close();
  }

  /** How much of its part in the exchange has come. */
  get #answerLength(): number {
    return Math.max(0, Math.min(this.#heard.bytes.length - NONCE_BYTES, MACED_PUBLIC_BYTES));
  }

  /** Begins to speak, once. */
  #start(): Promise<SessionKeys> {
    const { key, forwardSecrecy } = this.#options;
    this.#shaking ??= handshakeAsClient({
      channel: this.#spoken(),
      key,
      forwardSecrecy,
      signal: this.#over,
    });
    // Whoever waits for it takes its failure; until then nobody does.
    this.#shaking.catch(() => undefined);
    return this.#shaking;
  }

  /** The channel as the handshake sees it. */
  #spoken(): Channel {
    const channel = this.#channel;
    return {
      reader: this.#heard,
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
        return { kind: "closed", how: this.#heard.ending ?? "reset", bytes: this.#answerLength };
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
