//! What a service manager hands down and is told: sockets that listen already, and datagrams about the state.

use std::{
    ffi::OsStr,
    io,
    os::{
        fd::BorrowedFd,
        unix::{ffi::OsStrExt, net::UnixDatagram},
    },
};

use napi::bindgen_prelude::{Uint8Array, Uint8ArraySlice};
use napi_derive::napi;
use nix::{
    errno::Errno,
    fcntl::{FcntlArg, FdFlag, fcntl},
};
use socket2::{SockAddr, SockRef, Type};

use super::{
    descriptors::{borrowed, system_error},
    lookup::ResolvedAddress,
};
use crate::errors::Result;

/// Sends to the socket of a service manager and never waits for it.
#[napi]
pub struct NotifySocket {
    /// Open from the start, for the time when descriptors have run out. Not connected: a manager may come back.
    socket: UnixDatagram,
    address: SockAddr,
}

#[napi]
impl NotifySocket {
    /// `path` is that of a UNIX socket; one that begins with a zero byte is the name of an abstract one.
    #[napi(constructor)]
    pub fn new(path: Uint8ArraySlice) -> Result<Self> {
        let open = || {
            let socket = UnixDatagram::unbound()?;
            socket.set_nonblocking(true)?;
            Ok(Self { socket, address: SockAddr::unix(OsStr::from_bytes(&path))? })
        };
        open().map_err(|error| system_error("open a datagram socket", error))
    }

    /// Sends `message`, whole or not at all. Throws where nobody is there, and `EAGAIN` or `ENOBUFS` where the manager
    /// does not keep up.
    #[napi]
    pub fn send(&self, message: Uint8ArraySlice) -> Result<()> {
        SockRef::from(&self.socket)
            .send_to(&message, &self.address)
            .map(drop)
            .map_err(|error| system_error("send to the service manager", error))
    }
}

/// What an inherited descriptor is.
#[napi(object)]
pub(super) struct InheritedSocket {
    /// `listening`, or why it is no use: `closed`, `no socket`, `no stream`, `not listening`, `unknown family`.
    pub state: String,
    /// Where a TCP socket listens.
    pub tcp: Option<ResolvedAddress>,
    /// Where a UNIX socket listens; an abstract name begins with a zero byte.
    pub path: Option<Uint8Array>,
}

impl InheritedSocket {
    fn useless(why: &str) -> Self {
        Self { state: why.to_owned(), tcp: None, path: None }
    }
}

/// What `descriptor` is. From now on no program that this one starts gets it; of the socket nothing is changed.
#[napi]
pub(super) fn inherited_socket(descriptor: i32) -> Result<InheritedSocket> {
    let Ok(descriptor) = borrowed(descriptor) else { return Ok(InheritedSocket::useless("closed")) };
    match fcntl(descriptor, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC)) {
        Err(Errno::EBADF) => return Ok(InheritedSocket::useless("closed")),
        Err(errno) => return Err(system_error("inherit a descriptor", errno.into())),
        Ok(_) => {}
    }
    look_at(descriptor).or_else(|error| match error.raw_os_error() {
        Some(libc::ENOTSOCK) => Ok(InheritedSocket::useless("no socket")),
        _ => Err(system_error("inherit a descriptor", error)),
    })
}

fn look_at(descriptor: BorrowedFd<'_>) -> io::Result<InheritedSocket> {
    let socket = SockRef::from(&descriptor);
    if socket.r#type()? != Type::STREAM {
        return Ok(InheritedSocket::useless("no stream"));
    }
    if !is_listening(&socket)? {
        return Ok(InheritedSocket::useless("not listening"));
    }
    let address = socket.local_addr()?;
    let listening = |tcp, path| InheritedSocket { state: "listening".to_owned(), tcp, path };
    if let Some(tcp) = address.as_socket() {
        return Ok(listening(Some(ResolvedAddress::from(&tcp)), None));
    }
    if !address.is_unix() {
        return Ok(InheritedSocket::useless("unknown family"));
    }
    Ok(listening(None, Some(path_of(&address).into())))
}

fn path_of(address: &SockAddr) -> Vec<u8> {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    if let Some(name) = address.as_abstract_namespace() {
        return [&[0], name].concat();
    }
    address.as_pathname().map_or_else(Vec::new, |path| path.as_os_str().as_bytes().to_vec())
}

#[cfg(not(target_vendor = "apple"))]
fn is_listening(socket: &SockRef<'_>) -> io::Result<bool> {
    socket.is_listener()
}

/// The system does not say; listening fails later where it is none. What has a peer is none for sure.
#[cfg(target_vendor = "apple")]
fn is_listening(socket: &SockRef<'_>) -> io::Result<bool> {
    Ok(socket.peer_addr().is_err())
}
