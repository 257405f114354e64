//! What connections whose receivers are full may hold in memory, all together.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

/// Counts bytes that wait for full receivers. A clone counts in the same place.
#[derive(Clone, Debug)]
pub struct Budget {
    held: Arc<AtomicUsize>,
    limit_bytes: usize,
}

impl Budget {
    /// A budget of `limit_bytes`. Beyond it a direction reads only for a receiver that has room, and a packet at a
    /// time, so that what is held grows no further.
    #[must_use]
    pub fn new(limit_bytes: usize) -> Self {
        Self { held: Arc::default(), limit_bytes }
    }

    /// Bytes held now.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }

    pub(crate) fn is_used_up(&self) -> bool {
        self.held_bytes() >= self.limit_bytes
    }

    pub(crate) fn hold(&self, bytes: &[u8]) -> Held {
        self.held.fetch_add(bytes.len(), Ordering::Relaxed);
        Held { memory: bytes.into(), written: 0, budget: self.clone() }
    }
}

/// Output that its receiver had no room for. Its memory counts until it is dropped.
pub(crate) struct Held {
    memory: Box<[u8]>,
    written: usize,
    budget: Budget,
}

impl Held {
    pub(crate) fn rest(&self) -> &[u8] {
        &self.memory[self.written..]
    }

    pub(crate) fn advance(&mut self, bytes: usize) {
        self.written += bytes;
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.budget.held.fetch_sub(self.memory.len(), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_counts_from_when_it_is_held_until_it_is_dropped() {
        let budget = Budget::new(10);
        let mut first = budget.hold(&[1; 6]);
        assert!(!budget.clone().is_used_up());
        let second = budget.hold(&[2; 4]);
        assert!(budget.clone().is_used_up());
        first.advance(5);
        assert_eq!((first.rest(), budget.held_bytes()), (&[1][..], 10));
        drop((first, second));
        assert_eq!(budget.held_bytes(), 0);
    }
}
