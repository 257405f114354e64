/**
 * What a probe has found, in words for people: a verdict, what was seen, and what to do.
 */

import { type Address, formatAddress } from "../net/address.js";
import { recognitionHint } from "../observe/recognition-words.js";
import type {
  AnswerOutcome,
  ConnectionAttempt,
  ConnectionFinding,
  Ending,
  Finding,
  ForwardSecrecyOutcome,
  HandshakeOutcome,
  NameOutcome,
  ServiceOutcome,
} from "../probe/findings.js";
import { protocolName } from "../protocol/detect-protocol.js";

/** What is thought of a step. A warning is no failure. */
export type Verdict = "ok" | "warning" | "failed";

/** One step for people. */
export interface Judged {
  readonly verdict: Verdict;
  /** What was looked at. */
  readonly step: string;
  readonly text: string;
  /** What to do. */
  readonly hint?: string | undefined;
}

/** What a probe looked at: a `spiped -d`, or the service that one has as its target. */
export interface Probed {
  readonly what: "far end" | "service";
  readonly target: Address;
}

type Words = Omit<Judged, "step">;

/** Judges what came of a step. */
export function judge(finding: Finding, probed: Probed): Judged {
  switch (finding.step) {
    case "name":
      return { step: "name", ...nameWords(finding.address, finding.outcome) };
    case "bind":
      return { step: "local address", ...nameWords(finding.address, finding.outcome) };
    case "connection":
      return { step: "connection", ...connectionWords(finding, probed) };
    case "answer":
      return { step: "answer", ...answerWords(finding.outcome) };
    case "handshake":
      return { step: "handshake", ...handshakeWords(finding.outcome, probed) };
    case "forward-secrecy":
      return { step: "forward secrecy", ...forwardSecrecyWords(finding.outcome) };
    case "service":
      return { step: "service", ...serviceWords(finding.outcome, probed) };
  }
}

function nameWords(address: Address, outcome: NameOutcome): Words {
  const name = formatAddress(address);
  switch (outcome.kind) {
    case "literal":
      return ok(`${name} needs no look-up`);
    case "found":
      return ok(`${name} is ${list(outcome.addresses.map(formatAddress))} (${ms(outcome.durationMs)})`);
    case "failed":
      return failed(outcome.error.message, outcome.error.hint);
  }
}

function connectionWords({ attempts, untried }: ConnectionFinding, probed: Probed): Words {
  const tried = attempts.map(({ address, durationMs, outcome }) => {
    const what = outcome.kind === "failed" ? outcome.reason : WORDS[outcome.kind];
    return `${formatAddress(address)}: ${what} (${ms(durationMs)})`;
  });
  const rest = untried.length === 0 ? [] : [`not tried: ${list(untried.map(formatAddress))}`];
  const text = [...tried, ...rest].join("; ");
  const failures = attempts.filter(({ outcome }) => outcome.kind !== "connected");
  const hint = failures[0] === undefined ? undefined : connectionHint(failures[0], probed);
  if (failures.length === attempts.length) return failed(text, hint);
  return failures.length === 0 ? ok(text) : { verdict: "warning", text, hint };
}

const WORDS = { connected: "connected", "no-answer": "no answer" } as const;

function connectionHint({ address, outcome }: ConnectionAttempt, { what }: Probed): string | undefined {
  const listener = what === "far end" ? "the spiped -d there" : "the service";
  const source = what === "far end" ? "its -s" : "its port";
  if (outcome.kind === "no-answer") {
    return address.kind === "unix"
      ? `${listener} takes no connections; look at it`
      : `a firewall on the way drops it, or the machine is down; open the port there, and compare -t with ${source}`;
  }
  if (outcome.kind === "connected") return undefined;
  switch (outcome.code) {
    case "ECONNREFUSED":
    case "ENOENT":
      return `nobody listens there; start ${listener}, and compare -t with ${source}`;
    case "EHOSTUNREACH":
    case "ENETUNREACH":
      return "compare -t with the machine's address, and look at this machine's network";
    case "EACCES":
    case "EPERM":
      return address.kind === "unix"
        ? "this user may not use the socket; give the user, or its group, the right to write to it (--source-mode)"
        : "this machine forbids it; look at its firewall";
    case "ECONNRESET":
      return what === "far end" ? HANGS_UP : "look at the service's own log";
    case "EADDRNOTAVAIL":
      return "-b must be an address of this machine";
    default:
      return undefined;
  }
}

const HANGS_UP =
  "is the service behind the far end up? spiped in C, and a spiped -e, hang up in this way where their -t cannot be " +
  "reached; so does what lets in some addresses only. Read the log there";

const NOT_SPIPED = recognitionHint({ kind: "text", role: "encrypt" });

function answerWords(outcome: AnswerOutcome): Words {
  switch (outcome.kind) {
    case "nonce":
      return ok(`32 bytes, as spiped sends them (${ms(outcome.durationMs)})`);
    case "foreign":
      return failed(
        `it speaks ${protocolName(outcome.recognised)}, not spiped`,
        recognitionHint({ kind: outcome.recognised.kind, role: "encrypt" }),
      );
    case "echo":
      return failed("it sends back what it is sent, and is not spiped", NOT_SPIPED);
    case "talkative":
      return failed(`it says ${outcome.bytes} bytes or more at once, where spiped says 32 and waits`, NOT_SPIPED);
    case "silent":
      return outcome.bytes > 0
        ? failed(
            `${outcome.bytes} of the 32 bytes that spiped sends at once, within ${ms(outcome.waitedMs)}`,
            NOT_SPIPED,
          )
        : failed(`nothing within ${ms(outcome.waitedMs)}`, recognitionHint({ kind: "silent", role: "encrypt" }));
    case "closed":
      if (outcome.whenSpokenTo) {
        const text = `it said nothing, and ${HUNG_UP[outcome.how]} when it was spoken to (${ms(outcome.durationMs)})`;
        return failed(text, `TLS servers do that. ${NOT_SPIPED}`);
      }
      return failed(`${HUNG_UP[outcome.how]} after ${outcome.bytes} of 32 bytes (${ms(outcome.durationMs)})`, HANGS_UP);
  }
}

