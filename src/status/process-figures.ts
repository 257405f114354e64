/**
 * Resource usage of the process.
 */

import { readdirSync, statSync } from "node:fs";
import { descriptorLimit } from "../net/descriptors.js";
import { hasDescriptors, hasProc } from "../platform.js";
import type { ProcessFigures } from "./snapshot.js";

/** The current usage. */
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
    // Since Linux 6.2 the size of the folder is the number of descriptors, which saves listing them.
    const { size } = statSync("/proc/self/fd");
    // The list includes the descriptor used to read it.
    return size > 0 ? size : readdirSync("/proc/self/fd").length - 1;
  } catch {
    return undefined;
  }
}
