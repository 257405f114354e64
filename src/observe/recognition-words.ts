/**
 * What to do about a peer that is not what it should be, for whoever has typed the flags.
 */

import type { Recognition } from "../tunnel/recognition.js";

/** The hint for what was recognised. */
export function recognitionHint({ kind, role }: Recognition): string {
  switch (kind) {
    case "http":
    case "ssh":
    case "text":
    case "tls":
      return WRONG_PEER[role];
    case "proxy-header":
      return "let the proxy in front of this end send no PROXY header (no send-proxy, no proxy_protocol)";
    case "silent":
      return SILENT[role];
    case "same-role":
      return SAME_ROLE[role];
    case "client-of-client":
      return SAME_ROLE.encrypt;
  }
}

const WRONG_PEER = {
  encrypt: "TARGET has to be the SOURCE of a spiped -d; this may be the service itself, or a spiped -e before it",
  decrypt: "only spiped -e and spipe can connect here; programs connect to the SOURCE of the -e end",
};

const SILENT = {
  encrypt:
    "is that a `spiped -d`? The service itself, a spiped -e, or a spiped -d with as many connections as -n allows " +
    "would be as silent",
  decrypt: "a port scan or a health check looks like this, and a program that is not spiped and waits",
};

const SAME_ROLE = {
  encrypt: "both ends are -e; the one next to the service has to be -d",
  decrypt: "both ends are -d, and the one next to the programs has to be -e; if it is, the network loses packets",
};
