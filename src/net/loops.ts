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
 * Finds loops by a depth-first search, which visits each tunnel once: there may be thousands of them, and a reload must not
 * stop the process. Of loops that share tunnels, it finds at least as many as contain all these tunnels.
 *
 * @returns The tunnels of each loop in the order of the connections, beginning with the first in `tunnels`.
 */
export function loopsOf<T extends TunnelEnds>(tunnels: readonly T[]): readonly (readonly T[])[] {
  const nextOf = edgesOf(tunnels);
  const order = new Map(tunnels.map((one, index) => [one, index]));
  const loops: (readonly T[])[] = [];
  const [visited, inLoops, onPath] = [new Set<T>(), new Set<T>(), new Set<T>()];
  const path: { readonly tunnel: T; readonly next: Iterator<T> }[] = [];
  const enter = (tunnel: T) => {
    visited.add(tunnel);
    onPath.add(tunnel);
    path.push({ tunnel, next: nextOf(tunnel).values() });
  };
  for (const root of tunnels) {
    if (!visited.has(root)) enter(root);
    for (let end = path.at(-1); end !== undefined; end = path.at(-1)) {
      const { value: one, done } = end.next.next();
      if (done) {
        onPath.delete(end.tunnel);
        path.pop();
      } else if (!visited.has(one)) {
        enter(one);
      } else if (onPath.has(one)) {
        const loop = path.slice(path.findIndex(({ tunnel }) => tunnel === one)).map(({ tunnel }) => tunnel);
        if (loop.every((other) => inLoops.has(other))) continue;
        for (const other of loop) inLoops.add(other);
        loops.push(fromFirst(loop, order));
      }
    }
  }
  return loops;
}

/** @returns The tunnels that each tunnel may connect to. */
function edgesOf<T extends TunnelEnds>(tunnels: readonly T[]): (from: T) => readonly T[] {
  const bySource = new Map<string, T[]>();
  for (const one of tunnels) {
    const place = placeOf(one.source);
    const there = bySource.get(place);
    if (there === undefined) bySource.set(place, [one]);
    else there.push(one);
  }
  return ({ targets }) =>
    targets.flatMap((target) => {
      const there = bySource.get(placeOf(target)) ?? [];
      return target.kind === "unix" ? there : there.filter(({ source }) => leadsTo(target, source));
    });
}

/** Addresses of different places never lead to each other, and UNIX sockets of one place always do. */
function placeOf(address: SocketAddress): string {
  return address.kind === "unix" ? realPath(address.path) : String(address.port);
}

/** The same loop, beginning with the first tunnel in an order. */
function fromFirst<T>(loop: readonly T[], order: ReadonlyMap<T, number>): readonly T[] {
  const places = loop.map((one) => order.get(one) ?? 0);
  const first = places.indexOf(Math.min(...places));
  return [...loop.slice(first), ...loop.slice(0, first)];
}
