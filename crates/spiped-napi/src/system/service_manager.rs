//! The service manager: inherits listening sockets from it and sends it notifications.

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
use crate::{
    errors::Result,
    platform::{abstract_name, is_listening},
};

/// Sends notifications to a service manager without blocking.
#[napi]
pub struct NotifySocket {
    /// Opened early, in case descriptors run out later. Not connected, since the manager may restart.
    socket: UnixDatagram,
    address: SockAddr,
}

#[napi]
impl NotifySocket {
    /// `path` is the path of a UNIX socket, or, if it starts with a zero byte, the name of an abstract one.
    #[napi(constructor)]
    pub fn new(path: Uint8ArraySlice) -> Result<Self> {
        let open = || {
            let socket = UnixDatagram::unbound()?;
            socket.set_nonblocking(true)?;
            Ok(Self { socket, address: SockAddr::unix(OsStr::from_bytes(&path))? })
        };
        open().map_err(|error| system_error("open a datagram socket", error))
    }

    /// Sends `message` as one datagram. Throws if nobody receives there, and `EAGAIN` or `ENOBUFS` if the manager does
    /// not keep up.
    #[napi]
    pub fn send(&self, message: Uint8ArraySlice) -> Result<()> {
        SockRef::from(&self.socket)
            .send_to(&message, &self.address)
            .map(drop)
            .map_err(|error| system_error("send to the service manager", error))
    }
}

/// A descriptor inherited from the service manager.
#[napi(object)]
pub(super) struct InheritedSocket {
    /// `listening`, or why it cannot be used: `closed`, `no socket`, `no stream`, `not listening`, `unknown family`.
    pub state: String,
    /// The address of a TCP socket.
    pub tcp: Option<ResolvedAddress>,
    /// The path of a UNIX socket; an abstract name starts with a zero byte.
    pub path: Option<Uint8Array>,
}

impl InheritedSocket {
    fn useless(why: &str) -> Self {
        Self { state: why.to_owned(), tcp: None, path: None }
    }
}

/// Examines `descriptor` and makes it close-on-exec. The socket itself is not changed.
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
    if let Some(name) = abstract_name(address) {
        return [&[0], name].concat();
    }
    address.as_pathname().map_or_else(Vec::new, |path| path.as_os_str().as_bytes().to_vec())
}
