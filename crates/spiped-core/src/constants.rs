//! Sizes on the wire, in bytes. Source: docs/protocol.md, "Keys" and "Packets".

/// The shared key K, and every AES and MAC key derived from it.
pub const KEY_BYTES: usize = 32;

/// The id of a shared key. Never sent.
pub const KEY_ID_BYTES: usize = 8;

/// A nonce, `nonce_C` or `nonce_S`.
pub const NONCE_BYTES: usize = 32;

/// An HMAC-SHA256: `h_C`, `h_S`, and the end of every packet.
pub const MAC_BYTES: usize = 32;

/// A public value `y` of group 14 (2,048 bits, big-endian).
pub const PUBLIC_BYTES: usize = 256;

/// `y ‖ h`, which each side sends after the nonces.
pub const MACED_PUBLIC_BYTES: usize = PUBLIC_BYTES + MAC_BYTES;

/// The most data one packet carries. Shorter data is zero-padded to this length.
pub const PACKET_DATA_BYTES: usize = 1024;

/// The length field after the padded data: the number of data bytes, as a big-endian u32.
pub const LENGTH_FIELD_BYTES: usize = 4;

/// The encrypted part of a packet: padded data ‖ length.
pub const PACKET_ENCRYPTED_BYTES: usize = PACKET_DATA_BYTES + LENGTH_FIELD_BYTES;

/// A whole packet: the encrypted part ‖ its MAC.
pub const PACKET_BYTES: usize = PACKET_ENCRYPTED_BYTES + MAC_BYTES;
