//! The relay's threads, and the choice of a thread for each new connection.

use std::{
    fmt, io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use crate::{
    budget::Budget,
    connection::{Connection, Counters, Ended, OnEnd, Pair},
    fairness::Fairness,
    inbox::{Command, Inbox},
    worker::Worker,
};

const THREAD_NAME: &str = "relay-";

/// Whether the current thread belongs to a relay.
#[must_use]
pub fn is_relay_thread() -> bool {
    thread::current().name().is_some_and(|name| name.starts_with(THREAD_NAME))
}

/// A relay's settings.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Number of threads; 0 counts as 1.
    pub threads: usize,
    /// Whether to delay reads of busy streams of small messages, by up to 1 ms, to read more at once.
    pub coalescing: bool,
    /// Limits the memory that buffers output for slow receivers.
    pub budget: Budget,
}

/// Threads that move packets between sockets. Dropping the relay cancels its connections.
pub struct Relay {
    inboxes: Vec<Arc<Inbox>>,
    next_id: AtomicU64,
    coalescing: bool,
}

impl Relay {
    /// Starts the threads.
    ///
    /// # Errors
    /// The system's error if it cannot create a thread or a poll instance.
    pub fn start(settings: &Settings) -> io::Result<Self> {
        let mut relay = Self { inboxes: Vec::new(), next_id: AtomicU64::new(0), coalescing: settings.coalescing };
        let fairness = Arc::new(Fairness::new());
        for number in 0..settings.threads.max(1) {
            let (worker, inbox) = Worker::new(settings.budget.clone(), Arc::clone(&fairness))?;
            // If this fails, dropping `relay` stops the threads that run already.
            thread::Builder::new().name(format!("{THREAD_NAME}{number}")).spawn(move || worker.run())?;
            relay.inboxes.push(inbox);
        }
        Ok(relay)
    }

    /// Takes over a connection. `on_end` is called once, on a relay thread; it must not block.
    pub fn add(&self, pair: Pair, on_end: impl FnOnce(Ended) + Send + 'static) -> Handle {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        Handle::of_new(id, self.least_busy(), pair, self.coalescing, Box::new(on_end))
    }

    fn least_busy(&self) -> &Arc<Inbox> {
        let Some(inbox) = self.inboxes.iter().min_by_key(|inbox| inbox.connections()) else {
            unreachable!("there is at least one thread")
        };
        inbox
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        for inbox in &self.inboxes {
            inbox.send(Command::Stop);
        }
    }
}

impl fmt::Debug for Relay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Relay").field("threads", &self.inboxes.len()).finish_non_exhaustive()
    }
}

/// A connection in the relay. Dropping the handle does not end the connection.
pub struct Handle {
    id: u64,
    inbox: Arc<Inbox>,
    counters: Arc<Counters>,
}

impl Handle {
    pub(crate) fn of_new(id: u64, inbox: &Arc<Inbox>, pair: Pair, coalescing: bool, on_end: OnEnd) -> Self {
        let counters = Arc::<Counters>::default();
        let connection = Connection::new(pair, Arc::clone(&counters), coalescing, on_end);
        inbox.send(Command::Add(id, Box::new(connection)));
        Self { id, inbox: Arc::clone(inbox), counters }
    }

    /// Cancels the connection; does nothing if it has ended.
    pub fn cancel(&self) {
        self.inbox.send(Command::Cancel(self.id));
    }

    /// Bytes forwarded so far.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.counters
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").field("id", &self.id).field("counters", &self.counters).finish_non_exhaustive()
    }
}
