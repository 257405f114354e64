/**
 * Finds loops among tunnels on one machine: the target of one is the source of the next, and the target of the last one is
 * the source of the first. Every connection into a loop opens others, until the connection limit.
 */

import type { SocketAddress } from "./address.js";
import { leadsTo, realPath } from "./same-address.js";

/** Where a tunnel listens, and what it may connect to. */
export interface TunnelEnds {
  readonly source: SocketAddress;
  readonly targets: readonly SocketAddress[];
}

/**
 * Finds loops, each once: one for each group of tunnels that lead to each other.
 *
 * @returns The tunnels of each loop in the order of the connections, beginning with the first in `tunnels`.
 */
export function loopsOf<T extends TunnelEnds>(tunnels: readonly T[]): readonly (readonly T[])[] {
  const bySource = new Map<string, T[]>();
  for (const one of tunnels) {
    const place = placeOf(one.source);
    bySource.set(place, [...(bySource.get(place) ?? []), one]);
  }
  const next = ({ targets }: T): readonly T[] =>
    targets.flatMap((target) => (bySource.get(placeOf(target)) ?? []).filter(({ source }) => leadsTo(target, source)));
  const loops: (readonly T[])[] = [];
  const inLoops = new Set<T>();
  for (const one of tunnels) {
    if (inLoops.has(one)) continue;
    const loop = loopFrom(one, next);
    for (const other of loop ?? []) inLoops.add(other);
    if (loop !== undefined) loops.push(loop);
  }
  return loops;
}

/** The shortest way from a tunnel back to itself. */
function loopFrom<T extends object>(first: T, next: (one: T) => readonly T[]): readonly T[] | undefined {
  const before = new Map<T, T>();
  const queue = [first];
  for (let at = queue.shift(); at !== undefined; at = queue.shift()) {
    for (const one of next(at)) {
      if (one === first) {
        const loop = [at];
        for (let step = at; step !== first; ) {
          step = before.get(step) ?? first;
          loop.unshift(step);
        }
        return loop;
      }
      if (before.has(one)) continue;
      before.set(one, at);
      queue.push(one);
    }
  }
  return undefined;
}

/** Addresses of different places never lead to each other. */
function placeOf(address: SocketAddress): string {
  return address.kind === "unix" ? realPath(address.path) : String(address.port);
}
