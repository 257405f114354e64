//! HMAC-SHA256 of several packets at a time, with a compression function that processes several lanes.
//!
//! HMAC's inner and outer state are computed once per key. Each packet then takes 16 blocks of ciphertext, read in
//! place, a tail block with the length field and the packet number, and an outer block. This file is the same for all
//! processors; each kind has its own implementation of [`CompressionState`].
//!
//! A SHA-256 round depends on the round before it, so a single MAC leaves a processor's SHA unit idle half of the time.
//! Two packets are independent: with their rounds interleaved, two MACs take little longer than one.
//!
//! The tests of [`super`] and the fuzz targets compare it with ring. Source: FIPS 180-4, RFC 2104.

use std::array;

use zeroize::Zeroize;

use crate::{KEY_BYTES, MAC_BYTES, PACKET_ENCRYPTED_BYTES};

/// One input of the compression function.
pub(super) type Block = [u8; BLOCK_BYTES];
const BLOCK_BYTES: usize = 64;

/// Whole blocks in the encrypted part of a packet.
const WHOLE_BLOCKS: usize = PACKET_ENCRYPTED_BYTES / BLOCK_BYTES;
/// The bytes of the encrypted part after the whole blocks.
const TAIL_BYTES: usize = PACKET_ENCRYPTED_BYTES % BLOCK_BYTES;
/// Input of the inner hash, in bits: a key block, the encrypted part and the packet number.
const INNER_BITS: u64 = 8 * (BLOCK_BYTES + PACKET_ENCRYPTED_BYTES + 8) as u64;
/// Input of the outer hash, in bits: a key block and a digest.
const OUTER_BITS: u64 = 8 * (BLOCK_BYTES + MAC_BYTES) as u64;

/// SHA-256's eight words, as one kind of processor represents and processes them.
pub(super) trait CompressionState: Copy + Zeroize {
    /// Compresses `COUNT` blocks into the state of each of `N` lanes.
    fn compress<const N: usize, const COUNT: usize>(states: &mut [Self; N], blocks: [&[Block; COUNT]; N]);

    /// The eight words, big-endian.
    fn digest(&self) -> [u8; MAC_BYTES];
}

/// HMAC-SHA256 of packets under one key.
pub(super) struct PacketHmac<State: CompressionState> {
    inner: State,
    outer: State,
}

impl<State: CompressionState> PacketHmac<State> {
    /// `initial` is SHA-256's initial state.
    pub(super) fn new(initial: State, key: &[u8; KEY_BYTES]) -> Self {
        let state_after = |pad: u8| {
            let mut block: Block = [pad; BLOCK_BYTES];
            for (byte, key_byte) in block.iter_mut().zip(key) {
                *byte ^= key_byte;
            }
            let mut state = [initial];
            State::compress(&mut state, [array::from_ref(&block)]);
            block.zeroize();
            state[0]
        };
        Self { inner: state_after(0x36), outer: state_after(0x5c) }
    }

    /// The MACs of `N` packets, numbered from `first_number`.
    pub(super) fn macs<const N: usize>(
        &self,
        encrypted: [&[u8; PACKET_ENCRYPTED_BYTES]; N],
        first_number: u64,
    ) -> [[u8; MAC_BYTES]; N] {
        // Fill in everything that does not depend on a state first: loading a vector shortly after its bytes were
        // stored one by one stalls the processor.
        let mut tails = [last_block(TAIL_BYTES + 8, INNER_BITS); N];
        for (lane, block) in tails.iter_mut().enumerate() {
            block[..TAIL_BYTES].copy_from_slice(encrypted[lane].as_chunks::<BLOCK_BYTES>().1);
            let number = first_number.wrapping_add(lane as u64);
            block[TAIL_BYTES..TAIL_BYTES + 8].copy_from_slice(&number.to_be_bytes());
        }
        let mut outer_blocks = [last_block(MAC_BYTES, OUTER_BITS); N];

        let mut states = [self.inner; N];
        State::compress(&mut states, encrypted.map(whole_blocks));
        State::compress(&mut states, tails.each_ref().map(array::from_ref));
        for (block, state) in outer_blocks.iter_mut().zip(&states) {
            block[..MAC_BYTES].copy_from_slice(&state.digest());
        }
        states = [self.outer; N];
        State::compress(&mut states, outer_blocks.each_ref().map(array::from_ref));
        states.each_ref().map(State::digest)
    }
}

impl<State: CompressionState> Drop for PacketHmac<State> {
    fn drop(&mut self) {
        self.inner.zeroize();
        self.outer.zeroize();
    }
}

fn whole_blocks(encrypted: &[u8; PACKET_ENCRYPTED_BYTES]) -> &[Block; WHOLE_BLOCKS] {
    let (blocks, _) = encrypted.as_chunks();
    let Some((blocks, _)) = blocks.split_first_chunk() else { unreachable!("1,028 bytes are 16 blocks and a tail") };
    blocks
}

/// The last block of a hash: `used` bytes, left zero for the caller to fill in, and the padding after them.
fn last_block(used: usize, total_bits: u64) -> Block {
    let mut block = [0; BLOCK_BYTES];
    block[used] = 0x80;
    block[BLOCK_BYTES - 8..].copy_from_slice(&total_bits.to_be_bytes());
    block
}

/// SHA-256's initial state, a to h. Source: FIPS 180-4, 5.3.3.
pub(super) const INITIAL: [u32; 8] =
    [0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19];

/// The round constants, in groups of four rounds. Source: FIPS 180-4, 4.2.2.
pub(super) const ROUND_CONSTANTS: [[u32; 4]; 16] = [
    [0x428a_2f98, 0x7137_4491, 0xb5c0_fbcf, 0xe9b5_dba5],
    [0x3956_c25b, 0x59f1_11f1, 0x923f_82a4, 0xab1c_5ed5],
    [0xd807_aa98, 0x1283_5b01, 0x2431_85be, 0x550c_7dc3],
    [0x72be_5d74, 0x80de_b1fe, 0x9bdc_06a7, 0xc19b_f174],
    [0xe49b_69c1, 0xefbe_4786, 0x0fc1_9dc6, 0x240c_a1cc],
    [0x2de9_2c6f, 0x4a74_84aa, 0x5cb0_a9dc, 0x76f9_88da],
    [0x983e_5152, 0xa831_c66d, 0xb003_27c8, 0xbf59_7fc7],
    [0xc6e0_0bf3, 0xd5a7_9147, 0x06ca_6351, 0x1429_2967],
    [0x27b7_0a85, 0x2e1b_2138, 0x4d2c_6dfc, 0x5338_0d13],
    [0x650a_7354, 0x766a_0abb, 0x81c2_c92e, 0x9272_2c85],
    [0xa2bf_e8a1, 0xa81a_664b, 0xc24b_8b70, 0xc76c_51a3],
    [0xd192_e819, 0xd699_0624, 0xf40e_3585, 0x106a_a070],
    [0x19a4_c116, 0x1e37_6c08, 0x2748_774c, 0x34b0_bcb5],
    [0x391c_0cb3, 0x4ed8_aa4a, 0x5b9c_ca4f, 0x682e_6ff3],
    [0x748f_82ee, 0x78a5_636f, 0x84c8_7814, 0x8cc7_0208],
    [0x90be_fffa, 0xa450_6ceb, 0xbef9_a3f7, 0xc671_78f2],
];
