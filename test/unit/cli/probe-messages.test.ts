// How the findings of a probe are worded.

import assert from "node:assert/strict";
import { test } from "node:test";
import { judge } from "#dist/cli/probe-messages.js";
import type { Address, SocketAddress } from "#dist/net/address.js";
import type { ConnectionAttempt } from "#dist/probe/findings.js";

const path: SocketAddress & Address = { kind: "unix", path: "/nosuch" };

function hintFor(address: SocketAddress, outcome: ConnectionAttempt["outcome"], what: "service" | "far end"): string {
  const attempts: readonly [ConnectionAttempt] = [{ address, durationMs: 1, outcome }];
  return judge({ step: "connection", attempts, untried: [] }, { what, target: path }).hint ?? "";
}

test("the hint for a UNIX socket speaks of its path, and not of a port", () => {
  const refused = { kind: "failed", code: "ENOENT", reason: "no such file or directory" } as const;
  assert.equal(
    hintFor(path, refused, "service"),
    "nothing listens there; start the service, and check that -t matches its path",
  );
});

test("a program that is stuck is one of the reasons for no answer", () => {
  const local = { kind: "tcp", family: 4, address: "127.0.0.1", port: 80 } as const;
  assert.match(hintFor(local, { kind: "no-answer" }, "service"), /or the program there is stuck;/);
});

test("a second is written the same whether its timer ran a little early or late", () => {
  for (const waitedMs of [996, 999.4, 999.6, 1_000, 1_003]) {
    const outcome = { kind: "silent", waitedMs } as const;
    assert.match(judge({ step: "service", outcome }, { what: "service", target: path }).text, /within 1 s:/);
  }
  const outcome = { kind: "silent", waitedMs: 200 } as const;
  assert.match(judge({ step: "service", outcome }, { what: "service", target: path }).text, /within 200 ms:/);
});
