/** How bytes are moved, by the relay and by pumps: the operator's settings. */

import { availableParallelism } from "node:os";
import { hasDescriptors } from "../platform.js";

/** More threads than this are of no use on most machines. */
export const MAX_DEFAULT_THREADS = 4;

/** Set once, before the first connection. */
export interface FlowSettings {
  /** False to use pumps only. */
  readonly relay: boolean;
  /** Number of relay threads. */
  readonly threads: number;
  /** Whether busy one-way streams of small messages wait up to 1 ms before each read. */
  readonly coalescing: boolean;
}

let choices: FlowSettings = {
  relay: hasDescriptors(),
  threads: Math.min(MAX_DEFAULT_THREADS, availableParallelism()),
  coalescing: true,
};

/** Changes settings. Call it before the first connection. */
export function setFlowSettings(chosen: Partial<FlowSettings>): void {
  choices = { ...choices, ...chosen };
}

export function flowSettings(): FlowSettings {
  return choices;
}
