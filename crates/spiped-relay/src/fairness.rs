//! Fairness between bulk transfers and interactive connections, which exchange small messages and wait for each answer.
//!
//! While any connection is interactive, busy ones read less per turn, and threads yield the processor after each round:
//! an answer has to wait for the other connections' turns on its thread, and for the processor time that other threads,
//! the peer and the programs take. Without interactive connections, both measures would only cost throughput.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use spiped_core::PACKET_BYTES;

/// A read of at most this many bytes counts as interactive.
const SMALL_BYTES: usize = 2 * PACKET_BYTES;
/// How long an interactive read keeps fairness active.
const ACTIVE_FOR: Duration = Duration::from_millis(20);

/// Shared by all threads of a relay.
#[derive(Debug)]
pub(crate) struct Fairness {
    start: Instant,
    /// When fairness ends, in microseconds from `start`.
    until: AtomicU64,
}

impl Fairness {
    pub(crate) fn new() -> Self {
        Self { start: Instant::now(), until: AtomicU64::new(0) }
    }

    /// Records a read of `bytes`.
    pub(crate) fn record_read(&self, bytes: usize, now: Instant) {
        if bytes <= SMALL_BYTES {
            self.until.store(self.micros(now + ACTIVE_FOR), Ordering::Relaxed);
        }
    }

    /// Whether any connection was interactive within the last 20 ms.
    pub(crate) fn is_active(&self, now: Instant) -> bool {
        self.micros(now) < self.until.load(Ordering::Relaxed)
    }

    fn micros(&self, time: Instant) -> u64 {
        u64::try_from(time.saturating_duration_since(self.start).as_micros()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_read_activates_fairness_for_a_while() {
        let fairness = Fairness::new();
        let now = Instant::now();
        fairness.record_read(SMALL_BYTES + 1, now);
        assert!(!fairness.is_active(now));
        fairness.record_read(SMALL_BYTES, now);
        assert!(fairness.is_active(now) && fairness.is_active(now + ACTIVE_FOR / 2));
        assert!(!fairness.is_active(now + ACTIVE_FOR));
    }
}
