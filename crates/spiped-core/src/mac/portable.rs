//! SHA-256's compression function for processors without SHA-256 instructions, one lane after the other.
//!
//! Uses aws-lc where it is available, and the crate sha2 elsewhere; aws-lc's assembly takes two thirds of sha2's time.
//! ring has the same assembly, but its states cannot be wiped.

use zeroize::Zeroize;

use super::hmac::{Block, CompressionState, INITIAL};
use crate::MAC_BYTES;

/// SHA-256's eight words.
#[derive(Clone, Copy)]
pub(super) struct State([u32; 8]);

impl State {
    /// The initial state of every hash.
    pub(super) fn initial() -> Self {
        Self(INITIAL)
    }
}

impl CompressionState for State {
    fn compress<const N: usize, const COUNT: usize>(states: &mut [Self; N], blocks: [&[Block; COUNT]; N]) {
        for (state, blocks) in states.iter_mut().zip(blocks) {
            compress(&mut state.0, blocks);
        }
    }

    fn digest(&self) -> [u8; MAC_BYTES] {
        let mut digest = [0; MAC_BYTES];
        for (bytes, word) in digest.as_chunks_mut().0.iter_mut().zip(self.0) {
            *bytes = word.to_be_bytes();
        }
        digest
    }
}

impl Zeroize for State {
    fn zeroize(&mut self) {
        self.0.zeroize();
    }
}

#[cfg(all(any(target_arch = "x86_64", target_arch = "aarch64"), any(target_os = "linux", target_os = "macos")))]
#[allow(unsafe_code)]
fn compress<const COUNT: usize>(state: &mut [u32; 8], blocks: &[Block; COUNT]) {
    const { assert!(COUNT > 0) }
    // SAFETY: aws-lc reads and writes the eight words and reads `COUNT` blocks, which must be at least one. It keeps
    // neither pointer.
    unsafe {
        aws_lc_sys::SHA256_TransformBlocks(state.as_mut_ptr(), blocks.as_ptr().cast(), COUNT);
    }
}

#[cfg(not(all(any(target_arch = "x86_64", target_arch = "aarch64"), any(target_os = "linux", target_os = "macos"))))]
fn compress<const COUNT: usize>(state: &mut [u32; 8], blocks: &[Block; COUNT]) {
    sha2::block_api::compress256(state, blocks);
}

#[cfg(test)]
mod tests {
    use std::array;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_compression_function_matches_sha2(
            state: [u32; 8],
            halves: [[[u8; 32]; 2]; 16],
        ) {
            let blocks = halves.map(|halves| -> Block { array::from_fn(|index| halves.as_flattened()[index]) });
            let (mut ours, mut expected) = (state, state);
            compress(&mut ours, &blocks);
            compress(&mut ours, array::from_ref(&blocks[3]));
            sha2::block_api::compress256(&mut expected, &blocks);
            sha2::block_api::compress256(&mut expected, &blocks[3..4]);
            prop_assert_eq!(ours, expected);
        }
    }
}
