//! Listening UNIX sockets in folders that untrusted users may write to.

use std::{
    ffi::OsStr,
    io::{self, ErrorKind},
    os::{fd::IntoRawFd, unix::ffi::OsStrExt},
    path::PathBuf,
    thread,
};

use napi::bindgen_prelude::Uint8ArraySlice;
use napi_derive::napi;
use nix::{
    errno::Errno,
    sys::stat::{FileStat, Mode, SFlag, umask},
};
use socket2::{Domain, SockAddr, Socket, Type};

use super::{
    descriptors::system_error,
    file_at::{FileAt, kind_of},
};
use crate::{
    errors::Result,
    platform::{give, separate_umask},
};

/// The file of a UNIX socket.
#[napi]
pub struct SocketFile {
    path: PathBuf,
    /// `None` once it is no longer needed: JavaScript may keep this object much longer.
    file_at: Option<FileAt>,
    /// The file that `listen` created.
    made: Option<FileStat>,
}

#[napi]
impl SocketFile {
    /// The file at `path`, which need not exist. Its folder is kept open until `listen` fails or the file is removed.
    #[napi(constructor)]
    pub fn new(path: Uint8ArraySlice) -> Result<Self> {
        let file_at = FileAt::of(&path).map_err(|errno| system_error("listen", errno.into()))?;
        Ok(Self { path: OsStr::from_bytes(&path).into(), file_at: Some(file_at), made: None })
    }

    /// Whether a process has the UNIX socket at `path` open, or may have: this one may not write to it. No listener
    /// notices, since a datagram socket cannot connect to it.
    #[napi]
    pub fn is_bound(path: Uint8ArraySlice) -> Result<bool> {
        let connect = || {
            let socket = Socket::new(Domain::UNIX, Type::DGRAM, None)?;
            socket.connect(&SockAddr::unix(OsStr::from_bytes(&path))?)
        };
        match connect() {
            Err(error) if error.kind() == ErrorKind::InvalidInput => Err(system_error("connect", error)),
            Err(error) => Ok(![ErrorKind::ConnectionRefused, ErrorKind::NotFound].contains(&error.kind())),
            Ok(()) => Ok(true),
        }
    }

    /// Creates the socket and listens on it. Returns a non-blocking, close-on-exec descriptor, which the caller owns.
    ///
    /// Replaces a stale socket file, on which nobody listens; throws `EADDRINUSE` for any other file. The file is
    /// created with the permissions `mode`, or by default with those that the umask leaves.
    #[napi]
    pub fn listen(&mut self, backlog: i32, mode: Option<u32>) -> Result<i32> {
        let bound = mode.map_or_else(|| self.bind(), |mode| with_mode(mode, || self.bind()));
        let listening = bound.and_then(|(socket, made)| {
            self.made = Some(made);
            socket.listen(backlog)?;
            Ok(socket.into_raw_fd())
        });
        listening.map_err(|error| {
            self.file_at = None;
            system_error("listen", error)
        })
    }

    /// Changes the user and the group of the file that `listen` created; an omitted one stays as it is.
    ///
    /// @returns False if the system can only do so by name, which is not safe: anybody with write access to the folder
    /// could have replaced the file.
    #[napi]
    pub fn give(&self, user: Option<u32>, group: Option<u32>) -> Result<bool> {
        self.give_to(user, group).map_err(|errno| system_error("chown", errno.into()))
    }

    fn give_to(&self, user: Option<u32>, group: Option<u32>) -> nix::Result<bool> {
        let made = self.made.as_ref().ok_or(Errno::ENOENT)?;
        give(self.file_at()?, made, user, group)
    }

    /// Removes the file, unless another one has taken its place, and closes its folder.
    #[napi]
    pub fn remove(&mut self) -> Result<()> {
        let file_at = self.file_at.take();
        let removed = file_at.zip(self.made.take()).map_or(Ok(()), |(file_at, made)| file_at.remove(&made));
        removed.map_err(|errno| system_error("unlink", errno.into()))
    }

    fn file_at(&self) -> nix::Result<&FileAt> {
        self.file_at.as_ref().ok_or(Errno::ENOENT)
    }

    /// Binds by the whole path, since the system's tools show it.
    fn bind(&self) -> io::Result<(Socket, FileStat)> {
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        let address = SockAddr::unix(&self.path)?;
        match socket.bind(&address) {
            Err(error) if error.kind() == ErrorKind::AddrInUse => {
                self.file_at()?.remove(&self.stale(&address).ok_or(error)?)?;
                socket.bind(&address)?;
            }
            bound => bound?,
        }
        // Missing if somebody renamed a folder on the path in between; then it is not ours to remove either.
        let made = self.file_at()?.status()?.filter(|status| kind_of(status) == SFlag::S_IFSOCK);
        Ok((socket, made.ok_or(Errno::ENOENT)?))
    }

    /// The status of a stale socket file, on which nobody listens.
    fn stale(&self, address: &SockAddr) -> Option<FileStat> {
        let status = self.file_at.as_ref()?.status().ok()??;
        let connect = || {
            let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
            // A listener whose backlog is full would block a blocking connect.
            socket.set_nonblocking(true)?;
            socket.connect(address)
        };
        let nobody = |error: io::Error| error.kind() == ErrorKind::ConnectionRefused;
        (kind_of(&status) == SFlag::S_IFSOCK && connect().is_err_and(nobody)).then_some(status)
    }
}

/// Runs `bind` so that its file is created with these permissions. Changing them later would go by name, which could be
/// another file's by then. So this sets the umask, on a thread that has its own on Linux; elsewhere it changes that of
/// the process for a moment.
fn with_mode<T: Send>(mode: u32, bind: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
    let run = || {
        separate_umask();
        let before = umask(Mode::from_bits_truncate(!(mode as libc::mode_t) & 0o777));
        let bound = bind();
        umask(before);
        bound
    };
    thread::scope(|scope| {
        let thread = thread::Builder::new().name("bind".to_owned()).spawn_scoped(scope, run)?;
        thread.join().unwrap_or_else(|_| Err(io::Error::other("the binding thread panicked")))
    })
}
