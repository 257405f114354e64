//! The layout and encryption of one packet. Source: docs/protocol.md, "Packets".
//!
//! ```text
//! data, padded with zeros to 1,024 ‖ be32(number of data bytes) ‖ MAC
//! └──────────────────── encrypted ───────────────────────────┘
//! ```

use aes::{
    Aes256Enc, Block,
    cipher::{InnerIvInit, KeyInit, StreamCipher},
};
use ctr::{Ctr64BE, CtrCore};

use crate::{Error, KEY_BYTES, LENGTH_FIELD_BYTES, PACKET_BYTES, PACKET_DATA_BYTES, PACKET_ENCRYPTED_BYTES};

/// Encrypts and decrypts packets with the key E of one direction. The key schedule is computed once, kept on the heap,
/// and wiped on drop.
pub(crate) struct PacketCipher(Box<Aes256Enc>);

impl PacketCipher {
    pub(crate) fn new(key: &[u8; KEY_BYTES]) -> Self {
        Self(Box::new(Aes256Enc::new(key.into())))
    }

    /// Writes the encrypted part of a packet that carries `data`, 1 to 1,024 bytes. Does not write the MAC.
    pub(crate) fn encrypt(&self, number: u64, data: &[u8], packet: &mut [u8; PACKET_BYTES]) {
        debug_assert!(matches!(data.len(), 1..=PACKET_DATA_BYTES));
        // Writing the keystream into the packet saves a copy, and already is the encrypted zero padding.
        let (encrypted, _) = packet.split_at_mut(PACKET_ENCRYPTED_BYTES);
        self.keystream(number, encrypted);
        let (padded_data, length) = encrypted.split_at_mut(PACKET_DATA_BYTES);
        xor(padded_data, data);
        xor(length, &(data.len() as u32).to_be_bytes());
    }

    /// Decrypts the data of a packet whose MAC was verified into `out`, at least 1,024 bytes. Like spiped, ignores the
    /// padding.
    ///
    /// Returns the number of data bytes, 1 to 1,024, and writes no more than these.
    ///
    /// # Errors
    /// [`Error::PacketLength`] if the length field is 0 or more than 1,024.
    pub(crate) fn decrypt(&self, number: u64, packet: &[u8; PACKET_BYTES], out: &mut [u8]) -> Result<usize, Error> {
        let mut keystream = [0; PACKET_ENCRYPTED_BYTES];
        self.keystream(number, &mut keystream);
        let (data_keystream, length_keystream) = keystream.split_at(PACKET_DATA_BYTES);
        let mut length = [0; LENGTH_FIELD_BYTES];
        length.copy_from_slice(&packet[PACKET_DATA_BYTES..PACKET_ENCRYPTED_BYTES]);
        xor(&mut length, length_keystream);
        let length = u32::from_be_bytes(length) as usize;
        if !matches!(length, 1..=PACKET_DATA_BYTES) {
            return Err(Error::PacketLength);
        }
        for ((byte, encrypted), keystream) in out[..length].iter_mut().zip(packet).zip(data_keystream) {
            *byte = encrypted ^ keystream;
        }
        Ok(length)
    }

    /// Writes the keystream of one packet.
    fn keystream(&self, number: u64, out: &mut [u8]) {
        let mut keystream: Ctr64BE<&Aes256Enc> =
            Ctr64BE::from_core(CtrCore::inner_iv_init(&self.0, &first_counter_block(number)));
        keystream.write_keystream(out);
    }
}

/// The initial counter block, be64(packet number) ‖ be64(0).
fn first_counter_block(packet_number: u64) -> Block {
    (u128::from(packet_number) << 64).to_be_bytes().into()
}

fn xor(bytes: &mut [u8], with: &[u8]) {
    for (byte, with) in bytes.iter_mut().zip(with) {
        *byte ^= with;
    }
}
