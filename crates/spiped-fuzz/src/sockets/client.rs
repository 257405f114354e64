//! One client: what it does, and the events that are due because of that.

use std::{
    io::{ErrorKind, Read},
    net::Shutdown,
    time::Duration,
};

use libc::MSG_NOSIGNAL;
use socket2::Socket;
use spiped_sockets::{Event, Id, MAX_EXPECTED_BYTES, Sockets};

use super::LIMIT;

/// One client: its socket, and the state for checking events.
#[derive(Debug)]
pub(super) struct Client {
    peer: Option<Socket>,
    pub(super) is_tcp: bool,
    pub(super) id: Id,
    /// Its socket is still registered with `Sockets`.
    pub(super) is_open: bool,
    /// The bytes it has sent, and how many of them were reported or discarded.
    pub(super) sent: Vec<u8>,
    pub(super) consumed: usize,
    pub(super) expected: usize,
    finished: bool,
    /// It has closed or reset its socket.
    gone: bool,
    failed: bool,
    /// The number of bytes sent to it.
    answer_bytes: usize,
}

impl Client {
    pub(super) fn new(peer: Socket, is_tcp: bool, id: Id) -> Self {
        let (sent, peer) = (Vec::new(), Some(peer));
        Self {
            peer,
            is_tcp,
            id,
            is_open: true,
            sent,
            consumed: 0,
            expected: 0,
            finished: false,
            gone: false,
            failed: false,
            answer_bytes: 0,
        }
    }

    pub(super) fn write(&mut self, length: usize) {
        let Some(peer) = self.peer.as_ref().filter(|_| !self.finished && self.is_open) else { return };
        let from = self.sent.len();
        let bytes: Vec<u8> = (from..from + length).map(|index| (index * 31 + index / 251) as u8).collect();
        // Fails if the other end is closed.
        let taken = peer.send_with_flags(&bytes, MSG_NOSIGNAL).unwrap_or(0);
        self.sent.extend_from_slice(&bytes[..taken]);
    }

    pub(super) fn expect(&mut self, sockets: &mut Sockets, length: usize) {
        let arrived_bytes = sockets.arrived(self.id).len();
        let outcome = sockets.expect(self.id, length);
        match length {
            1..=MAX_EXPECTED_BYTES if self.is_open => {
                outcome.expect("is registered");
                // Bytes that had arrived for a previous expectation are discarded.
                self.consumed += if self.expected > 0 { arrived_bytes } else { 0 };
                self.expected = length;
            }
            _ => assert!(outcome.is_err(), "{length} bytes were expected of {self:?}"),
        }
    }

    pub(super) fn check_event(&mut self, event: &Event<'_>) {
        let rest = &self.sent[self.consumed..];
        assert!(self.is_open && self.expected > 0, "{event:?}, although nothing is expected: {self:?}");
        match event {
            Event::Arrived(bytes) => {
                assert!(bytes.len() == self.expected && rest.starts_with(bytes), "{event:?} of {self:?}");
                self.consumed += bytes.len();
            }
            Event::Ended(arrived) => {
                let is_end = self.finished && *arrived == rest.len() && rest.len() < self.expected;
                assert!(is_end || self.failed, "{event:?} of {self:?}");
                self.consumed += arrived;
            }
            Event::Failed(error) => {
                assert!(self.gone && error.kind() == ErrorKind::ConnectionReset, "{event:?} of {self:?}");
                self.failed = true;
            }
            _ => panic!("{event:?} of a client"),
        }
        self.expected = 0;
    }

    /// Whether an event is due, judging by what the client did.
    pub(super) fn expects_event(&self) -> bool {
        let is_decided = self.finished || self.gone || self.sent.len() - self.consumed >= self.expected;
        self.is_open && self.expected > 0 && is_decided
    }

    pub(super) fn answer(&mut self, sockets: &mut Sockets, length: usize) {
        match sockets.send(self.id, &vec![7; length]) {
            Ok(()) => self.answer_bytes += length,
            Err(error) if self.is_open && !self.gone => assert_eq!(error.kind(), ErrorKind::WouldBlock, "{self:?}"),
            // Reported here, the error is not reported again as an event.
            Err(_) => self.failed = true,
        }
    }

    pub(super) fn finish(&mut self) {
        if let Some(peer) = self.peer.as_ref().filter(|_| self.is_open && !self.finished) {
            // Fails if it has been reset meanwhile.
            let _ = peer.shutdown(Shutdown::Write);
            self.finished = true;
        }
    }

    pub(super) fn close(&mut self, resets: bool) {
        let Some(peer) = self.peer.take() else { return };
        if resets {
            peer.set_linger(Some(Duration::ZERO)).expect("a socket");
        }
        (self.gone, self.finished) = (true, self.finished || !(resets && self.is_tcp));
    }

    /// Takes the descriptor and checks that it has the remaining bytes.
    pub(super) fn take(&mut self, sockets: &mut Sockets) {
        let arrived = if self.expected > 0 { sockets.arrived(self.id).len() } else { 0 };
        let taken = sockets.take(self.id);
        if !self.is_open {
            assert!(taken.is_err(), "the socket is not registered any more: {self:?}");
            return;
        }
        self.is_open = false;
        let mut socket = Socket::from(taken.expect("is registered"));
        let expected = &self.sent[self.consumed + arrived..];
        if self.gone || self.failed {
            return;
        }
        socket.set_nonblocking(false).expect("a socket");
        socket.set_read_timeout(Some(LIMIT)).expect("a socket");
        let mut rest = vec![0; expected.len()];
        socket.read_exact(&mut rest).expect("the rest arrives");
        assert!(rest == expected, "the rest is wrong: {self:?}");
        let mut answers = vec![0; self.answer_bytes];
        let mut peer = self.peer.as_ref().expect("it is not gone");
        peer.set_nonblocking(false).expect("a socket");
        peer.set_read_timeout(Some(LIMIT)).expect("a socket");
        peer.read_exact(&mut answers).expect("the answers arrive");
        assert!(answers.iter().all(|byte| *byte == 7));
        drop(self.peer.take());
    }

    pub(super) fn close_ours(&mut self, sockets: &mut Sockets, resets: bool) {
        sockets.close(self.id, resets);
        assert!(sockets.descriptor(self.id).is_none());
        self.is_open = false;
    }
}
