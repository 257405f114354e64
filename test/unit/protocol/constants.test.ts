// The sizes on the wire against those that the tests' own implementation of the protocol has.

import assert from "node:assert/strict";
import { test } from "node:test";
import * as constants from "#dist/protocol/constants.js";
import * as reference from "../../support/reference-protocol.js";

test("the sizes on the wire are the protocol's", () => {
  assert.deepEqual(
    { ...constants },
    {
      NONCE_BYTES: reference.nonceBytes,
      MACED_PUBLIC_BYTES: reference.macedPublicValueBytes,
      HANDSHAKE_BYTES: reference.handshakeBytes,
      PACKET_DATA_BYTES: reference.packetDataBytes,
      PACKET_BYTES: reference.packetBytes,
    },
  );
});
