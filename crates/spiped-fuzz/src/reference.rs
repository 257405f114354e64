//! A reference implementation of packets for the fuzz targets, from ring's HMAC and single AES blocks. It follows
//! docs/protocol.md and shares no code with the core.

use std::ops::Range;

use aes::{
    Aes256Enc, Block,
    cipher::{BlockCipherEncrypt, KeyInit},
};
use arbitrary::Arbitrary;
use ring::hmac;
use spiped_core::{DirectionKeys, Error};

/// The size of a packet, in bytes.
pub const PACKET: usize = 1060;
/// The most data in a packet, in bytes.
pub const DATA: usize = 1024;
/// The encrypted part of a packet: padded data and length.
const ENCRYPTED: Range<usize> = 0..1028;

/// E and H of one direction.
#[derive(Arbitrary, Clone, Debug)]
pub struct Keys {
    encryption: [u8; 32],
    mac: [u8; 32],
}

impl Keys {
    /// Fixed keys, different for each number.
    #[must_use]
    pub fn of(number: u8) -> Self {
        Self { encryption: [number; 32], mac: [number ^ 0xff; 32] }
    }

    /// Splits `bytes`, E ‖ H, 64 bytes.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Self {
        let (encryption, mac) = bytes.split_at(32);
        Self { encryption: encryption.try_into().expect("32"), mac: mac.try_into().expect("32") }
    }

    /// The same keys in the core's type.
    #[must_use]
    pub fn for_core(&self) -> DirectionKeys {
        DirectionKeys::from_bytes(&self.encryption, &self.mac)
    }

    /// A packet, 1,060 bytes, with `data`, at most 1,024 bytes, and the given length field.
    #[must_use]
    pub fn packet(&self, number: u64, data: &[u8], length: u32) -> Vec<u8> {
        let mut packet = data.to_vec();
        packet.resize(DATA, 0);
        packet.extend(length.to_be_bytes());
        self.xor_keystream(number, &mut packet);
        let mac = self.packet_mac(number, &packet);
        packet.extend(mac.as_ref());
        packet
    }

    /// Opens `packet`, 1,060 bytes, and returns its data.
    ///
    /// # Errors
    /// [`Error::PacketMac`] or [`Error::PacketLength`], checked in this order.
    pub fn open(&self, number: u64, packet: &[u8]) -> Result<Vec<u8>, Error> {
        if self.packet_mac(number, &packet[ENCRYPTED]).as_ref() != &packet[ENCRYPTED.end..] {
            return Err(Error::PacketMac);
        }
        let mut decrypted = packet[ENCRYPTED].to_vec();
        self.xor_keystream(number, &mut decrypted);
        let length = decrypted.split_off(DATA);
        match u32::from_be_bytes(length.try_into().expect("4 bytes")) as usize {
            length @ 1..=DATA => {
                decrypted.truncate(length);
                Ok(decrypted)
            }
            _ => Err(Error::PacketLength),
        }
    }

    /// HMAC-SHA256(H, encrypted ‖ be64(number)).
    #[must_use]
    pub fn packet_mac(&self, number: u64, encrypted: &[u8]) -> hmac::Tag {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &self.mac);
        hmac::sign(&key, &[encrypted, &number.to_be_bytes()].concat())
    }

    fn xor_keystream(&self, number: u64, bytes: &mut [u8]) {
        let cipher = Aes256Enc::new(&self.encryption.into());
        for (index, block) in (0_u64..).zip(bytes.chunks_mut(16)) {
            let mut keystream = Block::default();
            keystream[..8].copy_from_slice(&number.to_be_bytes());
            keystream[8..].copy_from_slice(&index.to_be_bytes());
            cipher.encrypt_block(&mut keystream);
            for (byte, keystream) in block.iter_mut().zip(&keystream) {
                *byte ^= keystream;
            }
        }
    }
}

/// Data for many packets from few bytes of input, which are repeated with an increasing offset.
#[derive(Arbitrary, Debug)]
pub struct Data {
    length: u16,
    bytes: Vec<u8>,
}

impl Data {
    /// The data, at most `max_length` bytes.
    #[must_use]
    pub fn up_to(&self, max_length: usize) -> Vec<u8> {
        let period = self.bytes.len().max(1);
        let byte = |index: usize| self.bytes.get(index % period).unwrap_or(&0).wrapping_add((index / period) as u8);
        (0..usize::from(self.length) % (max_length + 1)).map(byte).collect()
    }
}

/// The length of a piece of a stream.
#[derive(Arbitrary, Debug)]
pub enum Length {
    /// Any length.
    Bytes(u16),
    /// Within a few bytes of a packet boundary.
    AroundPackets {
        /// Whole packets, modulo 4.
        packets: u8,
        /// Bytes more or fewer than these, at most 2.
        more: i8,
    },
}

impl Length {
    /// The length in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        match self {
            Self::Bytes(bytes) => usize::from(*bytes),
            Self::AroundPackets { packets, more } => {
                (usize::from(*packets % 4) * PACKET).saturating_add_signed(isize::from(*more % 3))
            }
        }
    }
}

/// `bytes` in pieces of the given lengths, then the remainder.
#[must_use]
pub fn cut<'a>(bytes: &'a [u8], lengths: &[Length]) -> Vec<&'a [u8]> {
    let mut left = bytes;
    let mut pieces = Vec::new();
    for length in lengths {
        let (piece, rest) = left.split_at(length.bytes().min(left.len()));
        pieces.push(piece);
        left = rest;
    }
    pieces.push(left);
    pieces
}
