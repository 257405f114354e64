//! A relay without threads: the caller runs it step by step, so that tests are deterministic.

use std::{
    io,
    sync::Arc,
    time::{Duration, Instant},
};

use mio::Events;

use crate::{
    budget::Budget,
    connection::{Ended, Pair},
    fairness::Fairness,
    inbox::Inbox,
    relay::Handle,
    worker::{EVENTS, Worker},
};

/// A relay that runs only while [`Stepped::step`] is called.
pub struct Stepped {
    worker: Worker,
    inbox: Arc<Inbox>,
    events: Events,
    next_id: u64,
    coalescing: bool,
}

/// What to do after a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// Step again: there may be more to do.
    Step,
    /// Step again at this time.
    StepAt(Instant),
    /// Nothing, until a socket becomes ready or a connection is added or cancelled.
    Nothing,
}

impl Stepped {
    /// A relay without connections.
    ///
    /// # Errors
    /// The system's error if it cannot create a poll instance.
    pub fn new(coalescing: bool, budget: &Budget) -> io::Result<Self> {
        let (worker, inbox) = Worker::new(budget.clone(), Arc::new(Fairness::new()))?;
        Ok(Self { worker, inbox, events: Events::with_capacity(EVENTS), next_id: 0, coalescing })
    }

    /// Takes over a connection, as [`Relay::add`] does.
    ///
    /// [`Relay::add`]: crate::Relay::add
    pub fn add(&mut self, pair: Pair, on_end: impl FnOnce(Ended) + Send + 'static) -> Handle {
        self.next_id += 1;
        Handle::of_new(self.next_id, &self.inbox, pair, self.coalescing, Box::new(on_end))
    }

    /// Runs one round without blocking.
    pub fn step(&mut self) -> Then {
        let _ = self.worker.round(&mut self.events, Some(Duration::ZERO));
        match self.worker.next_turn() {
            _ if !self.events.is_empty() => Then::Step,
            None => Then::Nothing,
            Some(time) if time <= Instant::now() => Then::Step,
            Some(time) => Then::StepAt(time),
        }
    }
}
