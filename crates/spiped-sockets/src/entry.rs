//! One socket: listening, connecting, or open. An open one reads exactly the bytes that are expected.

use std::io::{self, ErrorKind, Read};

use socket2::Socket;

use crate::{Event, MAX_EXPECTED_BYTES, Options, Owner};

pub(crate) enum Entry {
    Listening { socket: Socket, owner: Owner, options: Options, inheritance: Inheritance },
    Connecting { socket: Socket, resets_on_close: bool },
    Open(Open),
}

/// Whether accepted sockets inherit the options of the listening socket.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Inheritance {
    /// No: the system does not pass them on, or the socket is shared, so that no options are set on it.
    Never,
    /// Not all: clients that connected before the options were set may still be waiting.
    NotYet,
    /// Yes.
    Now,
}

pub(crate) struct Open {
    pub(crate) socket: Socket,
    pub(crate) is_watched: bool,
    pub(crate) resets_on_close: bool,
    /// How many bytes are expected, and those that have arrived; 0 and empty if none are.
    pub(crate) expected: usize,
    pub(crate) arrived: Vec<u8>,
}

impl Open {
    pub(crate) fn new(socket: Socket, is_watched: bool, resets_on_close: bool) -> Self {
        Self { socket, is_watched, resets_on_close, expected: 0, arrived: Vec::new() }
    }
}

/// Whether the connection is established.
pub(crate) fn connected(socket: &Socket) -> io::Result<bool> {
    match socket.take_error()? {
        Some(error) => Err(error),
        // `NotConnected` means that the report was premature.
        None => Ok(!matches!(socket.peer_addr(), Err(error) if error.kind() == ErrorKind::NotConnected)),
    }
}

pub(crate) fn receive(open: &mut Open, on_event: impl FnOnce(Event<'_>)) {
    while open.expected > 0 {
        let mut bytes = [0; MAX_EXPECTED_BYTES];
        let missing = open.expected - open.arrived.len();
        match (&open.socket).read(&mut bytes[..missing]) {
            Ok(0) => {
                open.expected = 0;
                return on_event(Event::Ended(open.arrived.len()));
            }
            Ok(length) => open.arrived.extend_from_slice(&bytes[..length]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => {
                open.expected = 0;
                return on_event(Event::Failed(error));
            }
        }
        if open.arrived.len() == open.expected {
            open.expected = 0;
            on_event(Event::Arrived(&open.arrived));
            return open.arrived.clear();
        }
    }
}

/// Errors of clients that left before they were accepted.
pub(crate) fn is_client_gone(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::ConnectionAborted | ErrorKind::Interrupted)
        || error.raw_os_error() == Some(libc::EPROTO)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_errors_of_the_client_are_skipped() {
        let gone = |code| is_client_gone(&io::Error::from_raw_os_error(code));
        assert!([libc::ECONNABORTED, libc::EINTR, libc::EPROTO].into_iter().all(gone));
        assert!(![libc::EMFILE, libc::ENFILE, libc::ENOBUFS, libc::EINVAL, libc::EBADF].into_iter().any(gone));
    }
}
