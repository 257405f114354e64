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
import type { Channel } from "../net/channel.js";
import { HANDSHAKE_LENGTH, MACED_PUBLIC_LENGTH, NONCE_LENGTH } from "../protocol/constants.js";
import type { ForwardSecrecy, SessionKeys } from "../protocol/handshake-steps.js";
import { recognise } from "../protocol/recognise.js";
import type { SharedKey } from "../protocol/secret.js";
import { handshakeAsClient } from "../tunnel/handshake.js";
import type { AnswerOutcome, Finding, ForwardSecrecyOutcome, HandshakeOutcome } from "./findings.js";
import { Heard } from "./heard.js";
import { type ReachOptions, reach } from "./reach.js";
import { leave, outcomeOf, SERVICE_MS } from "./service.js";

/** How long the far end may say nothing before it is spoken to. */
const LISTEN_MS = 1_000;

/** How long it may take to hang up after its first words. */
const SETTLE_MS = 250;

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
    const { outcome, keys } = await talk.shakeHands();
    if (outcome.kind === "closed" && options.forwardSecrecy === "off") {
      const isTaken = await worksWithForwardSecrecy(await reached.again(), options);
      if (isTaken) {
        yield { step: "forward-secrecy", outcome: { kind: "required-there" } };
        return;
      }
    }
    if (outcome.kind === "closed" && outcome.how === "reset") {
      // Whoever has another key is just disconnected.
      yield { step: "service", outcome: { kind: "reset-early" } };
      return;
    }
    yield { step: "handshake", outcome };
    if (outcome.kind !== "done") return;
    yield { step: "forward-secrecy", outcome: talk.forwardSecrecy() };
    if (keys !== undefined) yield await talk.service(keys);
  } finally {
    await talk.leave();
  }
}

async function worksWithForwardSecrecy(channel: Channel, options: FarEndOptions): Promise<boolean> {
  const talk = new Talk(channel, { ...options, forwardSecrecy: "allow" });
  try {
    const { outcome, keys } = await talk.shakeHands();
    keys?.destroy();
    return outcome.kind === "done";
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
    const isClear = () => heard.bytes.length >= NONCE_LENGTH || recognise(heard.bytes) !== undefined;
    await heard.until(isClear, Math.min(LISTEN_MS, timeoutMs));
    if (heard.bytes.length === 0 && heard.ending === undefined) this.#start();
    await heard.until(isClear, startedAt + timeoutMs - performance.now());
    const durationMs = performance.now() - startedAt;
    if (this.#shaking === undefined) await heard.until(() => heard.bytes.length > NONCE_LENGTH, SETTLE_MS);
    const { bytes, ending } = heard;
    const recognised = recognise(bytes, { isAll: bytes.length < NONCE_LENGTH });
    if (recognised !== undefined) return { kind: "foreign", recognised };
    if (bytes.length < NONCE_LENGTH) {
      return ending === undefined
        ? { kind: "silent", bytes: bytes.length, waitedMs: timeoutMs }
        : { kind: "closed", how: ending, bytes: bytes.length, durationMs };
    }
    const nonce = bytes.subarray(0, NONCE_LENGTH);
    if (this.#nonce?.every((byte, index) => byte === nonce[index])) return { kind: "echo" };
    if (this.#shaking !== undefined) return { kind: "nonce", durationMs };
    if (bytes.length > NONCE_LENGTH) return { kind: "talkative", bytes: bytes.length };
    return ending === undefined ? { kind: "nonce", durationMs } : { kind: "hung-up", how: ending, durationMs };
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
    const y = this.#heard.bytes.subarray(NONCE_LENGTH, HANDSHAKE_LENGTH - NONCE_LENGTH);
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
    let at = HANDSHAKE_LENGTH;
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
    await heard.until(isSaid, SERVICE_MS);
    keys.destroy();
    if (failure === undefined) return { step: "service", outcome: outcomeOf(said, heard, startedAt) };
    if (!(failure instanceof SpipedError)) throw failure;
    return { step: "service", outcome: { kind: "wrong-packet", error: failure } };
  }

  async leave(): Promise<void> {
    const isOpen = this.#shaking !== undefined && this.#heard.bytes.length >= HANDSHAKE_LENGTH;
    this.#over.abort(new SpipedError("SPIPED_CANCELLED", "the probe is over"));
    if (isOpen) await leave(this.#channel, this.#heard);
    else this.#channel.close();
  }

  /** How much of its part in the exchange has come. */
  get #answerLength(): number {
    return Math.max(0, Math.min(this.#heard.bytes.length - NONCE_LENGTH, MACED_PUBLIC_LENGTH));
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
        if (channel.sendNow !== undefined) channel.sendNow(bytes);
        else channel.writable.write(bytes);
      },
      onFailure: () => undefined,
      close: () => channel.close(),
      reset: () => channel.reset(),
    };
  }

  #failure(error: unknown, startedAt: number): HandshakeOutcome {
    if (!(error instanceof SpipedError)) throw error;
    switch (error.code) {
      case "SPIPED_TRUNCATED":
      case "SPIPED_RESET":
        return { kind: "closed", how: this.#heard.ending ?? "reset", bytes: this.#answerLength };
      case "SPIPED_FORWARD_SECRECY_REQUIRED":
        // The MAC is right: the far end has the key.
        this.#lacksSecrecy = true;
        return { kind: "done", durationMs: performance.now() - startedAt };
      case "SPIPED_WRONG_MAC":
      case "SPIPED_DH_OUT_OF_RANGE":
        return { kind: "wrong-answer", error };
      default:
        throw error;
    }
  }
}
