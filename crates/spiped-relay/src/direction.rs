//! One direction of a connection: what a read gave is sealed or opened, and written at once.
//!
//! ```text
//! flowing ──end of stream──▶ ending ──all written, half-close──▶ ended
//! ```
//!
//! Output that the receiver has no room for is held, and then nothing more is read.

use std::{
    io::{self, ErrorKind, Read},
    mem,
    net::Shutdown,
    os::fd::AsFd,
    time::Instant,
};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use socket2::Socket;
use spiped_core::{Error, PACKET_BYTES, PACKET_DATA_BYTES, max_opened_length, sealed_length};

use crate::{
    budget::{Budget, Held},
    courtesy::Courtesy,
    framing::Framing,
    pace::Pace,
};

/// Packets of one read.
const WHOLE_TURN_PACKETS: usize = 64;
/// Packets of the reads of all directions that wait for a turn while somebody quiet is about, and of one at least.
const ROUND_PACKETS: usize = 32;
const FAIR_TURN_PACKETS: usize = 8;

/// Memory to read and to transform into, shared by all connections of a thread: cleartext and packets never lie in the
/// same place.
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

/// What a turn has come to.
#[derive(Debug, PartialEq)]
pub(crate) struct Turn {
    /// Whether bytes were read.
    pub(crate) moved: bool,
    pub(crate) next: Next,
}

/// What a direction waits for after its turn.
#[derive(Debug, PartialEq)]
pub(crate) enum Next {
    /// For its next turn: there may be more.
    Turn,
    /// For a socket to become readable or writable.
    Readiness,
    /// For a time at which to read on.
    Until(Instant),
    /// For nothing: the end of the stream has been handed on.
    Nothing,
}

/// Why a direction cannot go on.
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

/// What a turn works with.
pub(crate) struct Surroundings<'a> {
    pub(crate) scratch: &'a mut Scratch,
    pub(crate) budget: &'a Budget,
    pub(crate) courtesy: &'a Courtesy,
    /// How many others wait for a turn.
    pub(crate) others: usize,
    pub(crate) now: Instant,
}

/// See the head of this file.
pub(crate) struct Direction {
    state: State,
    held: Option<Held>,
    pace: Pace,
    waits_until: Option<Instant>,
    /// Whether a read may give something; readiness is told once, so this stays until a read finds nothing.
    readable: bool,
    /// Whether the stream's end, or an error, may lie behind what is there.
    end_in_sight: bool,
    writable: bool,
    /// Whether anything was sent since `take_sent`; before this was made, something was.
    sent: bool,
}

impl Direction {
    pub(crate) fn new(framing: Framing, pace: Pace) -> Self {
        Self {
            state: State::Flowing(framing),
            held: None,
            pace,
            waits_until: None,
            readable: true,
            end_in_sight: false,
            writable: true,
            sent: true,
        }
    }

    /// Whether anything was sent since this was asked last.
    pub(crate) fn take_sent(&mut self) -> bool {
        mem::take(&mut self.sent)
    }

    pub(crate) fn is_ended(&self) -> bool {
        matches!(self.state, State::Ended)
    }

    /// Whether a failed socket would go unnoticed, since this direction does not read it.
    pub(crate) fn is_deaf(&self) -> bool {
        self.held.is_some() || !self.writable || !matches!(self.state, State::Flowing(_))
    }

    /// Whether the stream's end, or an error, may lie behind what the receiver has no room for.
    pub(crate) fn keeps_an_end_waiting(&self) -> bool {
        self.end_in_sight && self.is_deaf() && matches!(self.state, State::Flowing(_))
    }

    /// Until when the next read waits.
    pub(crate) fn waits_until(&self) -> Option<Instant> {
        self.waits_until
    }

    pub(crate) fn stop_waiting(&mut self) {
        self.waits_until = None;
    }

    /// The socket to read is readable, or `end_in_sight`.
    pub(crate) fn became_readable(&mut self, end_in_sight: bool) {
        self.readable = true;
        if end_in_sight {
            self.end_in_sight = true;
            self.stop_waiting();
        }
    }

    pub(crate) fn is_writable(&self) -> bool {
        self.writable
    }

    pub(crate) fn became_writable(&mut self) {
        self.writable = true;
    }

    /// Something was read in the other direction.
    pub(crate) fn answered(&mut self) {
        self.pace.interrupt();
        self.stop_waiting();
    }

