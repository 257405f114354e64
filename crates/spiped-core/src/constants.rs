//! Every size on the wire, in bytes. Source: docs/protocol.md, "Keys" and "Packets".

/// The shared key K, and every AES and MAC key that is derived from it.
pub const KEY_BYTES: usize = 32;

/// What tells shared keys apart; never on the wire.
pub const KEY_ID_BYTES: usize = 8;

/// `nonce_C`, `nonce_S`.
pub const NONCE_BYTES: usize = 32;

/// An HMAC-SHA256: `h_C`, `h_S`, and the end of every packet.
pub const MAC_BYTES: usize = 32;

/// A public value `y` of group 14, big-endian.
pub const PUBLIC_BYTES: usize = 256;

/// `y ‖ h`, what each side sends after the nonces.
pub const MACED_PUBLIC_BYTES: usize = PUBLIC_BYTES + MAC_BYTES;

/// The most data that one packet carries; shorter data is padded with zeros to this.
pub const PACKET_DATA_BYTES: usize = 1024;

/// The field behind the padded data that holds the number of data bytes.
pub const LENGTH_FIELD_BYTES: usize = 4;

/// The part of a packet that is encrypted: padded data ‖ length.
pub const PACKET_ENCRYPTED_BYTES: usize = PACKET_DATA_BYTES + LENGTH_FIELD_BYTES;

/// A whole packet: the encrypted part ‖ its MAC.
pub const PACKET_BYTES: usize = PACKET_ENCRYPTED_BYTES + MAC_BYTES;