const HUNG_UP: Readonly<Record<Ending, string>> = { ended: "it hung up", reset: "it reset the connection" };

function handshakeWords(outcome: HandshakeOutcome, { target }: Probed): Words {
  switch (outcome.kind) {
    case "done":
      return ok(`both ends have the same key (${ms(outcome.durationMs)})`);
    case "closed":
      if (outcome.bytes > 0) {
        return failed(
          `${HUNG_UP[outcome.how]} after ${outcome.bytes} of 288 bytes`,
          "if it is spiped, it takes this end's key, and something on the way cuts connections, or it was ended. Read " +
            "the log there",
        );
      }
      return failed(
        `${HUNG_UP[outcome.how]} as soon as it could tell which key this end has: it has another one`,
        `compare the keys: spiped key-id KEYFILE, here and there${
          target.kind === "unix" ? "; over a UNIX socket it may also be that the service behind it is down" : ""
        }. The log there says more`,
      );
    case "silent":
      return failed(
        `${outcome.bytes} of the 288 bytes of an answer within ${ms(outcome.waitedMs)}`,
        "a spiped -d with another key hangs up; with this one it is silent while it has as many connections as its -n " +
          "allows: its log says so, and then raise -n there. Or it is not spiped",
      );
    case "same-role":
      return failed(outcome.error.message, recognitionHint({ kind: "same-role", role: "encrypt" }));
    case "wrong-answer":
      return failed(outcome.error.message, "something on the way changes what is sent, or it is not spiped");
  }
}

function forwardSecrecyWords(outcome: ForwardSecrecyOutcome): Words {
  switch (outcome.kind) {
    case "both":
      return ok("neither end gives it up");
    case "given-up-here":
      return { verdict: "warning", text: "given up by this end (-f)", hint: "leave -f out, unless CPU time is scarce" };
    case "given-up-by-both":
      return {
        verdict: "warning",
        text: "given up by both ends (-f)",
        hint: "leave -f out, unless CPU time is scarce",
      };
    case "given-up-there":
      return outcome.isRequired
        ? failed("the far end gives it up (-f), and this end requires it (-g)", "take -f away there")
        : { verdict: "warning", text: "given up by the far end (-f)", hint: "take -f away there; -g here demands it" };
    case "required-there":
      return failed("the far end requires it (-g), and this end gives it up (-f)", "take -f away here");
  }
}

const UNASKED: Readonly<Record<Ending, string>> = { ended: "hangs up", reset: "resets the connection" };

/** Before the exchange of keys, which a reset may overtake, this is no proof of the key: others can do it, too. */
const RESETS = "the far end resets the connection once it can tell which key this end has";

function serviceWords(outcome: ServiceOutcome, { what }: Probed): Words {
  const service = what === "far end" ? "the service behind the far end" : "the service";
  const check = what === "far end" ? `is ${service} up? Start it, and check -t there` : `look at ${service}'s own log`;
  switch (outcome.kind) {
    case "says":
      if (outcome.recognised?.kind === "http" && / 400\b/.test(outcome.recognised.excerpt)) {
        return {
          verdict: "warning",
          text: `it speaks ${protocolName(outcome.recognised)}, and so has not understood what came`,
          hint: `${service} takes no PROXY header, it seems: have it expect one, or leave --proxy-protocol out`,
        };
      }
      return outcome.recognised === undefined
        ? ok(`it says ${outcome.bytes} bytes that are no text`)
        : ok(`it speaks ${protocolName(outcome.recognised)}`);
    case "says-nonce":
      return {
        verdict: "warning",
        text: "it says 32 bytes that are no text, as a spiped -d does",
        hint: `${what === "far end" ? "the far end's -t" : "-t"} must be the service, not another spiped -d; is this end to be -e?`,
      };
    case "silent":
      return ok(
        what === "far end"
          ? `open after ${ms(outcome.waitedMs)}, and says nothing: it waits to be asked, or the far end still tries to reach it`
          : `open after ${ms(outcome.waitedMs)}, and says nothing: it waits to be asked`,
      );
    case "closed":
      return what === "far end" && outcome.how === "reset"
        ? failed(RESETS, check)
        : failed(`${HUNG_UP[outcome.how]} (${ms(outcome.durationMs)})`, check);
    case "reset-early":
      return failed(RESETS, `another key it would answer by hanging up, if it is spiped; ${check}`);
    case "hung-up-unasked":
      return failed(
        `the far end ${UNASKED[outcome.how]} before it was told anything`,
        `${check}. spiped in C hangs up in this way where its -t cannot be reached`,
      );
    case "wrong-packet":
      return failed(outcome.error.message, "something on the way changes what is sent");
  }
}

function ok(text: string): Words {
  return { verdict: "ok", text };
}

function failed(text: string, hint: string | undefined): Words {
  return { verdict: "failed", text, hint };
}

function list(texts: readonly string[]): string {
  return texts.join(", ");
}

/** Milliseconds, and seconds where there are many of them. */
function ms(durationMs: number): string {
  return durationMs < 1_000 ? `${Math.round(durationMs)} ms` : `${Number((durationMs / 1_000).toFixed(1))} s`;
}
