//! The commands that other threads send to a worker.

use std::{
    collections::VecDeque,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use mio::Waker;

use crate::connection::Connection;

/// A command to a worker.
pub(crate) enum Command {
    Add(u64, Box<Connection>),
    Cancel(u64),
    Stop,
    /// Panics, for tests of how panics are contained.
    #[cfg(test)]
    Panic,
}

/// A worker's queue of commands.
pub(crate) struct Inbox {
    commands: Mutex<VecDeque<Command>>,
    waker: Waker,
    connections: AtomicUsize,
}

impl Inbox {
    pub(crate) fn new(waker: Waker) -> Self {
        Self { commands: Mutex::default(), waker, connections: AtomicUsize::new(0) }
    }

    pub(crate) fn send(&self, command: Command) {
        if matches!(command, Command::Add(..)) {
            self.connections.fetch_add(1, Ordering::Relaxed);
        }
        self.commands().push_back(command);
        self.wake();
    }

    /// Takes the oldest command.
    pub(crate) fn next(&self) -> Option<Command> {
        self.commands().pop_front()
    }

    /// How many commands wait.
    pub(crate) fn len(&self) -> usize {
        self.commands().len()
    }

    /// Wakes the worker, for commands that it has not run yet.
    pub(crate) fn wake(&self) {
        // This only fails if the waker's pipe is full, and then the worker wakes up anyway.
        let _ = self.waker.wake();
    }

    fn commands(&self) -> MutexGuard<'_, VecDeque<Command>> {
        self.commands.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many connections the worker serves, including those still in the queue.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    /// A connection has ended.
    pub(crate) fn connection_ended(&self) {
        self.connections.fetch_sub(1, Ordering::Relaxed);
    }
}
