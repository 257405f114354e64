//! The errors of the protocol's steps.

use std::fmt;

/// Why a step failed.
///
/// The first six are caused by what the peer sent. Never tell the peer which one it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// The peer's `h` is wrong: it has a different key, or does not speak this protocol.
    WrongMac,
    /// The peer is a client, like this side: two clients are connected to each other, or one to itself.
    SameRole,
    /// The peer's `y` is not below the group's modulus.
    DhOutOfRange,
    /// The peer's `y` is 0, 1 or p − 1, and this side requires forward secrecy.
    ForwardSecrecyRequired,
    /// A packet's MAC is wrong.
    PacketMac,
    /// A packet with a correct MAC has a length of 0 or of more than 1,024 bytes.
    PacketLength,
    /// This direction has used all 2^64 packet numbers.
    PacketNumbersUsedUp,
    /// A buffer passed by the caller is empty or too small.
    Buffer,
    /// The key pair passed by the caller does not match the handshake's [`ForwardSecrecy`].
    ///
    /// [`ForwardSecrecy`]: crate::handshake::ForwardSecrecy
    KeyPair,
    /// The system returned no random bytes.
    Random,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::WrongMac => "the MAC of the peer's public value is wrong: it has a different key, or is not spiped",
            Self::SameRole => "the peer is a client, like this side",
            Self::DhOutOfRange => "the peer's public value is out of range",
            Self::ForwardSecrecyRequired => "forward secrecy is required, and the peer's public value gives none",
            Self::PacketMac => "a packet has a wrong MAC",
            Self::PacketLength => "a packet has a wrong length",
            Self::PacketNumbersUsedUp => "all packet numbers of this direction are used",
            Self::Buffer => "a buffer is empty or too small",
            Self::KeyPair => "the key pair does not match the forward secrecy setting of the handshake",
            Self::Random => "the system returned no random bytes",
        })
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::Error;

    #[test]
    fn errors_say_what_is_wrong() {
        assert_eq!(Error::SameRole.to_string(), "the peer is a client, like this side");
        assert_eq!(Error::PacketMac.to_string(), "a packet has a wrong MAC");
    }
}
