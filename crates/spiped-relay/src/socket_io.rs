//! The relay's system calls on sockets, all of them non-blocking.

use std::{
    io::{self, ErrorKind, Read},
    net::Shutdown,
    os::fd::AsFd,
};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use socket2::Socket;

use crate::platform::NO_SIGNAL;

/// Reads once. Returns the number of bytes, 0 at the end of the stream, or `None` if there is nothing to read.
pub(crate) fn receive(mut from: &Socket, memory: &mut [u8]) -> io::Result<Option<usize>> {
    loop {
        match from.read(memory) {
            Ok(length) => return Ok(Some(length)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Writes as much as the system accepts: everything, unless the receiver is full. Returns the number of bytes.
pub(crate) fn send(to: &Socket, bytes: &[u8]) -> io::Result<usize> {
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

/// Half-closes the connection. If it is broken, returns the pending socket error, which says more than `shutdown` does.
pub(crate) fn end_stream(to: &Socket) -> io::Result<()> {
    to.shutdown(Shutdown::Write).map_err(|error| match to.take_error() {
        Ok(Some(cause)) => cause,
        Ok(None) | Err(_) => error,
    })
}

/// Whether a write would succeed now.
pub(crate) fn has_room(to: &Socket) -> io::Result<bool> {
    let mut polled = [PollFd::new(to.as_fd(), PollFlags::POLLOUT)];
    poll(&mut polled, PollTimeout::ZERO)?;
    Ok(polled[0].any().unwrap_or(true))
}
