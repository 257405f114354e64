//! One direction of a connection: data that was read is sealed or opened and written at once.
//!
//! ```text
//! flowing ──end of stream──▶ ending ──all written, half-close──▶ ended
//! ```
//!
//! Output that the receiver has no room for is buffered, and nothing more is read until it is written.

use std::{io, mem, time::Instant};

use socket2::Socket;
use spiped_core::{Error, PACKET_BYTES, PACKET_DATA_BYTES, max_opened_length, sealed_length};

use crate::{
    budget::{Budget, Buffered},
    coalescer::Coalescer,
    fairness::Fairness,
    framing::Framing,
    socket_io::{end_stream, has_room, receive, send},
};

/// Packets per read.
const WHOLE_TURN_PACKETS: usize = 64;
/// While fairness is active: packets per round, shared by all directions that wait for a turn.
const ROUND_PACKETS: usize = 32;
/// While fairness is active: the fewest packets per read.
const FAIR_TURN_PACKETS: usize = 8;

/// Buffers for reading and transforming, shared by all connections of a thread. Cleartext and packets never share
/// memory.
pub(crate) struct Scratch {
    cleartext: Box<[u8]>,
    packets: Box<[u8]>,
}

impl Scratch {
    pub(crate) fn new() -> Self {
        const CLEARTEXT_BYTES: usize = WHOLE_TURN_PACKETS * PACKET_DATA_BYTES;
        const PACKETS_BYTES: usize = WHOLE_TURN_PACKETS * PACKET_BYTES;
        const _: () = assert!(max_opened_length(PACKETS_BYTES) <= CLEARTEXT_BYTES);
        const _: () = assert!(sealed_length(CLEARTEXT_BYTES) <= PACKETS_BYTES);
        Self { cleartext: vec![0; CLEARTEXT_BYTES].into(), packets: vec![0; PACKETS_BYTES].into() }
    }
}

/// The outcome of a turn.
#[derive(Debug, PartialEq)]
pub(crate) struct Turn {
    /// Whether bytes were read.
    pub(crate) moved: bool,
    pub(crate) next: Next,
}

/// What a direction waits for after a turn.
#[derive(Debug, PartialEq)]
pub(crate) enum Next {
    /// Its next turn: there may be more to read.
    Turn,
    /// A socket becoming readable or writable.
    Readiness,
    /// The time of its next read.
    Until(Instant),
    /// Nothing: the end of the stream has been passed on.
    Nothing,
}

/// Why a direction failed.
#[derive(Debug)]
pub(crate) enum Failure {
    Truncated { pending_bytes: usize },
    Rejected(Error),
    Read(io::Error),
    Write(io::Error),
}

enum State {
    Flowing(Framing),
    Ending,
    Ended,
}

/// What a turn needs besides the connection.
pub(crate) struct TurnContext<'a> {
    pub(crate) scratch: &'a mut Scratch,
    pub(crate) budget: &'a Budget,
    pub(crate) fairness: &'a Fairness,
    /// How many other directions wait for a turn.
    pub(crate) others: usize,
    pub(crate) now: Instant,
}

/// The state of one direction.
pub(crate) struct Direction {
    state: State,
    buffered: Option<Buffered>,
    coalescer: Coalescer,
    waits_until: Option<Instant>,
    /// Whether there may be data to read. Readiness is reported once, so this stays set until a read finds nothing.
    readable: bool,
    /// Whether the end of the stream, or an error, may follow the unread data.
    end_pending: bool,
    writable: bool,
    /// Whether anything was sent since the last `take_sent`; true at first, since the handshake sent something.
    sent: bool,
}

impl Direction {
    pub(crate) fn new(framing: Framing, coalescer: Coalescer) -> Self {
        Self {
            state: State::Flowing(framing),
            buffered: None,
            coalescer,
            waits_until: None,
            readable: true,
            end_pending: false,
            writable: true,
            sent: true,
        }
    }

    /// Whether anything was sent since the last call.
    pub(crate) fn take_sent(&mut self) -> bool {
        mem::take(&mut self.sent)
    }

    pub(crate) fn is_ended(&self) -> bool {
        matches!(self.state, State::Ended)
    }

    /// Whether this direction does not read at the moment, so that a failure of its socket would go unnoticed.
    pub(crate) fn is_not_reading(&self) -> bool {
        self.buffered.is_some() || !self.writable || !matches!(self.state, State::Flowing(_))
    }

    /// Whether the end of the stream, or an error, may follow data that cannot be read because the receiver is full.
    pub(crate) fn has_unread_end(&self) -> bool {
        self.end_pending && self.is_not_reading() && matches!(self.state, State::Flowing(_))
    }

    /// Until when the next read is delayed.
    pub(crate) fn waits_until(&self) -> Option<Instant> {
        self.waits_until
    }

    pub(crate) fn stop_waiting(&mut self) {
        self.waits_until = None;
    }

    /// The socket became readable; with `end_pending`, its stream may have ended or failed.
    pub(crate) fn became_readable(&mut self, end_pending: bool) {
        self.readable = true;
        if end_pending {
            self.end_pending = true;
            self.stop_waiting();
        }
    }

