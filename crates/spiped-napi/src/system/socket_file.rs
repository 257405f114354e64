//! UNIX sockets to listen on, whose folder may belong to somebody who is not to be trusted.

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
#[cfg(target_os = "linux")]
use nix::{
    fcntl::{AtFlags, OFlag},
    sys::stat::fstat,
    unistd::{Gid, Uid, fchownat},
};
use socket2::{Domain, SockAddr, Socket, Type};

#[cfg(target_os = "linux")]
use super::place::is_same;
use super::{
    descriptors::system_error,
    place::{Place, kind_of},
};
use crate::errors::Result;

/// The file of a UNIX socket.
#[napi]
pub struct SocketFile {
    path: PathBuf,
    /// None once there is nothing more to do to it: JavaScript may keep this for long after.
    place: Option<Place>,
    /// The file that `listen` has made.
    made: Option<FileStat>,
}

#[napi]
impl SocketFile {
    /// The file at `path`, which need not be there. Its folder is held until `listen` fails or the file is removed.
    #[napi(constructor)]
    pub fn new(path: Uint8ArraySlice) -> Result<Self> {
        let place = Place::of(&path).map_err(|errno| system_error("listen", errno.into()))?;
        Ok(Self { path: OsStr::from_bytes(&path).into(), place: Some(place), made: None })
    }

    /// A descriptor that listens: non-blocking, close-on-exec. The caller owns it.
    ///
    /// A socket file that nobody answers on is replaced, one that somebody answers on is not. `mode` are the
    /// permissions of the new file, from its first moment; without it the umask decides.
    #[napi]
    pub fn listen(&mut self, backlog: i32, mode: Option<u32>) -> Result<i32> {
        let bound = mode.map_or_else(|| self.bind(), |mode| with_mode(mode, || self.bind()));
        let listening = bound.and_then(|(socket, made)| {
            self.made = Some(made);
            socket.listen(backlog)?;
            Ok(socket.into_raw_fd())
        });
        listening.map_err(|error| {
            self.place = None;
            system_error("listen", error)
        })
    }

    /// Gives the file that `listen` has made to a user and a group; without one of them, that stays as it is.
    ///
    /// @returns False where the system has no way to do that to this very file: by its name it can be another one, which
    /// somebody who may write to the folder has put there.
    #[napi]
    pub fn give(&self, user: Option<u32>, group: Option<u32>) -> Result<bool> {
        self.give_to(user, group).map_err(|errno| system_error("chown", errno.into()))
    }

    #[cfg(target_os = "linux")]
    fn give_to(&self, user: Option<u32>, group: Option<u32>) -> nix::Result<bool> {
        let made = self.made.as_ref().ok_or(Errno::ENOENT)?;
        let file = self.place()?.open(OFlag::O_PATH, Mode::empty())?;
        let status = fstat(&file)?;
        // One that has a second name may have been somebody else's before it was linked to this place.
        if !is_same(&status, made) || kind_of(&status) != SFlag::S_IFSOCK || status.st_nlink != 1 {
            return Err(Errno::ENOENT);
        }
        fchownat(&file, "", user.map(Uid::from_raw), group.map(Gid::from_raw), AtFlags::AT_EMPTY_PATH)?;
        Ok(true)
    }

    #[cfg(not(target_os = "linux"))]
    fn give_to(&self, _user: Option<u32>, _group: Option<u32>) -> nix::Result<bool> {
        Ok(false)
    }

    /// Removes the file, unless something else has taken its place, and lets go of its folder.
    #[napi]
    pub fn remove(&mut self) -> Result<()> {
        let place = self.place.take();
        let removed = place.zip(self.made.take()).map_or(Ok(()), |(place, made)| place.remove(&made));
        removed.map_err(|errno| system_error("unlink", errno.into()))
    }

    fn place(&self) -> nix::Result<&Place> {
        self.place.as_ref().ok_or(Errno::ENOENT)
    }

    /// By the whole path, which is what the system's tools show of the socket.
    fn bind(&self) -> io::Result<(Socket, FileStat)> {
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        let address = SockAddr::unix(&self.path)?;
        match socket.bind(&address) {
            Err(error) if error.kind() == ErrorKind::AddrInUse => {
                self.place()?.remove(&self.stale(&address).ok_or(error)?)?;
                socket.bind(&address)?;
            }
            bound => bound?,
        }
        // Not where it was made if somebody has moved a folder on the way; then it is not ours to remove either.
        let made = self.place()?.status()?.filter(|status| kind_of(status) == SFlag::S_IFSOCK);
        Ok((socket, made.ok_or(Errno::ENOENT)?))
    }

    /// The socket file, if nobody listens on it.
    fn stale(&self, address: &SockAddr) -> Option<FileStat> {
        let status = self.place.as_ref()?.status().ok()??;
        let connect = || {
            let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
            // A listener whose backlog is full would hold a blocking connect up.
            socket.set_nonblocking(true)?;
            socket.connect(address)
        };
        let nobody = |error: io::Error| error.kind() == ErrorKind::ConnectionRefused;
        (kind_of(&status) == SFlag::S_IFSOCK && connect().is_err_and(nobody)).then_some(status)
    }
}

/// Runs `bind`, whose file gets these permissions as it is made: changing them afterwards would be by its name, which
/// can be another file's by then. So it is the umask, of a thread that has one of its own. Where it can have none, it
/// is the process's for a moment.
fn with_mode<T: Send>(mode: u32, bind: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
    let run = || {
        #[cfg(target_os = "linux")]
        let _ = nix::sched::unshare(nix::sched::CloneFlags::CLONE_FS);
        let before = umask(Mode::from_bits_truncate(!(mode as libc::mode_t) & 0o777));
        let bound = bind();
        umask(before);
        bound
    };
    thread::scope(|scope| {
        let thread = thread::Builder::new().name("bind".to_owned()).spawn_scoped(scope, run)?;
        thread.join().unwrap_or_else(|_| Err(io::Error::other("the thread that binds has panicked")))
    })
}
