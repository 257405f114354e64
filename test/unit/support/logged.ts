// A tunnel's events, connected to a log.

import type { Clock } from "#dist/clock.js";
import type { Log } from "#dist/observe/log.js";
import { logTunnel } from "#dist/observe/tunnel-log.js";
import { TunnelEmitter } from "#dist/tunnel/events.js";

export function logged(log: Log, clock?: Clock): TunnelEmitter {
  const events = new TunnelEmitter();
  logTunnel(log, events, clock);
  return events;
}
