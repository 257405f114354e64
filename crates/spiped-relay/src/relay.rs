//! The threads, and which of them takes a connection.

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
    courtesy::Courtesy,
    worker::{Command, Inbox, Worker},
};

const THREAD_NAME: &str = "relay-";

/// Whether this code runs on a thread of a relay.
#[must_use]
pub fn is_relay_thread() -> bool {
    thread::current().name().is_some_and(|name| name.starts_with(THREAD_NAME))
}

/// How a relay works.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Threads, at least 1.
    pub threads: usize,
    /// Whether busy streams of small messages wait up to 1 ms before they are read.
    pub coalescing: bool,
    /// What full receivers may hold in memory.
    pub budget: Budget,
}

/// Threads that move packets. Dropping it cancels the connections that it still has.
pub struct Relay {
    inboxes: Vec<Arc<Inbox>>,
    next_id: AtomicU64,
    coalescing: bool,
}

impl Relay {
    /// Starts the threads.
    ///
    /// # Errors
    /// Where the system gives no thread, or nothing to wait with.
    pub fn start(settings: &Settings) -> io::Result<Self> {
        let mut relay = Self { inboxes: Vec::new(), next_id: AtomicU64::new(0), coalescing: settings.coalescing };
        let courtesy = Arc::new(Courtesy::new());
        for number in 0..settings.threads.max(1) {
            let (worker, inbox) = Worker::new(settings.budget.clone(), Arc::clone(&courtesy))?;
            // Those that are started end with `relay` where one is not.
            thread::Builder::new().name(format!("{THREAD_NAME}{number}")).spawn(move || worker.run())?;
            relay.inboxes.push(inbox);
        }
        Ok(relay)
    }

    /// Takes a connection. `on_end` is called once, on one of the threads; it must not wait.
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

/// A connection that was handed over. Dropping the handle lets it go on.
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

    /// Ends the connection, unless it has ended already.
    pub fn cancel(&self) {
        self.inbox.send(Command::Cancel(self.id));
    }

    /// Bytes moved so far.
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
