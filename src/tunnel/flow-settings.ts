/**
 * What an operator may choose of how bytes are moved, by the relay and by pumps.
 */

import { availableParallelism } from "node:os";
import { hasDescriptors } from "../platform.js";

/** More threads than this have nothing to do on most machines. */
export const MAX_DEFAULT_THREADS = 4;

/** How bytes are moved; set once, before the first connection. */
export interface FlowSettings {
  /** False to have everything moved by pumps. */
  readonly relay: boolean;
  /** Threads that move packets. */
  readonly threads: number;
  /** Whether busy one-way streams of small messages wait up to 1 ms before they are read. */
  readonly coalescing: boolean;
}

let choices: FlowSettings = {
  relay: hasDescriptors(),
  threads: Math.min(MAX_DEFAULT_THREADS, availableParallelism()),
  coalescing: true,
};

/** Chooses; before the first connection. */
export function setFlowSettings(chosen: Partial<FlowSettings>): void {
  choices = { ...choices, ...chosen };
}

/** What was chosen. */
export function flowSettings(): FlowSettings {
  return choices;
}
