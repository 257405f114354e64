//! Whether somebody quiet is about: a connection of small messages, whose program waits for each answer.
//!
//! While there is, busy connections read less a turn and give the processor up after each round: whoever waits for an
//! answer waits for the others' turns in this thread, and for their time on the processors in all threads, in the other end
//! and in the programs. While there is not, all of that would only cost.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use spiped_core::PACKET_BYTES;

/// A read of at most so many bytes is a quiet connection's.
const SMALL_BYTES: usize = 2 * PACKET_BYTES;
/// Whoever has read nothing for so long is no longer about.
const ABOUT: Duration = Duration::from_millis(20);

/// One for all threads of a relay.
#[derive(Debug)]
pub(crate) struct Courtesy {
    start: Instant,
    /// Microseconds from `start`.
    until: AtomicU64,
}

impl Courtesy {
    pub(crate) fn new() -> Self {
        Self { start: Instant::now(), until: AtomicU64::new(0) }
    }

    /// Something was read.
    pub(crate) fn saw(&self, bytes: usize, now: Instant) {
        if bytes <= SMALL_BYTES {
            self.until.store(self.micros(now + ABOUT), Ordering::Relaxed);
        }
    }

    /// Whether somebody quiet is about.
    pub(crate) fn is_due(&self, now: Instant) -> bool {
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
    fn it_is_due_from_a_small_read_on_and_for_a_while() {
        let courtesy = Courtesy::new();
        let now = Instant::now();
        courtesy.saw(SMALL_BYTES + 1, now);
        assert!(!courtesy.is_due(now));
        courtesy.saw(SMALL_BYTES, now);
        assert!(courtesy.is_due(now) && courtesy.is_due(now + ABOUT / 2));
        assert!(!courtesy.is_due(now + ABOUT));
    }
}
