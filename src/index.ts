/**
 * The library's exports: a stream through a tunnel, a server for such streams, and whole tunnels.
 */

export { type EndReason, type ErrorCode, SpipedError } from "./errors.js";
export { type ConnectOptions, connect } from "./library/connect.js";
export { createKey, generateKey, Key, readKeyFile } from "./library/key.js";
export type { CommonOptions } from "./library/options.js";
export { createServer, type ServerEvents, type ServerOptions, SpipedServer } from "./library/server.js";
export { createTunnel, SpipedTunnel, type TunnelEvents, type TunnelOptions } from "./library/tunnel.js";
export { TunnelStream } from "./library/tunnel-stream.js";
export type { ForwardSecrecy } from "./protocol/handshake.js";
export type { ConnectionReport } from "./tunnel/reports.js";
