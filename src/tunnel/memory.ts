/**
 * State shared by all connections of a process: read buffers, chunk pools, and read scheduling. Cleartext and packets
 * never use the same memory.
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

/**
 * Limit for outgoing data buffered for slow receivers, all connections together. The relay has the same limit of its
 * own.
 */
export const MAX_BUFFERED_BYTES = 32 * 1_024 * 1_024;

const budget = new ChunkBudget(MAX_BUFFERED_BYTES);

/** Fair scheduling of reads, for all connections of a process. */
export const scheduler = new FairScheduler();

/** Coalescing waits, for all connections of a process. */
export const coalescingTimer = new CoalescingTimer();

export const cleartextMemory: DataMemory = { readBuffer: createReadBuffer(), chunks: new ChunkPool(budget) };

export const packetMemory: DataMemory = { readBuffer: createReadBuffer(), chunks: new ChunkPool(budget) };
