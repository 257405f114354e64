/**
 * A snapshot as metrics for Prometheus. Metric names are a stable interface, since dashboards and alerts depend on them.
 */

import { Exposition } from "./exposition.js";
import type { Snapshot, TunnelSnapshot } from "./snapshot.js";

/** The answer to `/metrics`. */
export function metricsOf(snapshot: Snapshot): string {
  const exposition = new Exposition();
  writeTunnels(exposition, snapshot.tunnels);
  writeProgram(exposition, snapshot);
  writeProcess(exposition, snapshot);
  return exposition.text;
}

function writeTunnels(exposition: Exposition, tunnels: readonly TunnelSnapshot[]): void {
  const keys = exposition.family("spiped_key_info", "gauge", "1 for each key; id is what spiped key-id prints.");
  for (const { name: tunnel, keys: all } of tunnels) {
    for (const { name: key, id } of all) keys.sample({ tunnel, key, id }, 1);
  }
  const accepting = exposition.family(
    "spiped_accepting",
    "gauge",
    "1 while new clients are accepted, 0 while they wait or are refused.",
  );
  for (const { name: tunnel, isAccepting } of tunnels) accepting.sample({ tunnel }, isAccepting ? 1 : 0);
  const open = exposition.family("spiped_connections_open", "gauge", "Open connections of authenticated clients.");
  for (const { name: tunnel, open: count } of tunnels) open.sample({ tunnel }, count);
  const draining = exposition.family(
    "spiped_connections_draining",
    "gauge",
    "Open connections from before a reload changed the tunnel; they do not count toward -n.",
  );
  for (const { name: tunnel, draining: count } of tunnels) draining.sample({ tunnel }, count);
  const limit = exposition.family("spiped_connections_limit", "gauge", "The connection limit (-n).");
  for (const { name: tunnel, maxConnections } of tunnels) limit.sample({ tunnel }, maxConnections);
  const accepted = exposition.family(
    "spiped_connections_accepted_total",
    "counter",
    "Accepted connections, including those of unauthenticated clients.",
  );
  for (const { name: tunnel, accepted: count } of tunnels) accepted.sample({ tunnel }, count);
  const ended = exposition.family(
    "spiped_connections_ended_total",
    "counter",
    "Ended connections, by reason and by the name of the client's key where keys have names.",
  );
  for (const { name: tunnel, ended: all } of tunnels) {
    for (const { reason, key, count } of all) ended.sample({ tunnel, reason, key }, count);
  }
  const bytes = exposition.family(
    "spiped_bytes_total",
    "counter",
    "Cleartext bytes as they flow: forward from source to target, reverse back.",
  );
  for (const { name: tunnel, bytesForward, bytesReverse } of tunnels) {
    bytes.sample({ tunnel, direction: "forward" }, bytesForward).sample({ tunnel, direction: "reverse" }, bytesReverse);
  }
  const handshakes = exposition.family("spiped_handshake_seconds", "histogram", "Duration of handshakes.");
  for (const { name: tunnel, handshakes: figures } of tunnels) handshakes.histogram({ tunnel }, figures);
  const connections = exposition.family(
    "spiped_connection_seconds",
    "histogram",
    "Duration of ended connections whose handshake succeeded.",
  );
  for (const { name: tunnel, connections: figures } of tunnels) connections.histogram({ tunnel }, figures);
  const lookups = exposition.family(
    "spiped_lookup_failures_total",
    "counter",
    "Failed lookups of the target's name; the old addresses are kept.",
  );
  for (const { name: tunnel, lookupFailures } of tunnels) lookups.sample({ tunnel }, lookupFailures);
}

function writeProgram(exposition: Exposition, { build, lastReload, eventLoopDelay }: Snapshot): void {
  const { version, node, platform } = build;
  exposition
    .family("spiped_build_info", "gauge", "Version of spiped and of Node.js; always 1.")
    .sample({ version, node, platform }, 1);
  exposition
    .family("spiped_last_reload_successful", "gauge", "1 if all of the last reload is in use.")
    .sample({}, lastReload.successful ? 1 : 0);
  exposition
    .family(
      "spiped_last_reload_success_timestamp_seconds",
      "gauge",
      "When keys and configuration were last loaded without an error.",
    )
    .sample({}, lastReload.lastSuccessAtMs / 1_000);
  exposition
    .family("spiped_event_loop_delay_seconds", "histogram", "How late timers are, measured twice a second.")
    .histogram({}, eventLoopDelay);
}

function writeProcess(exposition: Exposition, { process: figures, startedAtMs }: Snapshot): void {
  const { cpuSeconds, residentBytes, openDescriptors, mostDescriptors } = figures;
  exposition.family("process_cpu_seconds_total", "counter", "User and system CPU time.").sample({}, cpuSeconds);
  exposition.family("process_resident_memory_bytes", "gauge", "Resident memory.").sample({}, residentBytes);
  exposition.family("process_open_fds", "gauge", "Open file descriptors.").sample({}, openDescriptors);
  exposition.family("process_max_fds", "gauge", "Limit of open file descriptors.").sample({}, mostDescriptors);
  exposition
    .family("process_start_time_seconds", "gauge", "Start time of the process, in seconds since 1970.")
    .sample({}, startedAtMs / 1_000);
}
