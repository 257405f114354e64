//! A limit on the memory that all connections together use to buffer output for slow receivers.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

/// Counts the bytes buffered for slow receivers. Clones share one count.
#[derive(Clone, Debug)]
pub struct Budget {
    buffered: Arc<AtomicUsize>,
    limit_bytes: usize,
}

impl Budget {
    /// A budget of `limit_bytes`. Once it is exhausted, a direction reads only if its receiver has room, and one packet
    /// at a time, so that the total stops growing.
    #[must_use]
    pub fn new(limit_bytes: usize) -> Self {
        Self { buffered: Arc::default(), limit_bytes }
    }

    /// Bytes buffered now.
    #[must_use]
    pub fn buffered_bytes(&self) -> usize {
        self.buffered.load(Ordering::Relaxed)
    }

    pub(crate) fn is_exhausted(&self) -> bool {
        self.buffered_bytes() >= self.limit_bytes
    }

    pub(crate) fn buffer(&self, bytes: &[u8]) -> Buffered {
        self.buffered.fetch_add(bytes.len(), Ordering::Relaxed);
        Buffered { memory: bytes.into(), written: 0, budget: self.clone() }
    }
}

/// Output that the receiver had no room for. All of it counts against the budget until it is dropped.
pub(crate) struct Buffered {
    memory: Box<[u8]>,
    written: usize,
    budget: Budget,
}

impl Buffered {
    pub(crate) fn unsent(&self) -> &[u8] {
        &self.memory[self.written..]
    }

    pub(crate) fn advance(&mut self, bytes: usize) {
        self.written += bytes;
    }
}

impl Drop for Buffered {
    fn drop(&mut self) {
        self.budget.buffered.fetch_sub(self.memory.len(), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_counts_against_the_budget_until_it_is_dropped() {
        let budget = Budget::new(10);
        let mut first = budget.buffer(&[1; 6]);
        assert!(!budget.clone().is_exhausted());
        let second = budget.buffer(&[2; 4]);
        assert!(budget.clone().is_exhausted());
        first.advance(5);
        assert_eq!((first.unsent(), budget.buffered_bytes()), (&[1][..], 10));
        drop((first, second));
        assert_eq!(budget.buffered_bytes(), 0);
    }
}
