//! Coalesces small reads. A busy one-way stream of small messages would otherwise cost a wake-up and two system calls
//! per hop for every message or two; delaying the next read by up to [`WAIT`] lets one read take many messages.
//!
//! Only reads are delayed: data that was read is sent at once. A delay starts after [`SMALL_READS`] reads of less than
//! [`SMALL_BYTES`], each within [`GAP`] of the one before and with no data in the other direction in between, so
//! requests and responses are never delayed. Differs from spiped, which reads whatever has arrived.

use std::time::{Duration, Instant};

/// How long the next read of a busy stream of small messages is delayed.
pub(crate) const WAIT: Duration = Duration::from_millis(1);
/// Consecutive small reads before the first delay.
pub(crate) const SMALL_READS: u32 = 8;
/// Reads of fewer bytes are small.
pub(crate) const SMALL_BYTES: usize = 16 * 1_024;
/// A longer pause between two reads means that the stream is not busy.
pub(crate) const GAP: Duration = Duration::from_micros(500);

/// Decides when one direction reads next.
pub(crate) struct Coalescer {
    enabled: bool,
    small_reads: u32,
    /// From when on the next read was possible, had there been data.
    ready_at: Instant,
}

impl Coalescer {
    pub(crate) fn new(enabled: bool, now: Instant) -> Self {
        Self { enabled, small_reads: 0, ready_at: now }
    }

    /// Records a read of `bytes`. Returns the time until which the next read is delayed, if it is.
    pub(crate) fn after_read(&mut self, bytes: usize, now: Instant) -> Option<Instant> {
        let busy = now.saturating_duration_since(self.ready_at) < GAP;
        self.small_reads = if bytes < SMALL_BYTES && busy { self.small_reads.saturating_add(1) } else { 0 };
        let wait = (self.enabled && self.small_reads >= SMALL_READS).then(|| now + WAIT);
        self.ready_at = wait.unwrap_or(now);
        wait
    }

    /// Data arrived in the other direction, so the stream is a conversation: starts counting again.
    pub(crate) fn interrupt(&mut self) {
        self.small_reads = 0;
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    fn after_small_reads(count: u32) -> (Coalescer, Instant) {
        let start = Instant::now();
        let mut coalescer = Coalescer::new(true, start);
        for _ in 0..count {
            assert_eq!(coalescer.after_read(80, start), None);
        }
        (coalescer, start)
    }

    #[test]
    fn the_eighth_small_read_in_a_row_delays_the_next() {
        let (mut coalescer, start) = after_small_reads(SMALL_READS - 1);
        assert_eq!(coalescer.after_read(80, start), Some(start + WAIT));
    }

    #[test]
    fn a_pause_a_large_read_or_data_in_the_other_direction_restarts_the_count() {
        let (mut coalescer, start) = after_small_reads(SMALL_READS - 1);
        assert_eq!(coalescer.after_read(80, start + GAP), None);
        let (mut coalescer, start) = after_small_reads(SMALL_READS - 1);
        assert_eq!(coalescer.after_read(SMALL_BYTES, start), None);
        assert_eq!(coalescer.after_read(80, start), None);
        let (mut coalescer, start) = after_small_reads(SMALL_READS - 1);
        coalescer.interrupt();
        assert_eq!(coalescer.after_read(80, start), None);
    }

    #[test]
    fn a_delay_does_not_count_as_a_pause() {
        let (mut coalescer, start) = after_small_reads(SMALL_READS - 1);
        assert!(coalescer.after_read(80, start).is_some());
        let woken = start + WAIT + GAP / 2;
        assert_eq!(coalescer.after_read(80, woken), Some(woken + WAIT));
    }

    #[test]
    fn a_disabled_coalescer_never_delays() {
        let start = Instant::now();
        let mut coalescer = Coalescer::new(false, start);
        assert!((0..100).all(|_| coalescer.after_read(80, start).is_none()));
    }

    proptest! {
        #[test]
        fn no_read_is_delayed_beyond_the_limit_or_without_eight_small_reads_before_it(
            reads in vec((0_u64..1_200, 1_usize..40_000, any::<bool>()), 0..200),
        ) {
            let mut now = Instant::now();
            let mut coalescer = Coalescer::new(true, now);
            let (mut ready_at, mut in_a_row) = (now, 0);
            for (later_us, bytes, answered) in reads {
                if answered {
                    coalescer.interrupt();
                    in_a_row = 0;
                }
                now = ready_at + Duration::from_micros(later_us);
                in_a_row = if bytes < SMALL_BYTES && later_us < 500 { in_a_row + 1 } else { 0 };
                let wait = coalescer.after_read(bytes, now);
                prop_assert_eq!(wait.is_some(), in_a_row >= SMALL_READS);
                prop_assert!(wait.is_none_or(|until| until - now <= WAIT));
                ready_at = wait.unwrap_or(now);
            }
        }
    }
}
