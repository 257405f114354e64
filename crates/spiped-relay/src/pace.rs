//! When a stream is read. A busy one-way stream of small messages would cost a wake-up and two system calls at every
//! stage for each message or two; it waits for up to [`WAIT`] before the next read, so that one read takes many.
//!
//! Only the read waits: what was read goes out at once. And only after [`SMALL_READS`] reads of less than
//! [`SMALL_BYTES`], each within [`GAP`] of the one before, with nothing in the other direction in between. So requests
//! and their answers never wait. Differs from spiped, which reads whatever is there.

use std::time::{Duration, Instant};

/// How long a busy stream of small messages waits before it is read again.
pub(crate) const WAIT: Duration = Duration::from_millis(1);
/// Small reads in a row before the first wait.
pub(crate) const SMALL_READS: u32 = 8;
/// A read of so many bytes is not small.
pub(crate) const SMALL_BYTES: usize = 16 * 1_024;
/// A stream that lets so much time go by is not busy.
pub(crate) const GAP: Duration = Duration::from_micros(500);

/// The pace of one direction.
pub(crate) struct Pace {
    enabled: bool,
    small_reads: u32,
    /// When the next read might have been done, had there been bytes.
    ready_at: Instant,
}

impl Pace {
    pub(crate) fn new(enabled: bool, now: Instant) -> Self {
        Self { enabled, small_reads: 0, ready_at: now }
    }

    /// A read gave `bytes`. Returns until when the next one waits, if it does.
    pub(crate) fn after_read(&mut self, bytes: usize, now: Instant) -> Option<Instant> {
        let busy = now.saturating_duration_since(self.ready_at) < GAP;
        self.small_reads = if bytes < SMALL_BYTES && busy { self.small_reads.saturating_add(1) } else { 0 };
        let wait = (self.enabled && self.small_reads >= SMALL_READS).then(|| now + WAIT);
        self.ready_at = wait.unwrap_or(now);
        wait
    }

    /// Something came in the other direction: this is a conversation.
    pub(crate) fn interrupt(&mut self) {
        self.small_reads = 0;
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    fn after_small_reads(count: u32) -> (Pace, Instant) {
        let start = Instant::now();
        let mut pace = Pace::new(true, start);
        for _ in 0..count {
            assert_eq!(pace.after_read(80, start), None);
        }
        (pace, start)
    }

    #[test]
    fn the_eighth_small_read_in_a_row_is_the_first_that_another_waits_after() {
        let (mut pace, start) = after_small_reads(SMALL_READS - 1);
        assert_eq!(pace.after_read(80, start), Some(start + WAIT));
    }

    #[test]
    fn a_pause_a_large_read_or_the_other_direction_begin_anew() {
        let (mut pace, start) = after_small_reads(SMALL_READS - 1);
        assert_eq!(pace.after_read(80, start + GAP), None);
        let (mut pace, start) = after_small_reads(SMALL_READS - 1);
        assert_eq!(pace.after_read(SMALL_BYTES, start), None);
        assert_eq!(pace.after_read(80, start), None);
        let (mut pace, start) = after_small_reads(SMALL_READS - 1);
        pace.interrupt();
        assert_eq!(pace.after_read(80, start), None);
    }

    #[test]
    fn the_time_of_a_wait_is_no_pause() {
        let (mut pace, start) = after_small_reads(SMALL_READS - 1);
        assert!(pace.after_read(80, start).is_some());
        let woken = start + WAIT + GAP / 2;
        assert_eq!(pace.after_read(80, woken), Some(woken + WAIT));
    }

    #[test]
    fn switched_off_it_never_waits() {
        let start = Instant::now();
        let mut pace = Pace::new(false, start);
        assert!((0..100).all(|_| pace.after_read(80, start).is_none()));
    }

    proptest! {
        #[test]
        fn no_read_waits_longer_than_the_bound_or_without_eight_small_ones_before_it(
            reads in vec((0_u64..1_200, 1_usize..40_000, any::<bool>()), 0..200),
        ) {
            let mut now = Instant::now();
            let mut pace = Pace::new(true, now);
            let (mut ready_at, mut in_a_row) = (now, 0);
            for (later_us, bytes, answered) in reads {
                if answered {
                    pace.interrupt();
                    in_a_row = 0;
                }
                now = ready_at + Duration::from_micros(later_us);
                in_a_row = if bytes < SMALL_BYTES && later_us < 500 { in_a_row + 1 } else { 0 };
                let wait = pace.after_read(bytes, now);
                prop_assert_eq!(wait.is_some(), in_a_row >= SMALL_READS);
                prop_assert!(wait.is_none_or(|until| until - now <= WAIT));
                ready_at = wait.unwrap_or(now);
            }
        }
    }
}
