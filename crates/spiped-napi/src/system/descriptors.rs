//! Listening descriptors for Node.js to take over, and the limit on descriptors.

use std::{
    io,
    os::fd::{BorrowedFd, FromRawFd, IntoRawFd, OwnedFd, RawFd},
};

use napi_derive::napi;
use nix::{
    errno::Errno,
    sys::resource::{Resource, getrlimit},
};
use socket2::{Domain, Socket, Type};

use super::lookup::{look_up, resolve_error};
use crate::{
    errors::{Code, Result},
    platform::NUMERIC,
};

/// Listens on `address`, a numeric IPv4 or IPv6 address with `%scope` if it needs one. Returns a non-blocking,
/// close-on-exec descriptor with `SO_REUSEADDR`, which the caller owns.
///
/// `IPV6_V6ONLY` keeps the system's default, as in spiped.
#[napi]
pub(crate) fn listen_tcp(address: String, port: u16, backlog: i32) -> Result<i32> {
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

/// Duplicates `descriptor`. Returns a close-on-exec descriptor, which the caller owns.
#[napi]
pub(crate) fn duplicate(descriptor: i32) -> Result<i32> {
    let copy = borrowed(descriptor)
        .and_then(|descriptor| descriptor.try_clone_to_owned())
        .map_err(|error| system_error("duplicate", error))?;
    Ok(copy.into_raw_fd())
}

/// Closes a descriptor on request, or at the latest when its environment ends, as when a worker is terminated.
#[napi]
pub struct DescriptorGuard(Option<OwnedFd>);

#[napi]
impl DescriptorGuard {
    /// Takes ownership of `descriptor`.
    #[napi(constructor)]
    pub fn new(descriptor: i32) -> Result<Self> {
        Ok(Self(Some(owned(descriptor)?)))
    }

    /// Closes the descriptor, unless that has happened.
    #[napi]
    pub fn close(&mut self) {
        self.0 = None;
    }
}

/// Takes ownership of a descriptor that JavaScript got from `duplicate`.
pub(crate) fn owned(descriptor: RawFd) -> Result<OwnedFd> {
    if descriptor < 0 {
        return Err(system_error("take a descriptor", Errno::EBADF.into()));
    }
    // SAFETY: not negative; the caller made it with `duplicate` for this call, and nobody else knows it.
    #[allow(unsafe_code)]
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

/// Borrows a descriptor that Node.js owns, for one system call.
pub(crate) fn borrowed<'a>(descriptor: i32) -> io::Result<BorrowedFd<'a>> {
    if descriptor < 0 {
        return Err(Errno::EBADF.into());
    }
    // SAFETY: not negative, and used for one system call, which touches no memory and fails with EBADF when the
    // number is not a descriptor.
    #[allow(unsafe_code)]
    Ok(unsafe { BorrowedFd::borrow_raw(descriptor) })
}

/// How many descriptors this process may have open: the soft limit.
#[napi]
pub(crate) fn descriptor_limit() -> Result<f64> {
    let (soft, _) = getrlimit(Resource::RLIMIT_NOFILE).map_err(|errno| system_error("getrlimit", errno.into()))?;
    Ok(soft as f64)
}

/// A system error, whose code is the name of its `errno`.
pub(crate) fn system_error(call: &str, error: io::Error) -> napi::Error<Code> {
    let errno = Errno::from_raw(error.raw_os_error().unwrap_or(libc::EINVAL));
    napi::Error::new(Code::System(format!("{errno:?}")), format!("{call}: {}", errno.desc()))
}
