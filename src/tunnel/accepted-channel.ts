/** The channel of an accepted client, through a Node socket or an addon socket. */

import type { Accepted, AcceptedByAddon } from "../net/accepted.js";
import { AddonChannel } from "../net/addon-channel.js";
import { type Carrier, type Channel, SocketChannel } from "../net/channel.js";
import { keepAlive } from "../net/native-socket.js";
import { SocketReader } from "../net/socket-reader.js";
import { StreamReader } from "../net/stream-reader.js";
import { HANDSHAKE_BYTES } from "../protocol/constants.js";
import { cleartextMemory, packetMemory } from "./memory.js";

type Role = "encrypt" | "decrypt";

/** The reader of a socket that is about to be accepted. */
export function acceptedReader(role: Role): SocketReader {
  return new SocketReader(memoryOf(role).readBuffer, exactLengthOf(role));
}

/** The channel of a client that was accepted. The caller owns it. */
export function acceptedChannel(
  client: Accepted | AcceptedByAddon,
  { role, keepAlive: keepsAlive }: { readonly role: Role; readonly keepAlive: boolean },
): Channel & Carrier {
  const { peer } = client;
  const exactLength = exactLengthOf(role);
  if ("sockets" in client) {
    const { sockets, id } = client;
    const resetOnDeath = role === "encrypt";
    return new AddonChannel({ sockets, id, peer, exactLength, readBuffer: memoryOf(role).readBuffer, resetOnDeath });
  }
  const { socket, reader } = client;
  socket.setNoDelay(true);
  if (keepsAlive) keepAlive(socket);
  return new SocketChannel(socket, reader ?? new StreamReader(socket, exactLength), peer);
}

/** Clients of `spiped -e` send cleartext, without a handshake. */
function exactLengthOf(role: Role): number {
  return role === "encrypt" ? 0 : HANDSHAKE_BYTES;
}

function memoryOf(role: Role): typeof cleartextMemory {
  return role === "encrypt" ? cleartextMemory : packetMemory;
}
