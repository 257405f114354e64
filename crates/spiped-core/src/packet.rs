//! One packet: its layout and its encryption. Source: DESIGN.md, "Packets".
//!
//! ```text
//! data, padded with zeros to 1,024 ‖ be32(number of data bytes) ‖ MAC
//! └──────────────────── encrypted ───────────────────────────┘
//! ```

use aes::{
    Aes256Enc,
    cipher::{InnerIvInit, KeyInit, StreamCipher, StreamCipherSeek},
};
use ctr::{Ctr128BE, CtrCore};

use crate::{Error, KEY_BYTES, PACKET_BYTES, PACKET_DATA_BYTES, PACKET_ENCRYPTED_BYTES};

/// Encrypts and decrypts packets with the key E of one direction. The key schedule is computed once and
/// wiped on drop.
pub(crate) struct PacketCipher(Aes256Enc);

impl PacketCipher {
    pub(crate) fn new(key: &[u8; KEY_BYTES]) -> Self {
        Self(Aes256Enc::new(key.into()))
    }

    /// Writes the encrypted part of the packet that carries `data`, 1 to 1,024 bytes.
    pub(crate) fn encrypt(&self, number: u64, data: &[u8], packet: &mut [u8; PACKET_BYTES]) {
        debug_assert!(matches!(data.len(), 1..=PACKET_DATA_BYTES));
        let mut keystream = self.keystream(number);
        let encrypted = &mut packet[..PACKET_ENCRYPTED_BYTES];
        let (encrypted_data, rest) = encrypted.split_at_mut(data.len());
        let (padding, length) = rest.split_at_mut(PACKET_DATA_BYTES - data.len());

        keystream.apply_keystream_b2b(data, encrypted_data);
        padding.fill(0);
        length.copy_from_slice(&(data.len() as u32).to_be_bytes());
        keystream.apply_keystream(rest);
    }

    /// Decrypts the data of a packet whose MAC is right.
    ///
    /// `out` gets the data and must have room for 1,024 bytes. Returns the number of data bytes. The
    /// padding is not looked at, as in spiped.
    pub(crate) fn decrypt(&self, number: u64, packet: &[u8; PACKET_BYTES], out: &mut [u8]) -> Result<usize, Error> {
        let (data, rest) = packet.split_at(PACKET_DATA_BYTES);
        let mut length = [0; 4];
        length.copy_from_slice(&rest[..4]);

        let mut keystream = self.keystream(number);
        keystream.seek(PACKET_DATA_BYTES);
        keystream.apply_keystream(&mut length);
        let length = u32::from_be_bytes(length) as usize;
        if !matches!(length, 1..=PACKET_DATA_BYTES) {
            return Err(Error::PacketLength);
        }

        let mut keystream = self.keystream(number);
        keystream.apply_keystream_b2b(&data[..length], &mut out[..length]);
        Ok(length)
    }

    /// The keystream of one packet, whose counter block is be64(packet number) ‖ be64(block number).
    fn keystream(&self, number: u64) -> Ctr128BE<&Aes256Enc> {
        let first_block = (u128::from(number) << 64).to_be_bytes();
        Ctr128BE::from_core(CtrCore::inner_iv_init(&self.0, &first_block.into()))
    }
}