    pub(crate) fn is_writable(&self) -> bool {
        self.writable
    }

    pub(crate) fn became_writable(&mut self) {
        self.writable = true;
    }

    /// Data was read in the other direction: reads again at once.
    pub(crate) fn interrupt_coalescing(&mut self) {
        self.coalescer.interrupt();
        self.stop_waiting();
    }

    /// Does at most one read, and transforms and writes the data. Reports the bytes of cleartext to `count`.
    pub(crate) fn turn(
        &mut self,
        from: &Socket,
        to: &Socket,
        context: &mut TurnContext<'_>,
        count: impl FnOnce(usize),
    ) -> Result<Turn, Failure> {
        if !self.write_buffered(to)? {
            return Ok(Turn { moved: false, next: Next::Readiness });
        }
        let framing = match &mut self.state {
            State::Flowing(framing) => framing,
            State::Ending => {
                end_stream(to).map_err(Failure::Write)?;
                // From here on the system delivers what is left, even if this process exits.
                let _ = to.set_linger(None);
                self.state = State::Ended;
                self.sent = true;
                return Ok(Turn { moved: false, next: Next::Nothing });
            }
            State::Ended => return Ok(Turn { moved: false, next: Next::Nothing }),
        };
        if !self.readable || self.waits_until.is_some() {
            return Ok(Turn { moved: false, next: Next::Readiness });
        }
        let packets = if context.budget.is_exhausted() {
            if !has_room(to).map_err(Failure::Write)? {
                self.writable = false;
                return Ok(Turn { moved: false, next: Next::Readiness });
            }
            1
        } else if !context.fairness.is_active(context.now) {
            WHOLE_TURN_PACKETS
        } else {
            (ROUND_PACKETS / (context.others + 1)).clamp(FAIR_TURN_PACKETS, WHOLE_TURN_PACKETS)
        };
        let Scratch { cleartext, packets: packet_memory } = &mut *context.scratch;
        let (input, out) = match framing {
            Framing::Seal(_) => (&mut cleartext[..packets * PACKET_DATA_BYTES], &mut packet_memory[..]),
            Framing::Open(_) => (&mut packet_memory[..packets * PACKET_BYTES], &mut cleartext[..]),
            #[cfg(test)]
            Framing::Panics => (&mut packet_memory[..packets * PACKET_BYTES], &mut cleartext[..]),
        };
        let Some(length) = receive(from, input).map_err(Failure::Read)? else {
            self.readable = false;
            self.end_pending = false;
            return Ok(Turn { moved: false, next: Next::Readiness });
        };
        if length == 0 {
            return self.read_end(from);
        }
        // A short read took everything, and the system reports later data.
        if length < input.len() && !self.end_pending {
            self.readable = false;
        }
        context.fairness.record_read(length, context.now);
        let input = &input[..length];
        let out = &mut out[..framing.output_length(length)];
        let written = framing.transform(input, out).map_err(Failure::Rejected)?;
        count(framing.cleartext(length, written));
        let sent = send(to, &out[..written]).map_err(Failure::Write)?;
        self.sent |= sent > 0;
        if sent < written {
            self.writable = false;
            self.buffered = Some(context.budget.buffer(&out[sent..written]));
        }
        let wait = self.coalescer.after_read(length, context.now);
        if self.buffered.is_some() {
            return Ok(Turn { moved: true, next: Next::Readiness });
        }
        if let Some(until) = wait
            && !self.end_pending
        {
            self.waits_until = wait;
            // It reads when woken, early or late.
            self.readable = true;
            return Ok(Turn { moved: true, next: Next::Until(until) });
        }
        Ok(Turn { moved: true, next: if self.readable { Next::Turn } else { Next::Readiness } })
    }

    fn read_end(&mut self, from: &Socket) -> Result<Turn, Failure> {
        // After a reset that follows the end of the stream, the system reports the end, and the error only on request.
        if let Some(error) = from.take_error().map_err(Failure::Read)? {
            return Err(Failure::Read(error));
        }
        let State::Flowing(framing) = mem::replace(&mut self.state, State::Ending) else {
            return Ok(Turn { moved: false, next: Next::Turn });
        };
        match framing.pending_bytes() {
            0 => Ok(Turn { moved: true, next: Next::Turn }),
            pending_bytes => Err(Failure::Truncated { pending_bytes }),
        }
    }

    /// Writes buffered output. Returns false if some of it is left.
    fn write_buffered(&mut self, to: &Socket) -> Result<bool, Failure> {
        let Some(buffered) = &mut self.buffered else {
            return Ok(self.writable || !matches!(self.state, State::Flowing(_)));
        };
        if !self.writable {
            return Ok(false);
        }
        buffered.advance(send(to, buffered.unsent()).map_err(Failure::Write)?);
        self.sent = true;
        if buffered.unsent().is_empty() {
            self.buffered = None;
            return Ok(true);
        }
        self.writable = false;
        Ok(false)
    }
}

#[cfg(test)]
mod tests;
