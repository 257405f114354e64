/**
 * The part of a tunnel's configuration that the status shows, and the name that a tunnel has there.
 */

import type { TunnelConfig } from "../config/tunnel-config.js";
import { formatAddress } from "../net/address.js";
import { printableBytes } from "../paths.js";

/** The part of a tunnel's configuration that is shown. */
export type ShownConfig = Pick<TunnelConfig, "name" | "role" | "source" | "target" | "maxConnections">;

/** A tunnel's name in labels: the name of its table, or its source. */
export function nameOf({ name, source }: Pick<ShownConfig, "name" | "source">): string {
  return name ?? printableBytes(formatAddress(source));
}
