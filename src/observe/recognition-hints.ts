/**
 * Hints about peers that are not the spiped they should be.
 */

import type { Recognition } from "../tunnel/recognition.js";

/** The hint for what was recognized. */
export function recognitionHint({ kind, role }: Recognition): string {
  switch (kind) {
    case "http":
    case "ssh":
    case "text":
    case "tls":
      return WRONG_PEER[role];
    case "proxy-header":
      return "turn off the PROXY header in the proxy in front of this end (send-proxy, proxy_protocol)";
    case "silent":
      return SILENT[role];
    case "same-role":
      return SAME_ROLE[role];
    case "client-of-client":
      return SAME_ROLE.encrypt;
  }
}

const WRONG_PEER = {
  encrypt:
    "the target must be the source of a spiped -d; this may be the service itself, or a spiped -e in front of it",
  decrypt: "only spiped -e and spipe can connect here; programs connect to the source of the -e end",
};

const SILENT = {
  encrypt:
    "is that a `spiped -d`? The service itself, a spiped -e, or a spiped -d at its connection limit would be silent too",
  decrypt:
    "probably a port scan, a health check, spipe --probe, a client that stopped waiting at the connection limit, or a program other " +
    "than spiped that waits for data",
};

const SAME_ROLE = {
  encrypt: "both ends run -e; the one next to the service must run -d",
  decrypt: "both ends run -d; the one next to the programs must run -e. If it does, the network loses packets",
};
