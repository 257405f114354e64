//! Powers of the generator from a precomputed table: a fifth of the work of an exponentiation.
//!
//! The bits of x are laid out in [`TEETH`] rows of [`COLUMNS`] each:
//!
//! ```text
//! tooth 0:   bit   0   bit   1   …   bit  51
//! tooth 1:   bit  52   bit  53   …   bit 103
//!   ⋮
//! tooth 4:   bit 208   bit 209   …   bit 259
//! ```
//!
//! The bits of a column are an index into a table of powers of g. Each of [`TABLES`] tables covers [`TABLE_COLUMNS`]
//! adjacent columns, so that one squaring serves one column of every table.
//!
//! Source: Lim and Lee, "More flexible exponentiation with precomputation", CRYPTO '94.

use std::sync::LazyLock;

use crypto_bigint::{CtAssign, CtEq, U320, Word};

use super::{EXPONENT_BITS, G, Residue};

const TEETH: usize = 5;
const TABLES: usize = 4;
const TABLE_COLUMNS: usize = 13;
const COLUMNS: usize = TABLES * TABLE_COLUMNS;
const _: () = assert!(TEETH * COLUMNS >= EXPONENT_BITS as usize);

/// Entry i is the product of g^(2^b) over the bits b of the table's first column that are set in i.
type Table = [Residue; 1 << TEETH];

/// The tables, 32 KiB, computed on first use.
static COMB: LazyLock<Box<[Table; TABLES]>> = LazyLock::new(|| {
    // g^(2^b) for the first bit b of each table in each tooth, in the order of b.
    let mut first_columns = [G; TEETH * TABLES];
    for index in 1..first_columns.len() {
        first_columns[index] = first_columns[index - 1].square_repeat_vartime(TABLE_COLUMNS as u32);
    }
    let mut comb = Box::new([[Residue::ONE; 1 << TEETH]; TABLES]);
    for (number, table) in comb.iter_mut().enumerate() {
        for index in 1..table.len() {
            let lowest_tooth = index.trailing_zeros() as usize;
            let without_it = index & (index - 1);
            table[index] = table[without_it].mul(&first_columns[lowest_tooth * TABLES + number]);
        }
    }
    comb
});

/// g^x for an x of at most [`EXPONENT_BITS`] bits, in constant time.
pub(super) fn power_of_g(x: &U320) -> Residue {
    let mut power = Residue::ONE;
    for column in (0..TABLE_COLUMNS).rev() {
        power = power.square();
        for (number, table) in COMB.iter().enumerate() {
            power = power.mul(&select(table, index_of(x, number * TABLE_COLUMNS + column)));
        }
    }
    power
}

/// The bits of one column, as a table index.
fn index_of(x: &U320, column: usize) -> Word {
    (0..TEETH).map(|tooth| bit(x, tooth * COLUMNS + column) << tooth).sum()
}

/// One bit of x, as 0 or 1, without a branch.
fn bit(x: &U320, position: usize) -> Word {
    const WORD_BITS: usize = Word::BITS as usize;
    x.as_words()[position / WORD_BITS] >> (position % WORD_BITS) & 1
}

/// Selects an entry in constant time. Reads the whole table, so that cache timing does not reveal the index.
fn select(table: &Table, index: Word) -> Residue {
    let mut selected = table[0];
    for (candidate, entry) in (0..).zip(table) {
        selected.ct_assign(entry, candidate.ct_eq(&index));
    }
    selected
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn assert_comb_matches_pow(x: &U320) {
        assert_eq!(power_of_g(x), G.pow_bounded_exp(x, EXPONENT_BITS));
    }

    #[test]
    fn the_comb_matches_exponentiation_for_every_single_bit() {
        for bit in 0..EXPONENT_BITS {
            assert_comb_matches_pow(&U320::ONE.shl_vartime(bit));
        }
        assert_comb_matches_pow(&U320::ZERO);
        assert_comb_matches_pow(&U320::MAX.shr_vartime(U320::BITS - EXPONENT_BITS));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn the_comb_matches_exponentiation_for_any_exponent(words in any::<[u64; 5]>()) {
            let mut bytes = [0; U320::BYTES];
            for (chunk, word) in bytes.chunks_mut(8).zip(words) {
                chunk.copy_from_slice(&word.to_be_bytes());
            }
            assert_comb_matches_pow(&U320::from_be_slice(&bytes).shr_vartime(U320::BITS - EXPONENT_BITS));
        }
    }
}
