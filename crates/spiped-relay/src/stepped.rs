//! A relay without threads: whoever has it decides when it goes on, so that the same input does the same each time.

use std::{
    io,
    sync::Arc,
    time::{Duration, Instant},
};

use mio::Events;

use crate::{
    budget::Budget,
    connection::{Ended, Pair},
    courtesy::Courtesy,
    relay::Handle,
    worker::{EVENTS, Inbox, Worker},
};

/// See the head of this file.
pub struct Stepped {
    worker: Worker,
    inbox: Arc<Inbox>,
    events: Events,
    next_id: u64,
    coalescing: bool,
}

/// What comes after a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// Another step: there may be more to do.
    Step,
    /// Another step at this time.
    StepAt(Instant),
    /// Nothing, unless a socket becomes ready or somebody wants something.
    Nothing,
}

impl Stepped {
    /// Serves nobody yet.
    ///
    /// # Errors
    /// Where the system gives nothing to wait with.
    pub fn new(coalescing: bool, budget: &Budget) -> io::Result<Self> {
        let (worker, inbox) = Worker::new(budget.clone(), Arc::new(Courtesy::new()))?;
        Ok(Self { worker, inbox, events: Events::with_capacity(EVENTS), next_id: 0, coalescing })
    }

    /// Takes a connection, as [`Relay::add`] does.
    ///
    /// [`Relay::add`]: crate::Relay::add
    pub fn add(&mut self, pair: Pair, on_end: impl FnOnce(Ended) + Send + 'static) -> Handle {
        self.next_id += 1;
        Handle::of_new(self.next_id, &self.inbox, pair, self.coalescing, Box::new(on_end))
    }

    /// Does one round, without waiting for anything.
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
