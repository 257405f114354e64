//! One connection: two sockets and two directions, until its one end.

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
    direction::{Direction, Failure, Next, Surroundings, Turn},
    framing::Framing,
    pace::Pace,
};

/// One of a connection's two sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The one that was accepted.
    Source,
    /// The one that was dialled.
    Target,
}

/// Where bytes go.
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

/// What is handed over: two connected stream sockets, and what is done to each direction's bytes.
pub struct Pair {
    /// The socket that was accepted.
    pub source: OwnedFd,
    /// The socket that was dialled.
    pub target: OwnedFd,
    /// For bytes from the source to the target.
    pub forward: Framing,
    /// For bytes from the target to the source.
    pub reverse: Framing,
}

/// Bytes of cleartext handed on so far, readable at any time.
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
    /// Both directions have ended, and their ends were handed on.
    Orderly,
    /// The packets ended inside one.
    Truncated {
        /// Bytes of it that came.
        pending_bytes: usize,
    },
    /// A packet was not right, or there are no more packet numbers.
    Rejected(Error),
    /// Reading or writing this side failed.
    Broken {
        /// The side that failed.
        side: Side,
        /// What the system says.
        error: io::Error,
    },
    /// Its owner wanted it to end.
    Cancelled,
    /// A mistake in this program.
    Failed(String),
}

/// A connection that has ended. The sockets are as they were: whoever drops this closes them.
#[derive(Debug)]
pub struct Ended {
    /// Why.
    pub end: End,
    /// The socket that was accepted.
    pub source: OwnedFd,
    /// The socket that was dialled.
    pub target: OwnedFd,
}

/// Told once of a connection's end, on the thread that served it.
pub(crate) type OnEnd = Box<dyn FnOnce(Ended) + Send>;

/// See the head of this file.
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
        let pace = || Pace::new(coalescing, Instant::now());
        Self {
            source: pair.source.into(),
            target: pair.target.into(),
            forward: Direction::new(pair.forward, pace()),
            reverse: Direction::new(pair.reverse, pace()),
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

    /// A socket has failed. An error that a read will meet is left to it, behind the bytes that came before.
    pub(crate) fn socket_failed(&mut self, side: Side) -> Option<End> {
        let reading = match side {
            Side::Source => &self.forward,
            Side::Target => &self.reverse,
        };
        if !reading.is_deaf() {
            return None;
        }
        failure_of(side, self.socket(side))
    }

    pub(crate) fn turn(&mut self, way: Way, around: &mut Surroundings<'_>) -> Result<Turn, End> {
        let Self { source, target, forward, reverse, counters, .. } = self;
        let (direction, other, from, to) = match way {
            Way::Forward => (forward, reverse, (Side::Source, &*source), (Side::Target, &*target)),
            Way::Reverse => (reverse, forward, (Side::Target, &*target), (Side::Source, &*source)),
        };
        let turn =
            direction.turn(from.1, to.1, around, |bytes| counters.add(way, bytes)).map_err(
                |failure| match failure {
                    Failure::Truncated { pending_bytes } => End::Truncated { pending_bytes },
                    Failure::Rejected(error) => End::Rejected(error),
                    Failure::Read(error) => End::Broken { side: from.0, error },
                    Failure::Write(error) => End::Broken { side: to.0, error },
                },
            )?;
        if turn.moved {
            other.answered();
        }
        // The system told of it while this direction was reading, and tells of it once.
        if direction.keeps_an_end_waiting()
            && let Some(end) = failure_of(from.0, from.1)
        {
            return Err(end);
        }
        debug_assert!(turn.next != Next::Nothing || direction.is_ended());
        Ok(turn)
    }

    /// Wipes the keys and gives the sockets back.
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
