//! Queries and options of sockets that Node.js lacks. All functions take a descriptor that Node.js owns.

use std::{
    os::fd::BorrowedFd,
    time::{Duration, Instant},
};

use napi_derive::napi;
use nix::{
    errno::Errno,
    sys::socket::{MsgFlags, recv},
};
use socket2::{SockAddr, SockRef, TcpKeepalive};

use super::{
    descriptors::{borrowed, system_error},
    lookup::ResolvedAddress,
};
use crate::{
    errors::Result,
    platform::{peer_credentials, reset_peer},
};

/// Takes the pending error of a socket, `SO_ERROR`: the name of an `errno`, or null if there is none.
#[napi]
pub(crate) fn take_socket_error(descriptor: i32) -> Result<Option<String>> {
    let pending = borrowed(descriptor)
        .and_then(|descriptor| SockRef::from(&descriptor).take_error())
        .map_err(|error| system_error("take the error of a socket", error))?;
    Ok(pending.map(|error| format!("{:?}", Errno::from_raw(error.raw_os_error().unwrap_or(libc::EINVAL)))))
}

/// Whether the peer has ended its stream or the socket has failed, and everything before that has been read. Consumes
/// nothing.
#[napi]
pub(crate) fn has_ended(descriptor: i32) -> bool {
    match recv(descriptor, &mut [0], MsgFlags::MSG_PEEK | MsgFlags::MSG_DONTWAIT) {
        Ok(length) => length == 0,
        Err(error) => error != Errno::EAGAIN && error != Errno::EINTR,
    }
}

/// Sets what the peer of a TCP connection sees when the socket is closed: a reset at once, or the end of the stream
/// after all data. Has no effect on a UNIX socket.
#[napi]
pub(crate) fn set_reset_on_close(descriptor: i32, resets: bool) -> Result<()> {
    borrowed(descriptor)
        .and_then(|descriptor| SockRef::from(&descriptor).set_linger(resets.then_some(Duration::ZERO)))
        .map_err(|error| system_error("set SO_LINGER", error))
}

/// Enables keep-alive on a TCP connection: the system probes it after `idle_seconds` without data, then every
/// `interval_seconds`, and ends it after `probes` unanswered probes.
#[napi]
pub(crate) fn set_keep_alive(descriptor: i32, idle_seconds: u32, interval_seconds: u32, probes: u32) -> Result<()> {
    let timing = TcpKeepalive::new()
        .with_time(Duration::from_secs(idle_seconds.into()))
        .with_interval(Duration::from_secs(interval_seconds.into()))
        .with_retries(probes);
    borrowed(descriptor)
        .and_then(|descriptor| SockRef::from(&descriptor).set_tcp_keepalive(&timing))
        .map_err(|error| system_error("set TCP keep-alive", error))
}

/// Detects that the peer of a TCP connection has vanished while data was unacknowledged.
#[napi]
#[derive(Default)]
pub struct DeadPeerDetector(spiped_relay::DeadPeerDetector);

#[napi]
impl DeadPeerDetector {
    #[napi(constructor)]
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether the peer acknowledged nothing new for as long as keep-alive grants an idle connection. Always false if
    /// the system does not tell, or without keep-alive. Call it from time to time, always with the same socket.
    #[napi]
    pub fn is_dead(&mut self, descriptor: i32) -> bool {
        borrowed(descriptor).is_ok_and(|descriptor| {
            self.0.check(&SockRef::from(&descriptor), Instant::now()) == spiped_relay::Liveness::Dead
        })
    }
}

/// The remote address of a TCP connection, null for other sockets or if the system no longer knows it.
///
/// Linux still knows it after a reset, although `getpeername` fails.
#[napi]
pub(crate) fn peer_address(descriptor: i32) -> Option<ResolvedAddress> {
    let descriptor = borrowed(descriptor).ok()?;
    let socket = SockRef::from(&descriptor);
    let address = socket.peer_addr().or_else(|_| reset_peer(&socket)).ok()?;
    address.as_socket().as_ref().map(ResolvedAddress::from)
}

/// The local address of a TCP socket, null for any other. Throws if the system no longer knows it.
#[napi]
pub(crate) fn local_address(descriptor: i32) -> Result<Option<ResolvedAddress>> {
    let address = borrowed(descriptor)
        .and_then(|descriptor| SockRef::from(&descriptor).local_addr())
        .map_err(|error| system_error("ask for the address of a socket", error))?;
    Ok(address.as_socket().as_ref().map(ResolvedAddress::from))
}

/// The process that connected to a UNIX socket.
#[napi(object)]
pub(crate) struct UnixPeer {
    pub uid: u32,
    /// Unset if the system does not tell. The process may have exited, and its id may be in use again.
    pub pid: Option<i32>,
}

/// The process at the other end of a UNIX socket, null if the system does not tell.
#[napi]
pub(crate) fn unix_peer(descriptor: i32) -> Option<UnixPeer> {
    let descriptor = borrowed(descriptor).ok()?;
    if SockRef::from(&descriptor).local_addr().is_ok_and(|address: SockAddr| !address.is_unix()) {
        return None;
    }
    credentials(descriptor)
}

pub(crate) fn credentials(descriptor: BorrowedFd<'_>) -> Option<UnixPeer> {
    let (uid, pid) = peer_credentials(descriptor)?;
    Some(UnixPeer { uid, pid })
}
