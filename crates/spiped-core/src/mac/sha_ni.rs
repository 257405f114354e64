//! The MACs of two packets at a time on the SHA instructions of x86-64.
//!
//! A SHA-256 round waits for the round before it, so one MAC leaves the SHA unit idle half of the time. The
//! compressions of two packets are independent; their rounds take turns here, and two MACs take little longer
//! than one. More than two lanes gain nothing: then the unit is busy.
//!
//! HMAC's inner and outer state are computed once per key. What is left for a packet are 16 blocks of
//! ciphertext, read where they lie, a tail block with the length field and the packet number, and an outer
//! block.
//!
//! Held against ring by the tests below and by fuzzing. Source: FIPS 180-4, RFC 2104.

use std::{
    arch::x86_64::{
        __m128i, _mm_add_epi32, _mm_alignr_epi8, _mm_blend_epi16, _mm_loadu_si128, _mm_set_epi32, _mm_set_epi64x,
        _mm_sha256msg1_epu32, _mm_sha256msg2_epu32, _mm_sha256rnds2_epu32, _mm_shuffle_epi8, _mm_shuffle_epi32,
        _mm_storeu_si128,
    },
    array, is_x86_feature_detected,
};

use zeroize::Zeroize;

use crate::{KEY_BYTES, MAC_BYTES, PACKET_ENCRYPTED_BYTES};

/// One input of the compression function.
type Block = [u8; BLOCK_BYTES];
const BLOCK_BYTES: usize = 64;

/// Whole blocks in the encrypted part of a packet.
const WHOLE_BLOCKS: usize = PACKET_ENCRYPTED_BYTES / BLOCK_BYTES;
/// What is left of the encrypted part after them.
const TAIL_BYTES: usize = PACKET_ENCRYPTED_BYTES % BLOCK_BYTES;
/// Bits that the inner hash takes in: a block of key, the encrypted part and the packet number.
const INNER_BITS: u64 = 8 * (BLOCK_BYTES + PACKET_ENCRYPTED_BYTES + 8) as u64;
/// Bits that the outer hash takes in: a block of key and a digest.
const OUTER_BITS: u64 = 8 * (BLOCK_BYTES + MAC_BYTES) as u64;

/// HMAC-SHA256 of packets under one key.
pub(super) struct ShaNiMac {
    inner: State,
    outer: State,
}

impl ShaNiMac {
    /// Undefined on a processor without the instructions: there [`super::ring`] does it.
    pub(super) fn new(key: &[u8; KEY_BYTES]) -> Option<Self> {
        let is_available =
            is_x86_feature_detected!("sha") && is_x86_feature_detected!("ssse3") && is_x86_feature_detected!("sse4.1");
        // SAFETY: the processor has the instructions.
        is_available.then(|| unsafe { keyed(key) })
    }

    /// The MACs of `N` packets, numbered from `first_number` on.
    pub(super) fn macs<const N: usize>(
        &self,
        encrypted: [&[u8; PACKET_ENCRYPTED_BYTES]; N],
        first_number: u64,
    ) -> [[u8; MAC_BYTES]; N] {
        // SAFETY: `new` has found the processor to have the instructions, or there were no `self`.
        unsafe { macs(self, encrypted, first_number) }
    }
}

impl Drop for ShaNiMac {
    fn drop(&mut self) {
        for state in [&mut self.inner, &mut self.outer] {
            state.abef.zeroize();
            state.cdgh.zeroize();
        }
    }
}

/// SHA-256's eight words in the order in which the instructions take them.
#[derive(Clone, Copy)]
struct State {
    abef: __m128i,
    cdgh: __m128i,
}

