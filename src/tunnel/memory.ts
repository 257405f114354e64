/**
 * The memory that all connections of a process share: where reads go, and where writes come from. Cleartext and
 * packets never use the same.
 */

import { createReadBuffer, type ReadBuffer } from "../net/socket-reader.js";
import { ChunkPool } from "./chunk-pool.js";

/** Memory for one kind of data. */
interface DataMemory {
  readonly readBuffer: ReadBuffer;
  readonly chunks: ChunkPool;
}

/** Memory for cleartext. */
export const cleartextMemory: DataMemory = { readBuffer: createReadBuffer(), chunks: new ChunkPool() };

/** Memory for packets. */
export const packetMemory: DataMemory = { readBuffer: createReadBuffer(), chunks: new ChunkPool() };
