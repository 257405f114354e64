//! One connection: two sockets and two directions, which end together.

use std::{
    io,
    os::fd::OwnedFd,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use socket2::Socket;
use spiped_core::Error;

use crate::{
    coalescer::Coalescer,
    direction::{Direction, Failure, Next, Turn, TurnContext},
    framing::Framing,
};

/// One of a connection's two sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The accepted socket.
    Source,
    /// The dialed socket.
    Target,
}

/// The direction in which bytes flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// From the source to the target.
    Forward,
    /// From the target to the source.
    Reverse,
}

impl Way {
    pub(crate) fn other(self) -> Self {
        match self {
            Self::Forward => Self::Reverse,
            Self::Reverse => Self::Forward,
        }
    }

    pub(crate) fn receiver(self) -> Side {
        match self {
            Self::Forward => Side::Target,
            Self::Reverse => Side::Source,
        }
    }
}

/// What the owner hands over: two connected stream sockets, and how to transform the bytes of each direction.
pub struct Pair {
    /// The accepted socket.
    pub source: OwnedFd,
    /// The dialed socket.
    pub target: OwnedFd,
    /// For bytes from the source to the target.
    pub forward: Framing,
    /// For bytes from the target to the source.
    pub reverse: Framing,
}

/// Bytes of cleartext forwarded so far; may be read at any time, from any thread.
#[derive(Debug, Default)]
pub struct Counters {
    forward: AtomicU64,
    reverse: AtomicU64,
}

impl Counters {
    /// Bytes from the source to the target.
    #[must_use]
    pub fn forward(&self) -> u64 {
        self.forward.load(Ordering::Relaxed)
    }

    /// Bytes from the target to the source.
    #[must_use]
    pub fn reverse(&self) -> u64 {
        self.reverse.load(Ordering::Relaxed)
    }

    fn add(&self, way: Way, bytes: usize) {
        let counter = match way {
            Way::Forward => &self.forward,
            Way::Reverse => &self.reverse,
        };
        counter.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}

/// Why a connection ended.
#[derive(Debug)]
pub enum End {
    /// Both streams ended, and both ends were passed on.
    Orderly,
    /// The stream of packets ended inside a packet.
    Truncated {
        /// Bytes of it that were received, 1 to 1,059.
        pending_bytes: usize,
    },
    /// A packet failed its checks, or the packet numbers are used up.
    Rejected(Error),
    /// Reading from or writing to this side failed.
    Broken {
        /// The side that failed.
        side: Side,
        /// The system's error.
        error: io::Error,
    },
    /// The owner cancelled it.
    Cancelled,
    /// A bug in this program: the message of a panic.
    Failed(String),
}

/// A connection that has ended, with both sockets still open: dropping this closes them.
#[derive(Debug)]
pub struct Ended {
    /// Why it ended.
    pub end: End,
    /// The accepted socket.
    pub source: OwnedFd,
    /// The dialed socket.
    pub target: OwnedFd,
}

/// Called once when a connection ends, on the thread that served it.
pub(crate) type OnEnd = Box<dyn FnOnce(Ended) + Send>;

/// Two sockets, the two directions between them, and what to do when they end.
pub(crate) struct Connection {
    source: Socket,
    target: Socket,
    forward: Direction,
    reverse: Direction,
    counters: Arc<Counters>,
    on_end: OnEnd,
}

impl Connection {
    pub(crate) fn new(pair: Pair, counters: Arc<Counters>, coalescing: bool, on_end: OnEnd) -> Self {
        let coalescer = || Coalescer::new(coalescing, Instant::now());
        Self {
            source: pair.source.into(),
            target: pair.target.into(),
            forward: Direction::new(pair.forward, coalescer()),
            reverse: Direction::new(pair.reverse, coalescer()),
            counters,
            on_end,
        }
    }

    pub(crate) fn socket(&self, side: Side) -> &Socket {
        match side {
            Side::Source => &self.source,
            Side::Target => &self.target,
        }
    }

    pub(crate) fn direction(&mut self, way: Way) -> &mut Direction {
        match way {
            Way::Forward => &mut self.forward,
            Way::Reverse => &mut self.reverse,
        }
    }

    pub(crate) fn is_ended(&self) -> bool {
        self.forward.is_ended() && self.reverse.is_ended()
    }

    /// Handles a socket error: returns the end, unless a read will meet the error after the bytes that came before it.
    pub(crate) fn socket_failed(&mut self, side: Side) -> Option<End> {
        let reading = match side {
            Side::Source => &self.forward,
            Side::Target => &self.reverse,
        };
        if !reading.is_not_reading() {
            return None;
        }
        failure_of(side, self.socket(side))
    }

    pub(crate) fn turn(&mut self, way: Way, context: &mut TurnContext<'_>) -> Result<Turn, End> {
        let Self { source, target, forward, reverse, counters, .. } = self;
        let (direction, other, from, to) = match way {
            Way::Forward => (forward, reverse, (Side::Source, &*source), (Side::Target, &*target)),
            Way::Reverse => (reverse, forward, (Side::Target, &*target), (Side::Source, &*source)),
        };
        let turn =
            direction.turn(from.1, to.1, context, |bytes| counters.add(way, bytes)).map_err(
                |failure| match failure {
                    Failure::Truncated { pending_bytes } => End::Truncated { pending_bytes },
                    Failure::Rejected(error) => End::Rejected(error),
                    Failure::Read(error) => End::Broken { side: from.0, error },
                    Failure::Write(error) => End::Broken { side: to.0, error },
                },
            )?;
        if turn.moved {
            other.interrupt_coalescing();
        }
        // The system reports a failure once, and did so while this direction was reading.
        if direction.has_unread_end()
            && let Some(end) = failure_of(from.0, from.1)
        {
            return Err(end);
        }
        debug_assert!(turn.next != Next::Nothing || direction.is_ended());
        Ok(turn)
    }

    /// Wipes the keys and returns the sockets to the owner.
    pub(crate) fn end(self, end: End) {
        let Self { source, target, forward, reverse, on_end, .. } = self;
        drop((forward, reverse));
        on_end(Ended { end, source: source.into(), target: target.into() });
    }
}

fn failure_of(side: Side, socket: &Socket) -> Option<End> {
    match socket.take_error() {
        Ok(None) => None,
        Ok(Some(error)) | Err(error) => Some(End::Broken { side, error }),
    }
}
