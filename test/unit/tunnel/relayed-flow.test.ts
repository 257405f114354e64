// If the system gives no threads to the relay: one warning, and connections are served without it.

import assert from "node:assert/strict";
import { test } from "node:test";
import { addon } from "#dist/native/native.js";
import type { FlowOptions } from "#dist/tunnel/flow.js";
import { isRelayAvailable, relayedFlow } from "#dist/tunnel/relayed-flow.js";
import { limits } from "../../support/cleanup.js";
import { established } from "../support/established.js";

test("without threads for the relay there is one warning, and connections are still served", limits, async (t) => {
  const warnings = t.mock.method(process, "emitWarning", () => undefined);
  t.mock.method(addon, "Relay", function noThreads() {
    throw new Error("Resource temporarily unavailable");
  });
  for (const role of ["encrypt", "decrypt"] as const) {
    // Carries data both ways.
    const { connection } = await established(t, role);
    assert.deepEqual([connection.bytesForward, connection.bytesReverse], [5, 5]);
  }
  assert.equal(isRelayAvailable(), false);
  const untouched = { peer: "somebody", copyDescriptor: () => assert.fail("a descriptor was copied") };
  const options = { encrypts: true, source: untouched, target: untouched, endWithTarget: false };
  assert.equal(relayedFlow(options as unknown as FlowOptions), undefined);
  if (process.platform === "win32") return;
  assert.deepEqual(
    warnings.mock.calls.map((call) => [...call.arguments]),
    [
      [
        "no threads for the relay: Resource temporarily unavailable; connections are served without them until the next start",
        "SpipedWarning",
      ],
    ],
  );
});
