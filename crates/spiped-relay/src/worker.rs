//! One thread of the relay: waits until sockets are ready, then gives each direction that has something to do one turn,
//! so that no connection waits longer than one turn of every other.

use std::{
    any::Any,
    collections::{HashMap, VecDeque},
    io::{self, ErrorKind},
    ops::ControlFlow,
    os::fd::AsRawFd,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use mio::{Events, Interest, Poll, Token, Waker, event::Event, unix::SourceFd};
use slab::Slab;

use crate::{
    budget::Budget,
    connection::{Connection, End, Side, Way},
    dead_peer::DeadPeerDetector,
    direction::Scratch,
    fairness::Fairness,
    inbox::{Command, Inbox},
};

mod turns;

const WAKE: Token = Token(usize::MAX);
pub(crate) const EVENTS: usize = 256;
/// How often connections are checked for dead peers.
const LIVENESS_INTERVAL: Duration = Duration::from_secs(10);

struct Slot {
    id: u64,
    connection: Connection,
    /// Whether each direction is in the queue.
    queued: [bool; 2],
    /// Whether each side was sent something that it may not have acknowledged.
    sent: [bool; 2],
    detectors: [DeadPeerDetector; 2],
}

/// One thread's connections and what it needs to serve them.
pub(crate) struct Worker {
    poll: Poll,
    inbox: Arc<Inbox>,
    budget: Budget,
    fairness: Arc<Fairness>,
    slots: Slab<Slot>,
    keys: HashMap<u64, usize>,
    queue: VecDeque<(usize, Way)>,
    /// Delayed reads in the order of their times, since all delays are equal; some may no longer apply.
    waits: VecDeque<(Instant, u64, Way)>,
    /// How often, and when next, to look for dead peers.
    liveness_interval: Duration,
    next_liveness_check: Option<Instant>,
    scratch: Scratch,
    /// Whether it was told to stop; kept here so that a later panic does not lose it.
    stops: bool,
    /// Rounds in a row that panicked or could not wait for sockets.
    failures: u32,
}

impl Worker {
    pub(crate) fn new(budget: Budget, fairness: Arc<Fairness>) -> io::Result<(Self, Arc<Inbox>)> {
        let poll = Poll::new()?;
        let waker = Waker::new(poll.registry(), WAKE)?;
        let inbox = Arc::new(Inbox::new(waker));
        let worker = Self {
            poll,
            inbox: Arc::clone(&inbox),
            budget,
            fairness,
            slots: Slab::new(),
            keys: HashMap::new(),
            queue: VecDeque::new(),
            waits: VecDeque::new(),
            liveness_interval: LIVENESS_INTERVAL,
            next_liveness_check: None,
            scratch: Scratch::new(),
            stops: false,
            failures: 0,
        };
        Ok((worker, inbox))
    }

    /// Serves until told to stop, then cancels its connections.
    pub(crate) fn run(mut self) {
        let mut events = Events::with_capacity(EVENTS);
        loop {
            if self.failures > 1 {
                thread::sleep(pause_after(self.failures));
            }
            // A turn catches its own panics. One anywhere else ends this thread's connections, but not the thread.
            match catch_unwind(AssertUnwindSafe(|| self.round(&mut events, self.longest_sleep()))) {
                Ok(ControlFlow::Continue(())) => {}
                Ok(ControlFlow::Break(())) => return self.end_all(|| End::Cancelled),
                Err(panic) => {
                    self.failures = self.failures.saturating_add(1);
                    self.end_all(|| End::Failed(panic_message(&*panic)));
                    // Commands may be left, whose senders have woken this thread already.
                    self.inbox.wake();
                }
            }
        }
    }

    /// Waits for at most `longest_sleep`, then gives each direction that has something to do one turn.
    pub(crate) fn round(&mut self, events: &mut Events, longest_sleep: Option<Duration>) -> ControlFlow<()> {
        events.clear();
        #[cfg(feature = "panics")]
        crate::panic_if_asked("relay round");
        let failed = match self.poll.poll(events, longest_sleep) {
            Err(error) if error.kind() != ErrorKind::Interrupted => Some(error),
            _ => None,
        };
        for event in events.iter().filter(|event| event.token() != WAKE) {
            self.handle_event(event);
        }
        if self.run_commands() {
            return ControlFlow::Break(());
        }
        if let Some(error) = &failed {
            self.failures = self.failures.saturating_add(1);
            self.end_all(|| End::Failed(format!("cannot wait for sockets: {error}")));
        }
        self.resume_waiting();
        self.check_liveness();
        let turns = self.queue.len();
        for _ in 0..turns {
            if let Some((key, way)) = self.queue.pop_front() {
                self.turn(key, way);
            }
        }
        if turns > 1 && self.fairness.is_active(Instant::now()) {
            thread::yield_now();
        }
        if failed.is_none() {
            self.failures = 0;
        }
        ControlFlow::Continue(())
    }

    /// When the next turn is due even if no socket becomes ready: at once, or after a delay.
    #[cfg(feature = "stepped")]
    pub(crate) fn next_turn(&self) -> Option<Instant> {
        match self.queue.is_empty() {
            false => Some(Instant::now()),
            true => self.waits.front().map(|&(until, ..)| until),
        }
    }

    fn longest_sleep(&self) -> Option<Duration> {
        if !self.queue.is_empty() {
            return Some(Duration::ZERO);
        }
        let next = self.waits.front().map(|&(until, ..)| until).into_iter().chain(self.next_liveness_check).min();
        next.map(|until| until.saturating_duration_since(Instant::now()))
    }

    fn handle_event(&mut self, event: &Event) {
        let (key, side) = key_and_side(event.token());
        let Some(Slot { connection, .. }) = self.slots.get_mut(key) else { return };
        let (reading, writing) = match side {
            Side::Source => (Way::Forward, Way::Reverse),
            Side::Target => (Way::Reverse, Way::Forward),
        };
        let end_pending = event.is_read_closed() || event.is_error() || event.is_write_closed();
        let reads = event.is_readable() || end_pending;
        if reads {
            connection.direction(reading).became_readable(end_pending);
        }
        // Every report of readable data also says that the socket is writable, which is rarely news.
        let writes = end_pending || (event.is_writable() && !connection.direction(writing).is_writable());
        if writes {
            connection.direction(writing).became_writable();
        }
        if event.is_error()
            && let Some(end) = connection.socket_failed(side)
        {
            return self.end(key, end);
        }
        if reads {
            self.enqueue(key, reading);
        }
        if writes {
            self.enqueue(key, writing);
        }
    }

    /// Runs the commands in the inbox. Returns whether to stop.
    fn run_commands(&mut self) -> bool {
        // One by one: a panic must not lose the commands after it, whose connections would never end.
        let count = self.inbox.len();
        for _ in 0..count {
            let Some(command) = self.inbox.next() else { break };
            match command {
                Command::Add(id, connection) => self.add(id, *connection),
                Command::Cancel(id) => {
                    if let Some(&key) = self.keys.get(&id) {
                        self.end(key, End::Cancelled);
                    }
                }
                Command::Stop => self.stops = true,
                #[cfg(test)]
                Command::Panic => panic!("asked to panic"),
            }
        }
        self.stops
    }

    fn add(&mut self, id: u64, connection: Connection) {
        let slot = Slot { id, connection, queued: [false; 2], sent: [false; 2], detectors: Default::default() };
        let key = self.slots.insert(slot);
        #[cfg(feature = "panics")]
        crate::panic_if_asked("relay add");
        self.keys.insert(id, key);
        if let Err(error) = self.watch(key) {
            return self.end(key, End::Failed(format!("cannot watch a socket: {error}")));
        }
        self.enqueue(key, Way::Forward);
        self.enqueue(key, Way::Reverse);
    }

    fn watch(&mut self, key: usize) -> io::Result<()> {
        let connection = &self.slots[key].connection;
        for side in [Side::Source, Side::Target] {
            let socket = connection.socket(side);
            socket.set_nonblocking(true)?;
            let interest = Interest::READABLE | Interest::WRITABLE;
            self.poll.registry().register(&mut SourceFd(&socket.as_raw_fd()), token(key, side), interest)?;
        }
        Ok(())
    }

    fn end(&mut self, key: usize, end: End) {
        let Slot { id, connection, queued, .. } = self.slots.remove(key);
        self.keys.remove(&id);
        if queued != [false; 2] {
            self.queue.retain(|&(queued_key, _)| queued_key != key);
        }
        for side in [Side::Source, Side::Target] {
            // Fails if registering it failed.
            let _ = self.poll.registry().deregister(&mut SourceFd(&connection.socket(side).as_raw_fd()));
        }
        self.inbox.connection_ended();
        // A panic in the callback is the owner's problem; the sockets are dropped and thus closed.
        let _ = catch_unwind(AssertUnwindSafe(|| connection.end(end)));
    }

    fn end_all(&mut self, end: impl Fn() -> End) {
        let keys: Vec<usize> = self.slots.iter().map(|(key, _)| key).collect();
        for key in keys {
            self.end(key, end());
        }
    }
}

/// How long to pause after this many failed rounds in a row: not after the first, then twice as long each time, up to a
/// second. Otherwise a failure that recurs at once would keep a processor busy.
fn pause_after(failures: u32) -> Duration {
    match failures {
        0 | 1 => Duration::ZERO,
        _ => Duration::from_millis(1 << (failures - 2).min(10)).min(Duration::from_secs(1)),
    }
}

fn token(key: usize, side: Side) -> Token {
    Token(key * 2 + side as usize)
}

fn key_and_side(Token(token): Token) -> (usize, Side) {
    (token / 2, if token.is_multiple_of(2) { Side::Source } else { Side::Target })
}

fn panic_message(panic: &(dyn Any + Send)) -> String {
    let message = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    message.unwrap_or("a panic without a message").to_owned()
}

#[cfg(test)]
mod tests;
