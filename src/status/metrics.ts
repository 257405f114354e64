/**
 * A snapshot as metrics for Prometheus. The names are a promise: dashboards and alerts of others go by them.
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
  const keys = exposition.family("spiped_key_info", "gauge", "1 for each key; the id is the one of spiped key-id.");
  for (const { name: tunnel, keys: all } of tunnels) {
    for (const { name: key, id } of all) keys.sample({ tunnel, key, id }, 1);
  }
  const accepting = exposition.family(
    "spiped_accepting",
    "gauge",
    "1 while another client would be let in, 0 while it would have to wait or be refused.",
  );
  for (const { name: tunnel, isAccepting } of tunnels) accepting.sample({ tunnel }, isAccepting ? 1 : 0);
  const open = exposition.family("spiped_connections_open", "gauge", "Connections of clients that are known.");
  for (const { name: tunnel, open: count } of tunnels) open.sample({ tunnel }, count);
  const draining = exposition.family(
    "spiped_connections_draining",
    "gauge",
    "Those of the open ones that began before SIGHUP changed the tunnel; they take none of the places of -n.",
  );
  for (const { name: tunnel, draining: count } of tunnels) draining.sample({ tunnel }, count);
  const limit = exposition.family("spiped_connections_limit", "gauge", "The places of -n.");
  for (const { name: tunnel, maxConnections } of tunnels) limit.sample({ tunnel }, maxConnections);
  const accepted = exposition.family(
    "spiped_connections_accepted_total",
    "counter",
    "Clients that have connected, strangers too.",
  );
  for (const { name: tunnel, accepted: count } of tunnels) accepted.sample({ tunnel }, count);
  const ended = exposition.family(
    "spiped_connections_ended_total",
    "counter",
    "Connections that have ended, by the reason and by the name of the client's key where keys have names.",
  );
  for (const { name: tunnel, ended: all } of tunnels) {
    for (const { reason, key, count } of all) ended.sample({ tunnel, reason, key }, count);
  }
  const bytes = exposition.family(
    "spiped_bytes_total",
    "counter",
    "Bytes of cleartext, counted as they flow: forward is from the source to the target, reverse is back.",
  );
  for (const { name: tunnel, bytesForward, bytesReverse } of tunnels) {
    bytes.sample({ tunnel, direction: "forward" }, bytesForward).sample({ tunnel, direction: "reverse" }, bytesReverse);
  }
  const handshakes = exposition.family("spiped_handshake_seconds", "histogram", "Time that handshakes took.");
  for (const { name: tunnel, handshakes: figures } of tunnels) handshakes.histogram({ tunnel }, figures);
  const connections = exposition.family(
    "spiped_connection_seconds",
    "histogram",
    "How long connections lasted that got through their handshake and have ended.",
  );
  for (const { name: tunnel, connections: figures } of tunnels) connections.histogram({ tunnel }, figures);
  const lookUps = exposition.family(
    "spiped_lookup_failures_total",
    "counter",
    "Failed look-ups of the target's name; the addresses that were known stay.",
  );
  for (const { name: tunnel, lookUpFailures } of tunnels) lookUps.sample({ tunnel }, lookUpFailures);
}

function writeProgram(exposition: Exposition, { build, lastReload, eventLoopDelay }: Snapshot): void {
  const { version, node, platform } = build;
  exposition.family("spiped_build_info", "gauge", "What runs; always 1.").sample({ version, node, platform }, 1);
  exposition
    .family("spiped_last_reload_successful", "gauge", "1 unless the last SIGHUP found a mistake and changed nothing.")
    .sample({}, lastReload.successful ? 1 : 0);
  exposition
    .family(
      "spiped_last_reload_success_timestamp_seconds",
      "gauge",
      "When keys and configuration were last read without a mistake, at the start or later.",
    )
    .sample({}, lastReload.lastSuccessAtMs / 1_000);
  exposition
    .family("spiped_event_loop_delay_seconds", "histogram", "How late a timer was, looked at twice a second.")
    .histogram({}, eventLoopDelay);
}

function writeProcess(exposition: Exposition, { process: figures, startedAtMs }: Snapshot): void {
  const { cpuSeconds, residentBytes, openDescriptors, mostDescriptors } = figures;
  exposition
    .family("process_cpu_seconds_total", "counter", "CPU time of all threads, the program's and the system's for it.")
    .sample({}, cpuSeconds);
  exposition.family("process_resident_memory_bytes", "gauge", "Memory in RAM.").sample({}, residentBytes);
  exposition.family("process_open_fds", "gauge", "Open descriptors.").sample({}, openDescriptors);
  exposition.family("process_max_fds", "gauge", "The limit of open descriptors.").sample({}, mostDescriptors);
  exposition
    .family("process_start_time_seconds", "gauge", "When the process began, in seconds since 1970.")
    .sample({}, startedAtMs / 1_000);
}
