/**
 * Sizes on the wire, in bytes.
 *
 * Source: docs/protocol.md, "The wire".
 */

/** A nonce, the first thing that either side sends. */
export const NONCE_LENGTH = 32;

/** A public value y with its MAC h, the second and last thing of the handshake. */
export const MACED_PUBLIC_LENGTH = 288;

/** All that one side sends in the handshake. */
export const HANDSHAKE_LENGTH = NONCE_LENGTH + MACED_PUBLIC_LENGTH;

/** The most data that one packet carries. */
export const PACKET_DATA_LENGTH = 1_024;

/** One packet on the wire: data, its length, and a MAC. */
export const PACKET_LENGTH = 1_060;
