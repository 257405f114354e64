//! Linux, macOS and FreeBSD.

mod descriptor_paths;
mod key_files;

use std::{
    io::{self, stderr},
    net::{SocketAddr, SocketAddrV6},
    os::fd::AsFd,
    thread,
    time::Duration,
};

use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
};
pub(crate) use spiped_relay::is_relay_thread;
#[cfg(feature = "panics")]
pub(crate) use spiped_relay::panic_if_asked;

pub(crate) use self::{descriptor_paths::own_descriptor, key_files::*};

/// The most bytes that a pipe takes atomically, so that messages of several programs do not mix.
pub(crate) const PIECE_BYTES: usize = libc::PIPE_BUF;

/// Flags for `getaddrinfo`: host and service must be numeric, so that it never blocks.
pub(crate) const NUMERIC: i32 = libc::AI_NUMERICHOST | libc::AI_NUMERICSERV;

/// Panics on demand, in an addon built for fault-injection trials.
#[cfg(not(feature = "panics"))]
pub(crate) fn panic_if_asked(_name: &str) {}

/// An error as the messages have it: `no space left on device`. ASCII without quotes, so it fits into JSON.
pub(crate) fn words_of(error: &io::Error) -> String {
    error
        .raw_os_error()
        .map_or_else(|| error.kind().to_string(), |code| Errno::from_raw(code).desc().to_ascii_lowercase())
}

/// Writes to standard error.
pub(crate) fn write_piece(piece: &[u8]) -> io::Result<usize> {
    // Bypasses the lock of Rust's standard error, on which a panicking thread would block.
    Ok(nix::unistd::write(stderr(), piece)?)
}

/// Whether a piece can be written to standard error without blocking, now or within `timeout`.
pub(crate) fn has_room(timeout: Duration) -> bool {
    let stderr = stderr();
    let mut watched = [PollFd::new(stderr.as_fd(), PollFlags::POLLOUT)];
    poll(&mut watched, PollTimeout::try_from(timeout).unwrap_or(PollTimeout::MAX)).is_ok_and(|ready| ready > 0)
}

/// Waits until standard error accepts data, in case another program made it non-blocking.
pub(crate) fn wait_for_room() {
    let stderr = stderr();
    let mut watched = [PollFd::new(stderr.as_fd(), PollFlags::POLLOUT)];
    let has_room = |watched: &PollFd<'_>| watched.revents().is_some_and(|found| found.contains(PollFlags::POLLOUT));
    if poll(&mut watched, PollTimeout::NONE).is_ok() && has_room(&watched[0]) {
        return;
    }
    thread::sleep(Duration::from_millis(10));
}

/// The numeric address with its scope by name, as Node.js expects it.
pub(crate) fn scoped_host(address: &SocketAddr, v6: &SocketAddrV6) -> String {
    let flags = libc::NI_NUMERICHOST | libc::NI_NUMERICSERV;
    match dns_lookup::getnameinfo(address, flags) {
        Ok((host, _)) => host,
        Err(_) => format!("{}%{}", v6.ip(), v6.scope_id()),
    }
}
