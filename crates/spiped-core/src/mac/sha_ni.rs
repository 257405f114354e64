//! SHA-256's compression function for several lanes, with x86-64's SHA instructions.

use std::{
    arch::{
        asm,
        x86_64::{
            __m128i, _mm_add_epi32, _mm_alignr_epi8, _mm_blend_epi16, _mm_loadu_si128, _mm_set_epi32, _mm_set_epi64x,
            _mm_sha256msg1_epu32, _mm_sha256msg2_epu32, _mm_sha256rnds2_epu32, _mm_shuffle_epi8, _mm_shuffle_epi32,
            _mm_storeu_si128,
        },
    },
    array, is_x86_feature_detected,
};

use zeroize::Zeroize;

use super::hmac::{Block, CompressionState, INITIAL, ROUND_CONSTANTS};
use crate::MAC_BYTES;

/// SHA-256's eight words, in the order that the instructions use.
#[derive(Clone, Copy)]
pub(super) struct State {
    abef: __m128i,
    cdgh: __m128i,
}

impl State {
    /// The initial state of every hash; `None` if the processor does not have the instructions. This is the only
    /// constructor.
    pub(super) fn initial() -> Option<Self> {
        let is_available =
            is_x86_feature_detected!("sha") && is_x86_feature_detected!("ssse3") && is_x86_feature_detected!("sse4.1");
        // SAFETY: checked that the processor has the instructions.
        is_available.then(|| unsafe { initial() })
    }
}

impl CompressionState for State {
    fn compress<const N: usize, const COUNT: usize>(states: &mut [Self; N], blocks: [&[Block; COUNT]; N]) {
        const { assert!(N > 0) }
        // SAFETY: a state exists, so `State::initial` has checked that the processor has the instructions.
        unsafe { compress(states, blocks) }
    }

    fn digest(&self) -> [u8; MAC_BYTES] {
        // SAFETY: a state exists, so `State::initial` has checked that the processor has the instructions.
        unsafe { digest(self) }
    }
}

impl Zeroize for State {
    fn zeroize(&mut self) {
        self.abef.zeroize();
        self.cdgh.zeroize();
    }
}

#[target_feature(enable = "sha,ssse3,sse4.1")]
fn initial() -> State {
    let [a, b, c, d, e, f, g, h] = INITIAL.map(|word| word as i32);
    State { abef: _mm_set_epi32(a, b, e, f), cdgh: _mm_set_epi32(c, d, g, h) }
}

/// Keeps the states in registers from block to block. The message schedule is unrolled by hand: the compiler does not
/// unroll a loop over it, and would keep its words in memory.
#[target_feature(enable = "sha,ssse3,sse4.1")]
fn compress<const N: usize, const COUNT: usize>(states: &mut [State; N], blocks: [&[Block; COUNT]; N]) {
    let mut now = *states;
    (0..COUNT).for_each(|index| {
        let before = now;

        // Four rounds for each lane, with four words of its message schedule.
        macro_rules! rounds {
            ($group:expr, $words:expr) => {
                for lane in 0..N {
                    let [k0, k1, k2, k3] = ROUND_CONSTANTS[$group].map(|k| k as i32);
                    let input = _mm_add_epi32($words[lane], _mm_set_epi32(k3, k2, k1, k0));
                    let State { abef, cdgh } = &mut now[lane];
                    *cdgh = _mm_sha256rnds2_epu32(*cdgh, *abef, input);
                    *abef = _mm_sha256rnds2_epu32(*abef, *cdgh, _mm_shuffle_epi32::<0x0e>(input));
                    keep_interleaved(abef);
                }
            };
        }
        // The first 16 words of the schedule are the block itself.
        macro_rules! first {
            ($group:expr) => {{
                let words: [__m128i; N] = array::from_fn(|lane| {
                    let (quarters, _) = blocks[lane][index].as_chunks::<16>();
                    swap_bytes_of_words(load(&quarters[$group]))
                });
                rounds!($group, words);
                words
            }};
        }
        // The next four words, from the last sixteen; `w0` holds the oldest four and is overwritten.
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

        for (state, before) in now.iter_mut().zip(before) {
            state.abef = _mm_add_epi32(state.abef, before.abef);
            state.cdgh = _mm_add_epi32(state.cdgh, before.cdgh);
        }
    });
    *states = now;
}

/// An empty `asm!` that keeps the rounds of the lanes interleaved. Without it the compiler groups the rounds by lane to
/// use fewer registers.
fn keep_interleaved(vector: &mut __m128i) {
    // SAFETY: it contains no instruction.
    unsafe { asm!("/* {} */", inout(xmm_reg) * vector, options(nomem, nostack, preserves_flags)) }
}

#[target_feature(enable = "sha,ssse3,sse4.1")]
fn digest(state: &State) -> [u8; MAC_BYTES] {
    let feba = _mm_shuffle_epi32::<0x1b>(state.abef);
    let dchg = _mm_shuffle_epi32::<0xb1>(state.cdgh);
    let abcd = _mm_blend_epi16::<0xf0>(feba, dchg);
    let efgh = _mm_alignr_epi8::<8>(dchg, feba);
    let mut bytes = [[0; 16]; 2];
    store(swap_bytes_of_words(abcd), &mut bytes[0]);
    store(swap_bytes_of_words(efgh), &mut bytes[1]);
    let mut digest = [0; MAC_BYTES];
    digest.copy_from_slice(bytes.as_flattened());
    digest
}

#[target_feature(enable = "ssse3")]
fn swap_bytes_of_words(words: __m128i) -> __m128i {
    _mm_shuffle_epi8(words, _mm_set_epi64x(0x0c0d_0e0f_0809_0a0b, 0x0405_0607_0001_0203))
}

#[target_feature(enable = "ssse3")]
fn load(bytes: &[u8; 16]) -> __m128i {
    // SAFETY: reads 16 bytes, of any alignment.
    unsafe { _mm_loadu_si128(bytes.as_ptr().cast()) }
}

#[target_feature(enable = "ssse3")]
fn store(vector: __m128i, bytes: &mut [u8; 16]) {
    // SAFETY: writes 16 bytes, of any alignment.
    unsafe { _mm_storeu_si128(bytes.as_mut_ptr().cast(), vector) }
}