#[target_feature(enable = "sha,ssse3,sse4.1")]
fn keyed(key: &[u8; KEY_BYTES]) -> ShaNiMac {
    let state_after = |pad: u8| {
        let mut block: Block = [pad; BLOCK_BYTES];
        for (byte, key_byte) in block.iter_mut().zip(key) {
            *byte ^= key_byte;
        }
        let mut state = [State {
            abef: _mm_set_epi32(0x6a09_e667, 0xbb67_ae85_u32 as i32, 0x510e_527f, 0x9b05_688c_u32 as i32),
            cdgh: _mm_set_epi32(0x3c6e_f372, 0xa54f_f53a_u32 as i32, 0x1f83_d9ab, 0x5be0_cd19),
        }];
        compress(&mut state, [array::from_ref(&block)]);
        block.zeroize();
        state[0]
    };
    ShaNiMac { inner: state_after(0x36), outer: state_after(0x5c) }
}

#[target_feature(enable = "sha,ssse3,sse4.1")]
fn macs<const N: usize>(
    mac: &ShaNiMac,
    encrypted: [&[u8; PACKET_ENCRYPTED_BYTES]; N],
    first_number: u64,
) -> [[u8; MAC_BYTES]; N] {
    let mut states = [mac.inner; N];
    compress(&mut states, encrypted.map(whole_blocks));
    let tails: [Block; N] = array::from_fn(|lane| {
        let mut block = last_block(TAIL_BYTES + 8, INNER_BITS);
        block[..TAIL_BYTES].copy_from_slice(encrypted[lane].as_chunks::<BLOCK_BYTES>().1);
        let number = first_number.wrapping_add(lane as u64);
        block[TAIL_BYTES..TAIL_BYTES + 8].copy_from_slice(&number.to_be_bytes());
        block
    });
    compress(&mut states, tails.each_ref().map(array::from_ref));

    let outer_blocks: [Block; N] = array::from_fn(|lane| {
        let mut block = last_block(MAC_BYTES, OUTER_BITS);
        block[..MAC_BYTES].copy_from_slice(&digest(states[lane]));
        block
    });
    states = [mac.outer; N];
    compress(&mut states, outer_blocks.each_ref().map(array::from_ref));
    states.map(|state| digest(state))
}

fn whole_blocks(encrypted: &[u8; PACKET_ENCRYPTED_BYTES]) -> &[Block; WHOLE_BLOCKS] {
    let (blocks, _) = encrypted.as_chunks();
    let Some((blocks, _)) = blocks.split_first_chunk() else { unreachable!("1,028 bytes are 16 blocks and a tail") };
    blocks
}

/// The last block of a hash: `used` bytes still to be written, and the padding behind them.
fn last_block(used: usize, total_bits: u64) -> Block {
    let mut block = [0; BLOCK_BYTES];
    block[used] = 0x80;
    block[BLOCK_BYTES - 8..].copy_from_slice(&total_bits.to_be_bytes());
    block
}

/// SHA-256's compression function over `COUNT` blocks of each of `N` lanes, whose rounds take turns.
///
/// The schedule is written out, because the compiler does not unroll a loop over it, and its words would then
/// be looked up in memory.
#[target_feature(enable = "sha,ssse3,sse4.1")]
fn compress<const N: usize, const COUNT: usize>(states: &mut [State; N], blocks: [&[Block; COUNT]; N]) {
    (0..COUNT).for_each(|index| compress_one(states, array::from_fn(|lane| &blocks[lane][index])));
}

