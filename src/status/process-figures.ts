/**
 * What the process takes of the machine.
 */

import { readdirSync, statSync } from "node:fs";
import { descriptorLimit } from "../net/descriptors.js";
import { hasDescriptors, hasProc } from "../platform.js";
import type { ProcessFigures } from "./snapshot.js";

/** As it is now. */
export function processFigures(): ProcessFigures {
  const { user, system } = process.cpuUsage();
  return {
    cpuSeconds: (user + system) / 1e6,
    residentBytes: process.memoryUsage.rss(),
    openDescriptors: openDescriptors(),
    mostDescriptors: hasDescriptors() ? descriptorLimit() : undefined,
  };
}

function openDescriptors(): number | undefined {
  if (!hasProc()) return undefined;
  try {
    // Since Linux 6.2 the folder's size is the count: ten thousand need not be listed.
    const { size } = statSync("/proc/self/fd");
    // The list holds the descriptor that it is read with.
    return size > 0 ? size : readdirSync("/proc/self/fd").length - 1;
  } catch {
    return undefined;
  }
}
