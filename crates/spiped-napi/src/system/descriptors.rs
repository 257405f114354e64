//! Descriptors that listen before Node.js takes them over, and how many of them there may be.

use std::{
    fs::{self, Permissions},
    io::{self, ErrorKind},
    os::{
        fd::{BorrowedFd, IntoRawFd},
        unix::fs::{FileTypeExt, PermissionsExt},
    },
};

use napi_derive::napi;
use nix::{
    errno::Errno,
    sys::resource::{Resource, getrlimit},
};
use socket2::{Domain, SockAddr, SockRef, Socket, Type};

use super::lookup::{NUMERIC, look_up, resolve_error};
use crate::errors::{Code, Result};

/// A descriptor that listens on `address`, numeric, IPv4 or IPv6 with `%scope` where it needs one:
/// non-blocking, close-on-exec, with `SO_REUSEADDR`. The caller owns it.
///
/// `IPV6_V6ONLY` is left as the system has it, as spiped does.
#[napi]
pub fn listen_tcp(address: String, port: u16, backlog: i32) -> Result<i32> {
    let address = look_up(&address, &port.to_string(), NUMERIC)
        .map_err(|error| resolve_error(&error))?
        .first()
        .copied()
        .ok_or_else(|| system_error("listen", Errno::EADDRNOTAVAIL.into()))?;
    let listen = || {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
        socket.set_reuse_address(true)?;
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        socket.listen(backlog)?;
        Ok(socket.into_raw_fd())
    };
    listen().map_err(|error| system_error("listen", error))
}

/// A descriptor that listens on the UNIX socket `path`: non-blocking, close-on-exec. The caller owns it.
///
/// A socket file that nobody answers on is replaced, one that somebody answers on is not. `mode` are the
/// permissions of the new file; it has them before anybody can connect.
#[napi]
pub fn listen_unix(path: String, backlog: i32, mode: Option<u32>) -> Result<i32> {
    // Linux would take both for sockets without a place in the file system.
    if path.is_empty() || path.contains('\0') {
        return Err(system_error("listen", Errno::EINVAL.into()));
    }
    let listen = || {
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        let address = SockAddr::unix(&path)?;
        match socket.bind(&address) {
            Err(error) if error.kind() == ErrorKind::AddrInUse && is_stale(&path, &address) => {
                fs::remove_file(&path)?;
                socket.bind(&address)?;
            }
            bound => bound?,
        }
        if let Some(mode) = mode {
            fs::set_permissions(&path, Permissions::from_mode(mode))?;
        }
        socket.listen(backlog)?;
        Ok(socket.into_raw_fd())
    };
    listen().map_err(|error| system_error("listen", error))
}

/// Whether there is a socket file, and nobody who listens on it.
fn is_stale(path: &str, address: &SockAddr) -> bool {
    let is_socket = fs::symlink_metadata(path).is_ok_and(|metadata| metadata.file_type().is_socket());
    let connect = || {
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        // A listener whose backlog is full would hold a blocking connect up.
        socket.set_nonblocking(true)?;
        socket.connect(address)
    };
    is_socket && connect().is_err_and(|error: io::Error| error.kind() == ErrorKind::ConnectionRefused)
}

/// A second, close-on-exec descriptor of what `descriptor` stands for. The caller owns it.
#[napi]
pub fn duplicate(descriptor: i32) -> Result<i32> {
    let copy = borrowed(descriptor)
        .and_then(|descriptor| descriptor.try_clone_to_owned())
        .map_err(|error| system_error("duplicate", error))?;
    Ok(copy.into_raw_fd())
}

/// The name of the error that a socket has met and nobody has been told of yet, null where there is none.
/// Asking clears it.
#[napi]
pub fn take_socket_error(descriptor: i32) -> Result<Option<String>> {
    let pending = borrowed(descriptor)
        .and_then(|descriptor| SockRef::from(&descriptor).take_error())
        .map_err(|error| system_error("take the error of a socket", error))?;
    Ok(pending.map(|error| format!("{:?}", Errno::from_raw(error.raw_os_error().unwrap_or(libc::EINVAL)))))
}

/// A descriptor of Node.js's, for one system call.
pub(super) fn borrowed<'a>(descriptor: i32) -> io::Result<BorrowedFd<'a>> {
    if descriptor < 0 {
        return Err(Errno::EBADF.into());
    }
    // SAFETY: not negative, and used for one system call, which touches no memory and fails with EBADF when the
    // number is not a descriptor.
    #[allow(unsafe_code)]
    Ok(unsafe { BorrowedFd::borrow_raw(descriptor) })
}

/// How many descriptors this process may have open.
#[napi]
pub fn descriptor_limit() -> Result<f64> {
    let (soft, _) = getrlimit(Resource::RLIMIT_NOFILE).map_err(|errno| system_error("getrlimit", errno.into()))?;
    Ok(soft as f64)
}

/// An error whose code is the name of its `errno`.
pub(super) fn system_error(call: &str, error: io::Error) -> napi::Error<Code> {
    let errno = Errno::from_raw(error.raw_os_error().unwrap_or(libc::EINVAL));
    napi::Error::new(Code::System(format!("{errno:?}")), format!("{call}: {}", errno.desc()))
}
