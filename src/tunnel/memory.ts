/**
 * What all connections of a process share: the memory where reads go, and where writes come from, and the moments when
 * they read. Cleartext and packets never use the same memory.
 */

import { createReadBuffer, type ReadBuffer } from "../net/socket-reader.js";
import { ChunkBudget, ChunkPool } from "./chunk-pool.js";
import { CoalescingTimer } from "./coalescing.js";
import { FairScheduler } from "./fairness.js";

/** Memory for one kind of data. */
interface DataMemory {
  readonly readBuffer: ReadBuffer;
  readonly chunks: ChunkPool;
}

/** What connections whose receivers are full may hold in memory, all together. The relay has as much of its own. */
export const MAX_BUFFERED_BYTES = 32 * 1_024 * 1_024;

const budget = new ChunkBudget(MAX_BUFFERED_BYTES);

/** The turns of all connections of a process. */
export const turns = new FairScheduler();

/** The waits of all connections of a process. */
export const waits = new CoalescingTimer();

/** Memory for cleartext. */
export const cleartextMemory: DataMemory = { readBuffer: createReadBuffer(), chunks: new ChunkPool(budget) };

/** Memory for packets. */
export const packetMemory: DataMemory = { readBuffer: createReadBuffer(), chunks: new ChunkPool(budget) };
