//! SHA-256's compression function for several lanes, with aarch64's SHA2 instructions.

use std::{
    arch::{
        aarch64::{
            uint32x4_t, vaddq_u32, vld1q_u32, vsha256h2q_u32, vsha256hq_u32, vsha256su0q_u32, vsha256su1q_u32,
            vst1q_u32,
        },
        asm, is_aarch64_feature_detected,
    },
    array,
};

use zeroize::Zeroize;

use super::hmac::{Block, CompressionState, INITIAL, ROUND_CONSTANTS};
use crate::MAC_BYTES;

/// SHA-256's eight words.
#[derive(Clone, Copy)]
pub(super) struct State {
    abcd: uint32x4_t,
    efgh: uint32x4_t,
}

impl State {
    /// The initial state of every hash; `None` if the processor does not have the instructions. This is the only
    /// constructor.
    pub(super) fn initial() -> Option<Self> {
        // SAFETY: checked that the processor has the instructions.
        is_aarch64_feature_detected!("sha2").then(|| unsafe { initial() })
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
        self.abcd.zeroize();
        self.efgh.zeroize();
    }
}

#[target_feature(enable = "sha2")]
fn initial() -> State {
    let [a, b, c, d, e, f, g, h] = INITIAL;
    State { abcd: load(&[a, b, c, d]), efgh: load(&[e, f, g, h]) }
}

/// Keeps the states in registers from block to block. The message schedule is unrolled by hand: the compiler does not
/// unroll a loop over it, and would keep its words in memory.
#[target_feature(enable = "sha2")]
fn compress<const N: usize, const COUNT: usize>(states: &mut [State; N], blocks: [&[Block; COUNT]; N]) {
    let mut now = *states;
    (0..COUNT).for_each(|index| {
        let before = now;

        // Four rounds for each lane, with four words of its message schedule.
        macro_rules! rounds {
            ($group:expr, $words:expr) => {
                for lane in 0..N {
                    let input = vaddq_u32($words[lane], load(&ROUND_CONSTANTS[$group]));
                    let State { abcd, efgh } = now[lane];
                    now[lane] =
                        State { abcd: vsha256hq_u32(abcd, efgh, input), efgh: vsha256h2q_u32(efgh, abcd, input) };
                    keep_interleaved(&mut now[lane].abcd);
                }
            };
        }
        // The first 16 words of the schedule are the block itself.
        macro_rules! first {
            ($group:expr) => {{
                let words: [uint32x4_t; N] = array::from_fn(|lane| {
                    let (quarters, _) = blocks[lane][index].as_chunks::<16>();
                    load_big_endian(&quarters[$group])
                });
                rounds!($group, words);
                words
            }};
        }
        // The next four words, from the last sixteen; `w0` holds the oldest four and is overwritten.
        macro_rules! next {
            ($group:expr, $w0:ident, $w1:ident, $w2:ident, $w3:ident) => {
                for lane in 0..N {
                    $w0[lane] = vsha256su1q_u32(vsha256su0q_u32($w0[lane], $w1[lane]), $w2[lane], $w3[lane]);
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
            state.abcd = vaddq_u32(state.abcd, before.abcd);
            state.efgh = vaddq_u32(state.efgh, before.efgh);
        }
    });
    *states = now;
}

/// An empty `asm!` that keeps the rounds of the lanes interleaved. Without it the compiler may group
/// the rounds by lane.
fn keep_interleaved(vector: &mut uint32x4_t) {
    // SAFETY: it contains no instruction.
    unsafe { asm!("/* {:q} */", inout(vreg) * vector, options(nomem, nostack, preserves_flags)) }
}

#[target_feature(enable = "sha2")]
fn digest(state: &State) -> [u8; MAC_BYTES] {
    let words = [store(state.abcd), store(state.efgh)];
    let mut digest = [0; MAC_BYTES];
    for (bytes, word) in digest.as_chunks_mut().0.iter_mut().zip(words.as_flattened()) {
        *bytes = word.to_be_bytes();
    }
    digest
}

#[target_feature(enable = "neon")]
fn load_big_endian(bytes: &[u8; 16]) -> uint32x4_t {
    let (words, _) = bytes.as_chunks();
    load(&array::from_fn(|index| u32::from_be_bytes(words[index])))
}

#[target_feature(enable = "neon")]
fn load(words: &[u32; 4]) -> uint32x4_t {
    // SAFETY: reads four words.
    unsafe { vld1q_u32(words.as_ptr()) }
}

#[target_feature(enable = "neon")]
fn store(vector: uint32x4_t) -> [u32; 4] {
    let mut words = [0; 4];
    // SAFETY: writes four words.
    unsafe { vst1q_u32(words.as_mut_ptr(), vector) }
    words
}
