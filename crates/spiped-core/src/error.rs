//! What can go wrong, and whose fault it is.

use std::fmt;

/// Why a step failed.
///
/// The peer is never told which of the first six it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// The peer's `h` is wrong: it has another key, or does not speak this protocol.
    WrongMac,
    /// The peer's `h` is that of a client, which this side is too: two clients talk to each other, or one to itself.
    SameRole,
    /// The peer's `y` is not below the group's modulus.
    DhOutOfRange,
    /// The peer's `y` is 0, 1 or p − 1, and this side requires forward secrecy.
    ForwardSecrecyRequired,
    /// A packet's MAC is wrong.
    PacketMac,
    /// A packet with a right MAC says that it carries no data, or more than fits.
    PacketLength,
    /// The direction has carried 2^64 packets.
    PacketNumbersUsedUp,
    /// The caller's buffer is empty or too small.
    Buffer,
    /// The caller's key pair does not go with the handshake's [`ForwardSecrecy`].
    ///
    /// [`ForwardSecrecy`]: crate::handshake::ForwardSecrecy
    KeyPair,
    /// The system gave no random bytes.
    Random,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::WrongMac => "the peer's public value has a wrong MAC: it has another key, or is not spiped",
            Self::SameRole => "the peer is a client, as this side is",
            Self::DhOutOfRange => "the peer's public value is out of range",
            Self::ForwardSecrecyRequired => "the peer's public value gives no forward secrecy, which is required",
            Self::PacketMac => "a packet has a wrong MAC",
            Self::PacketLength => "a packet has a wrong length",
            Self::PacketNumbersUsedUp => "no packet number is left",
            Self::Buffer => "a buffer is empty or too small",
            Self::KeyPair => "the key pair does not go with the handshake's forward secrecy",
            Self::Random => "the system gave no random bytes",
        })
    }
}

impl std::error::Error for Error {}
