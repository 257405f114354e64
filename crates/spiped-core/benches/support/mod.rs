//! A minimal timer, instead of a benchmark framework.

use std::{hint::black_box, time::Instant};

const ROUNDS: usize = 7;

/// Nanoseconds per call, from the best of several rounds, which other load disturbs least.
pub(crate) fn best_ns<T>(calls: u32, mut call: impl FnMut() -> T) -> f64 {
    (0..ROUNDS)
        .map(|_| {
            let start = Instant::now();
            for _ in 0..calls {
                black_box(call());
            }
            start.elapsed().as_nanos() as f64 / f64::from(calls)
        })
        .fold(f64::INFINITY, f64::min)
}