    /// Does one step: at most one read, and what follows from it. `count` is told of cleartext that was handed on.
    pub(crate) fn turn(
        &mut self,
        from: &Socket,
        to: &Socket,
        around: &mut Surroundings<'_>,
        count: impl FnOnce(usize),
    ) -> Result<Turn, Failure> {
        if !self.write_held(to)? {
            return Ok(Turn { moved: false, next: Next::Readiness });
        }
        let framing = match &mut self.state {
            State::Flowing(framing) => framing,
            State::Ending => {
                end_stream(to).map_err(Failure::Write)?;
                // What has been ended in order is the system's to deliver, whatever becomes of this process.
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
        let packets = if around.budget.is_used_up() {
            if !has_room(to).map_err(Failure::Write)? {
                self.writable = false;
                return Ok(Turn { moved: false, next: Next::Readiness });
            }
            1
        } else if !around.courtesy.is_due(around.now) {
            WHOLE_TURN_PACKETS
        } else {
            (ROUND_PACKETS / (around.others + 1)).clamp(FAIR_TURN_PACKETS, WHOLE_TURN_PACKETS)
        };
        let Scratch { cleartext, packets: packet_memory } = &mut *around.scratch;
        let (input, out) = match framing {
            Framing::Seal(_) => (&mut cleartext[..packets * PACKET_DATA_BYTES], &mut packet_memory[..]),
            Framing::Open(_) => (&mut packet_memory[..packets * PACKET_BYTES], &mut cleartext[..]),
            #[cfg(test)]
            Framing::Panics => (&mut packet_memory[..packets * PACKET_BYTES], &mut cleartext[..]),
        };
        let Some(length) = receive(from, input).map_err(Failure::Read)? else {
            self.readable = false;
            self.end_in_sight = false;
            return Ok(Turn { moved: false, next: Next::Readiness });
        };
        if length == 0 {
            return self.read_end(from);
        }
        // A short read has taken everything, and what comes later is told.
        if length < input.len() && !self.end_in_sight {
            self.readable = false;
        }
        around.courtesy.saw(length, around.now);
        let input = &input[..length];
        let out = &mut out[..framing.output_length(length)];
        let written = framing.transform(input, out).map_err(Failure::Rejected)?;
        count(framing.cleartext(length, written));
        let sent = send(to, &out[..written]).map_err(Failure::Write)?;
        self.sent |= sent > 0;
        if sent < written {
            self.writable = false;
            self.held = Some(around.budget.hold(&out[sent..written]));
        }
        let wait = self.pace.after_read(length, around.now);
        if self.held.is_some() {
            return Ok(Turn { moved: true, next: Next::Readiness });
        }
        if let Some(until) = wait
            && !self.end_in_sight
        {
            self.waits_until = wait;
            // Woken in time or not, it reads then.
            self.readable = true;
            return Ok(Turn { moved: true, next: Next::Until(until) });
        }
        Ok(Turn { moved: true, next: if self.readable { Next::Turn } else { Next::Readiness } })
    }

    fn read_end(&mut self, from: &Socket) -> Result<Turn, Failure> {
        // A reset behind the end of the stream: the system reports the end, and the error only to those who ask.
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

    /// Writes what is held. False where some of it still waits.
    fn write_held(&mut self, to: &Socket) -> Result<bool, Failure> {
        let Some(held) = &mut self.held else { return Ok(self.writable || !matches!(self.state, State::Flowing(_))) };
        if !self.writable {
            return Ok(false);
        }
        held.advance(send(to, held.rest()).map_err(Failure::Write)?);
        self.sent = true;
        if held.rest().is_empty() {
            self.held = None;
            return Ok(true);
        }
        self.writable = false;
        Ok(false)
    }
}

/// What a read gave: 0 at the end of the stream, `None` while there is nothing.
fn receive(mut from: &Socket, memory: &mut [u8]) -> io::Result<Option<usize>> {
    loop {
        match from.read(memory) {
            Ok(length) => return Ok(Some(length)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Writes as much as the system takes, all of it unless the receiver is full.
fn send(to: &Socket, bytes: &[u8]) -> io::Result<usize> {
    let mut sent = 0;
    while sent < bytes.len() {
        match to.send_with_flags(&bytes[sent..], NO_SIGNAL) {
            Ok(length) => sent += length,
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(sent)
}

/// Half-closes. A connection that is broken has no stream to end any more, and says why only to those who ask.
fn end_stream(to: &Socket) -> io::Result<()> {
    to.shutdown(Shutdown::Write).map_err(|error| match to.take_error() {
        Ok(Some(cause)) => cause,
        Ok(None) | Err(_) => error,
    })
}

#[cfg(target_vendor = "apple")]
const NO_SIGNAL: libc::c_int = 0;
#[cfg(not(target_vendor = "apple"))]
const NO_SIGNAL: libc::c_int = libc::MSG_NOSIGNAL;

/// Whether a write would be taken now.
fn has_room(to: &Socket) -> io::Result<bool> {
    let mut asked = [PollFd::new(to.as_fd(), PollFlags::POLLOUT)];
    poll(&mut asked, PollTimeout::ZERO)?;
    Ok(asked[0].any().unwrap_or(true))
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read, Write},
        net::{TcpListener, TcpStream},
        os::unix::net::UnixStream,
        time::Duration,
    };

    use spiped_core::{DirectionKeys, Sealer};

    use super::*;

    #[test]
    fn an_end_for_a_receiver_that_was_reset_meanwhile_is_told_as_the_reset() {
        let (program, from) = UnixStream::pair().expect("a pair of sockets");
        let listener = TcpListener::bind("127.0.0.1:0").expect("listens");
        let service = TcpStream::connect(listener.local_addr().expect("an address")).expect("connects");
        let (from, to) = (Socket::from(from), Socket::from(listener.accept().expect("accepts").0));
        let now = Instant::now();
        let framing = Framing::Seal(Sealer::new(&DirectionKeys::from_bytes(&[1; 32], &[2; 32])));
        let mut direction = Direction::new(framing, Pace::new(true, now));
        let (mut scratch, budget, courtesy) = (Scratch::new(), Budget::new(1 << 20), Courtesy::new());
        let mut around = Surroundings { scratch: &mut scratch, budget: &budget, courtesy: &courtesy, others: 0, now };
        drop(program);
        let turn = direction.turn(&from, &to, &mut around, |_| {}).expect("it has read the end");
        assert_eq!(turn.next, Next::Turn);
        Socket::from(service).set_linger(Some(Duration::ZERO)).expect("resets");
        poll(&mut [PollFd::new(to.as_fd(), PollFlags::POLLIN)], PollTimeout::NONE).expect("it comes");
        let failure = direction.turn(&from, &to, &mut around, |_| {}).expect_err("there is nothing to end");
        assert!(matches!(&failure, Failure::Write(error) if error.kind() == ErrorKind::ConnectionReset), "{failure:?}");
    }

    #[test]
    fn a_busy_stream_of_small_messages_goes_on_once_its_full_receiver_has_room() {
        let pair = || UnixStream::pair().expect("a pair of sockets");
        let ((mut program, from), (to, mut service)) = (pair(), pair());
        service.set_nonblocking(true).expect("a socket");
        let (from, to) = (Socket::from(from), Socket::from(to));
        from.set_nonblocking(true).expect("a socket");
        to.set_nonblocking(true).expect("a socket");
        let now = Instant::now();
        let framing = Framing::Seal(Sealer::new(&DirectionKeys::from_bytes(&[1; 32], &[2; 32])));
        let mut direction = Direction::new(framing, Pace::new(true, now));
        let (mut scratch, budget, courtesy) = (Scratch::new(), Budget::new(1 << 20), Courtesy::new());
        let mut turn = |direction: &mut Direction| {
            let mut around =
                Surroundings { scratch: &mut scratch, budget: &budget, courtesy: &courtesy, others: 0, now };
            direction.turn(&from, &to, &mut around, |_| {}).expect("a turn")
        };
        for _ in 0..100_000 {
            program.write_all(b"a line").expect("it is written");
            direction.became_readable(false);
            direction.stop_waiting();
            turn(&mut direction);
            if direction.held.is_some() {
                break;
            }
        }
        assert!(direction.held.is_some(), "the receiver is full");
        program.write_all(b"a line").expect("it is written");
        let _ = service.read_to_end(&mut Vec::new());
        direction.became_readable(false);
        direction.became_writable();
        assert!(turn(&mut direction).moved);
    }
}
