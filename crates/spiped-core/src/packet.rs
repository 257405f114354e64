//! One packet: its layout and its encryption. Source: DESIGN.md, "Packets".
//!
//! ```text
//! data, padded with zeros to 1,024 ‖ be32(number of data bytes) ‖ MAC
//! └──────────────────── encrypted ───────────────────────────┘
//! ```

use aes::{
    Aes256Enc, Block,
    cipher::{BlockCipherEncrypt, InnerIvInit, KeyInit, StreamCipher},
};
use ctr::{Ctr128BE, CtrCore};

use crate::{Error, KEY_BYTES, PACKET_BYTES, PACKET_DATA_BYTES, PACKET_ENCRYPTED_BYTES, PACKET_LENGTH_BYTES};

/// The keystream block that encrypts the length, which follows the 64 blocks of data.
const LENGTH_BLOCK: u64 = 64;

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
        let (padded_data, length) = packet[..PACKET_ENCRYPTED_BYTES].split_at_mut(PACKET_DATA_BYTES);
        let (encrypted_data, padding) = padded_data.split_at_mut(data.len());

        let mut keystream = self.data_keystream(number);
        keystream.apply_keystream_b2b(data, encrypted_data);
        keystream.write_keystream(padding); // over zeros
        length.copy_from_slice(&(data.len() as u32 ^ self.length_mask(number)).to_be_bytes());
    }

    /// Decrypts the data of a packet whose MAC is right into `out`, which has room for 1,024 bytes.
    ///
    /// Returns the number of data bytes, and writes no more than these. The padding is not looked at, as in
    /// spiped.
    pub(crate) fn decrypt(&self, number: u64, packet: &[u8; PACKET_BYTES], out: &mut [u8]) -> Result<usize, Error> {
        let (padded_data, rest) = packet.split_at(PACKET_DATA_BYTES);
        let mut length = [0; PACKET_LENGTH_BYTES];
        length.copy_from_slice(&rest[..PACKET_LENGTH_BYTES]);
        let length = (u32::from_be_bytes(length) ^ self.length_mask(number)) as usize;
        if !matches!(length, 1..=PACKET_DATA_BYTES) {
            return Err(Error::PacketLength);
        }
        self.data_keystream(number).apply_keystream_b2b(&padded_data[..length], &mut out[..length]);
        Ok(length)
    }

    /// The keystream of one packet, from its first data byte on.
    fn data_keystream(&self, number: u64) -> Ctr128BE<&Aes256Enc> {
        Ctr128BE::from_core(CtrCore::inner_iv_init(&self.0, &counter_block(number, 0)))
    }

    /// The keystream of one packet's length, as a number.
    fn length_mask(&self, number: u64) -> u32 {
        let mut block = counter_block(number, LENGTH_BLOCK);
        self.0.encrypt_block(&mut block);
        u32::from_be_bytes([block[0], block[1], block[2], block[3]])
    }
}

/// be64(packet number) ‖ be64(block number)
fn counter_block(packet_number: u64, block_number: u64) -> Block {
    (u128::from(packet_number) << 64 | u128::from(block_number)).to_be_bytes().into()
}
