// The sizes on the wire against those that the tests' own implementation of the protocol has.

import assert from "node:assert/strict";
import { test } from "node:test";
import * as constants from "#dist/protocol/constants.js";
import * as reference from "../../support/reference-protocol.js";

test("the sizes on the wire are the protocol's", () => {
  assert.deepEqual(
    { ...constants },
    {
      NONCE_LENGTH: reference.nonceBytes,
      MACED_PUBLIC_LENGTH: reference.macedPublicValueBytes,
      HANDSHAKE_LENGTH: reference.handshakeBytes,
      PACKET_DATA_LENGTH: reference.packetDataBytes,
      PACKET_LENGTH: reference.packetBytes,
    },
  );
});
