/**
 * Sizes on the wire, in bytes.
 *
 * Source: docs/protocol.md, "The wire".
 */

/** A nonce, the first thing that either side sends. */
export const NONCE_BYTES = 32;

/** A public value y with its MAC h, the second and last message of the handshake. */
export const MACED_PUBLIC_BYTES = 288;

/** Everything that one side sends in the handshake. */
export const HANDSHAKE_BYTES = NONCE_BYTES + MACED_PUBLIC_BYTES;

/** The most data that one packet carries. */
export const PACKET_DATA_BYTES = 1_024;

/** A packet on the wire: data, length and MAC. */
export const PACKET_BYTES = 1_060;
