/**
 * Turns the findings of a probe into texts for people: a verdict, what was found, and what to do.
 */

import { type Address, formatAddress } from "../net/address.js";
import { recognitionHint } from "../observe/recognition-hints.js";
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

/** The verdict on a step. A warning is no failure. */
export type Verdict = "ok" | "warning" | "failed";

/** The text for one step. */
export interface Judged {
  readonly verdict: Verdict;
  /** What was checked. */
  readonly step: string;
  readonly text: string;
  /** What to do. */
  readonly hint?: string | undefined;
}

/** What was probed: a `spiped -d`, or the service that is its target. */
export interface Probed {
  readonly what: "far end" | "service";
  readonly target: Address;
}

type Text = Omit<Judged, "step">;

/** Turns a finding into text. */
export function judge(finding: Finding, probed: Probed): Judged {
  switch (finding.step) {
    case "name":
      return { step: "name", ...nameText(finding.address, finding.outcome) };
    case "bind":
      return { step: "local address", ...nameText(finding.address, finding.outcome) };
    case "connection":
      return { step: "connection", ...connectionText(finding, probed) };
    case "answer":
      return { step: "answer", ...answerText(finding.outcome) };
    case "handshake":
      return { step: "handshake", ...handshakeText(finding.outcome, probed) };
    case "forward-secrecy":
      return { step: "forward secrecy", ...forwardSecrecyText(finding.outcome) };
    case "service":
      return { step: "service", ...serviceText(finding.outcome, probed) };
  }
}

function nameText(address: Address, outcome: NameOutcome): Text {
  const name = formatAddress(address);
  switch (outcome.kind) {
    case "literal":
      return ok(`${name} needs no lookup`);
    case "found":
      return ok(`${name} resolves to ${list(outcome.addresses.map(formatAddress))} (${ms(outcome.durationMs)})`);
    case "failed":
      return failed(outcome.error.message, outcome.error.hint);
  }
}

function connectionText({ attempts, untried }: ConnectionFinding, probed: Probed): Text {
  const tried = attempts.map(({ address, durationMs, outcome }) => {
    const what = outcome.kind === "failed" ? outcome.reason : OUTCOMES[outcome.kind];
    return `${formatAddress(address)}: ${what} (${ms(durationMs)})`;
  });
  const rest = untried.length === 0 ? [] : [`not tried: ${list(untried.map(formatAddress))}`];
  const text = [...tried, ...rest].join("; ");
  const failures = attempts.filter(({ outcome }) => outcome.kind !== "connected");
  const hint = failures[0] === undefined ? undefined : connectionHint(failures[0], probed);
  if (failures.length === attempts.length) return failed(text, hint);
  return failures.length === 0 ? ok(text) : { verdict: "warning", text, hint };
}

const OUTCOMES = { connected: "connected", "no-answer": "no answer" } as const;

function connectionHint({ address, outcome }: ConnectionAttempt, { what }: Probed): string | undefined {
  const listener = what === "far end" ? "the spiped -d there" : "the service";
  const source = what === "far end" ? "its -s" : address.kind === "unix" ? "its path" : "its port";
  if (outcome.kind === "no-answer") {
    return address.kind === "unix"
      ? `${listener} does not accept connections; check whether it hangs`
      : `a firewall drops the packets, the host is down, or the program there is stuck; open the port, restart the program, and check that -t matches ${source}`;
  }
  if (outcome.kind === "connected") return undefined;
  switch (outcome.code) {
    case "ECONNREFUSED":
    case "ENOENT":
      return `nothing listens there; start ${listener}, and check that -t matches ${source}`;
    case "EHOSTUNREACH":
    case "ENETUNREACH":
      return "check the address in -t, and this machine's network";
    case "EACCES":
    case "EPERM":
      return address.kind === "unix"
        ? "no permission to use the socket; grant this user or its group write access (--source-mode)"
        : "blocked on this machine; check its firewall";
    case "ECONNRESET":
      return what === "far end" ? HANGS_UP : "see the service's own log";
    case "EADDRNOTAVAIL":
      return "-b must be an address of this machine";
    default:
      return undefined;
  }
}

const HANGS_UP =
  "does the far machine run -e where it must run -d? Otherwise, is the service behind the far end up? The original spiped and a spiped -e hang up like this when they cannot reach " +
  "their -t; so does an access list that excludes this address. See the log there";

const NOT_SPIPED = recognitionHint({ kind: "text", role: "encrypt" });

function answerText(outcome: AnswerOutcome): Text {
  switch (outcome.kind) {
    case "nonce":
      return ok(`received 32 bytes, as from spiped (${ms(outcome.durationMs)})`);
    case "foreign":
      return failed(
        `it speaks ${protocolName(outcome.recognized)}, not spiped`,
        recognitionHint({ kind: outcome.recognized.kind, role: "encrypt" }),
      );
    case "echo":
      return failed("it echoes what it receives, so it is not spiped", NOT_SPIPED);
    case "talkative":
      return failed(`it sent at least ${outcome.bytes} bytes unasked; spiped sends 32 and waits`, NOT_SPIPED);
    case "silent":
      return outcome.bytes > 0
        ? failed(`only ${outcome.bytes} of the 32 bytes that spiped sends, within ${ms(outcome.waitedMs)}`, NOT_SPIPED)
        : failed(
            `nothing received within ${ms(outcome.waitedMs)}`,
            recognitionHint({ kind: "silent", role: "encrypt" }),
          );
    case "closed":
      if (outcome.afterSending) {
        const text = `it sent nothing, and ${HUNG_UP[outcome.how]} when it was sent data (${ms(outcome.durationMs)})`;
        return failed(text, `TLS servers do this. ${NOT_SPIPED}`);
      }
      return failed(`${HUNG_UP[outcome.how]} after ${outcome.bytes} of 32 bytes (${ms(outcome.durationMs)})`, HANGS_UP);
  }
}

