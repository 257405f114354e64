// Channels of accepted clients.

import assert from "node:assert/strict";
import { Socket } from "node:net";
import { test } from "node:test";
import { HANDSHAKE_BYTES } from "#dist/protocol/constants.js";
import { acceptedChannel, acceptedReader } from "#dist/tunnel/accepted-channel.js";
import { cleartextMemory, packetMemory } from "#dist/tunnel/memory.js";

test("small pieces are sent at once, and keep-alive is set only if it is wanted", (t) => {
  for (const keepAlive of [true, false]) {
    const socket = new Socket();
    const noDelay = t.mock.method(socket, "setNoDelay");
    const keptAlive = t.mock.method(socket, "setKeepAlive");
    const channel = acceptedChannel({ socket, reader: undefined, peer: "somebody" }, { role: "encrypt", keepAlive });
    assert.deepEqual(
      noDelay.mock.calls.map((call) => [...call.arguments]),
      [[true]],
    );
    assert.equal(keptAlive.mock.callCount(), keepAlive ? 1 : 0);
    channel.close();
  }
});

test("cleartext and packets are read into different memory, a handshake into memory of its own", () => {
  const bufferOf = ({ onread }: ReturnType<typeof acceptedReader>) => {
    assert.ok(typeof onread.buffer === "function");
    return onread.buffer().buffer;
  };
  assert.equal(bufferOf(acceptedReader("encrypt")), cleartextMemory.readBuffer.buffer);
  const decrypting = acceptedReader("decrypt");
  const own = bufferOf(decrypting);
  assert.ok(own !== cleartextMemory.readBuffer.buffer && own !== packetMemory.readBuffer.buffer);
  decrypting.onread.callback(HANDSHAKE_BYTES, new Uint8Array(HANDSHAKE_BYTES));
  assert.equal(bufferOf(decrypting), packetMemory.readBuffer.buffer);
});