#[target_feature(enable = "sha,ssse3,sse4.1")]
#[inline]
fn compress_one<const N: usize>(states: &mut [State; N], blocks: [&Block; N]) {
    let big_endian = _mm_set_epi64x(0x0c0d_0e0f_0809_0a0b, 0x0405_0607_0001_0203);
    let before = *states;

    // Four rounds for each lane, with four words of its message schedule.
    macro_rules! rounds {
        ($group:expr, $words:expr) => {
            for lane in 0..N {
                let [k0, k1, k2, k3] = ROUND_CONSTANTS[$group].map(|k| k as i32);
                let input = _mm_add_epi32($words[lane], _mm_set_epi32(k3, k2, k1, k0));
                let State { abef, cdgh } = &mut states[lane];
                *cdgh = _mm_sha256rnds2_epu32(*cdgh, *abef, input);
                *abef = _mm_sha256rnds2_epu32(*abef, *cdgh, _mm_shuffle_epi32::<0x0e>(input));
            }
        };
    }
    // The block's own words.
    macro_rules! first {
        ($group:expr) => {{
            let words: [__m128i; N] = array::from_fn(|lane| {
                let (quarters, _) = blocks[lane].as_chunks::<16>();
                _mm_shuffle_epi8(load(&quarters[$group]), big_endian)
            });
            rounds!($group, words);
            words
        }};
    }
    // The next four words out of the last sixteen, `w0` the oldest of them.
    macro_rules! next {
        ($group:expr, $w0:ident, $w1:ident, $w2:ident, $w3:ident) => {
            for lane in 0..N {
                let sum = _mm_add_epi32(
                    _mm_sha256msg1_epu32($w0[lane], $w1[lane]),
                    _mm_alignr_epi8::<4>($w3[lane], $w2[lane]),
                );
                $w0[lane] = _mm_sha256msg2_epu32(sum, $w3[lane]);
            }
            rounds!($group, $w0);
        };
    }

    let (mut w0, mut w1, mut w2, mut w3) = (first!(0), first!(1), first!(2), first!(3));
    next!(4, w0, w1, w2, w3);
    next!(5, w1, w2, w3, w0);
    next!(6, w2, w3, w0, w1);
    next!(7, w3, w0, w1, w2);
    next!(8, w0, w1, w2, w3);
    next!(9, w1, w2, w3, w0);
    next!(10, w2, w3, w0, w1);
    next!(11, w3, w0, w1, w2);
    next!(12, w0, w1, w2, w3);
    next!(13, w1, w2, w3, w0);
    next!(14, w2, w3, w0, w1);
    next!(15, w3, w0, w1, w2);

    for (state, before) in states.iter_mut().zip(before) {
        state.abef = _mm_add_epi32(state.abef, before.abef);
        state.cdgh = _mm_add_epi32(state.cdgh, before.cdgh);
    }
}

/// The state as a digest: eight big-endian words.
#[target_feature(enable = "sha,ssse3,sse4.1")]
fn digest(state: State) -> [u8; MAC_BYTES] {
    let big_endian = _mm_set_epi64x(0x0c0d_0e0f_0809_0a0b, 0x0405_0607_0001_0203);
    let feba = _mm_shuffle_epi32::<0x1b>(state.abef);
    let dchg = _mm_shuffle_epi32::<0xb1>(state.cdgh);
    let abcd = _mm_blend_epi16::<0xf0>(feba, dchg);
    let efgh = _mm_alignr_epi8::<8>(dchg, feba);
    let mut bytes = [[0; 16]; 2];
    store(_mm_shuffle_epi8(abcd, big_endian), &mut bytes[0]);
    store(_mm_shuffle_epi8(efgh, big_endian), &mut bytes[1]);
    let mut digest = [0; MAC_BYTES];
    digest.copy_from_slice(bytes.as_flattened());
    digest
}

#[target_feature(enable = "ssse3")]
fn load(bytes: &[u8; 16]) -> __m128i {
    // SAFETY: 16 bytes are read, of any alignment.
    unsafe { _mm_loadu_si128(bytes.as_ptr().cast()) }
}

#[target_feature(enable = "ssse3")]
fn store(vector: __m128i, bytes: &mut [u8; 16]) {
    // SAFETY: 16 bytes are written, of any alignment.
    unsafe { _mm_storeu_si128(bytes.as_mut_ptr().cast(), vector) }
}

/// Source: FIPS 180-4, 4.2.2.
const ROUND_CONSTANTS: [[u32; 4]; 16] = [
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