const HUNG_UP: Readonly<Record<Ending, string>> = {
  ended: "it closed the connection",
  reset: "it reset the connection",
};

function handshakeText(outcome: HandshakeOutcome, { target }: Probed): Text {
  switch (outcome.kind) {
    case "done":
      return ok(`both ends have the same key (${ms(outcome.durationMs)})`);
    case "closed":
      if (outcome.bytes > 0) {
        return failed(
          `${HUNG_UP[outcome.how]} after ${outcome.bytes} of 288 bytes`,
          "if it is spiped, it accepts this end's key, and either it was stopped or something on the path cuts " +
            "connections. See the log there",
        );
      }
      return failed(
        `${HUNG_UP[outcome.how]} as soon as it could check this end's key: the keys differ`,
        `compare the keys: run spiped key-id KEYFILE on both machines${
          target.kind === "unix" ? "; over a UNIX socket, the service behind it may also be down" : ""
        }. See the log there`,
      );
    case "silent":
      return failed(
        `received ${outcome.bytes} of 288 bytes of the reply within ${ms(outcome.waitedMs)}`,
        "a spiped -d with a different key hangs up; one with this key stays silent while it is at its connection limit: " +
          "if its log says so, raise -n there. Or it is not spiped",
      );
    case "same-role":
      return failed(outcome.error.message, recognitionHint({ kind: "same-role", role: "encrypt" }));
    case "wrong-answer":
      return failed(outcome.error.message, "something on the path changes the data, or it is not spiped");
  }
}

function forwardSecrecyText(outcome: ForwardSecrecyOutcome): Text {
  switch (outcome.kind) {
    case "both":
      return ok("on at both ends");
    case "disabled-here":
      return { verdict: "warning", text: "turned off at this end (-f)", hint: "remove -f unless CPU time is scarce" };
    case "disabled-by-both":
      return {
        verdict: "warning",
        text: "turned off at both ends (-f)",
        hint: "remove -f unless CPU time is scarce",
      };
    case "disabled-there":
      return outcome.isRequired
        ? failed("turned off at the far end (-f), and this end requires it (-g)", "remove -f there")
        : {
            verdict: "warning",
            text: "turned off at the far end (-f)",
            hint: "remove -f there; -g here would require it",
          };
    case "required-there":
      return failed("required by the far end (-g), and turned off at this end (-f)", "remove -f here");
  }
}

const UNASKED: Readonly<Record<Ending, string>> = { ended: "closed the connection", reset: "reset the connection" };

/** A reset can overtake the exchange of keys, so this does not prove that the far end has the key. */
const RESETS = "the far end reset the connection once it could check this end's key";

function serviceText(outcome: ServiceOutcome, { what }: Probed): Text {
  const service = what === "far end" ? "the service behind the far end" : "the service";
  const check = what === "far end" ? `is ${service} up? Start it, and check -t there` : `see ${service}'s own log`;
  switch (outcome.kind) {
    case "says":
      if (outcome.recognized?.kind === "http" && / 400\b/.test(outcome.recognized.excerpt)) {
        return {
          verdict: "warning",
          text: `it speaks ${protocolName(outcome.recognized)}: it did not understand what it received`,
          hint: `${service} does not seem to accept a PROXY header: enable it there, or remove --proxy-protocol`,
        };
      }
      return outcome.recognized === undefined
        ? ok(`it sent ${outcome.bytes} bytes of binary data`)
        : ok(`it speaks ${protocolName(outcome.recognized)}`);
    case "says-nonce":
      return {
        verdict: "warning",
        text: "it sent 32 bytes of binary data, as a spiped -d does",
        hint: `${what === "far end" ? "the far end's -t" : "-t"} must be the service, not another spiped -d; should this end run -e?`,
      };
    case "silent":
      return ok(
        `no data within ${ms(outcome.waitedMs)}: normal for a service that waits for a request (HTTP, Redis); ` +
          `one that greets first (ssh, mail) may ${what === "far end" ? "be out of reach of the far end" : "hang"}`,
      );
    case "closed":
      return what === "far end" && outcome.how === "reset"
        ? failed(RESETS, check)
        : failed(`${HUNG_UP[outcome.how]} (${ms(outcome.durationMs)})`, check);
    case "reset-early":
      return failed(RESETS, `a spiped with a different key would close the connection instead; ${check}`);
    case "hung-up-unasked":
      return failed(
        `the far end ${UNASKED[outcome.how]} before this end sent anything`,
        `${check}. The original spiped hangs up like this when it cannot reach its -t`,
      );
    case "wrong-packet":
      return failed(outcome.error.message, "something on the path changes the data");
  }
}

function ok(text: string): Text {
  return { verdict: "ok", text };
}

function failed(text: string, hint: string | undefined): Text {
  return { verdict: "failed", text, hint };
}

function list(texts: readonly string[]): string {
  return texts.join(", ");
}

/** A duration in milliseconds, or in seconds from 1 s. A timer that runs a little early or late makes no difference. */
function ms(durationMs: number): string {
  return durationMs < 995 ? `${Math.round(durationMs)} ms` : `${Number((durationMs / 1_000).toFixed(1))} s`;
}
