//! A small file that one process holds for as long as it lives: the system lets go of it whatever the process dies of.

use std::{fs::File, io, os::unix::fs::FileExt};

use napi::bindgen_prelude::Uint8ArraySlice;
use napi_derive::napi;
use nix::{
    errno::Errno,
    fcntl::OFlag,
    sys::stat::{FileStat, Mode, SFlag, fstat},
    unistd::{Uid, ftruncate},
};

use super::{
    descriptors::system_error,
    place::{Place, kind_of},
};
use crate::errors::Result;

/// How often a file is looked at anew that somebody changes under our hands.
const ATTEMPTS: usize = 10;

/// Of a longer text, so much is read.
const TEXT_LENGTH: usize = 64;

/// A small file that one process holds for as long as it lives.
#[napi]
pub struct LockedFile {
    place: Place,
    file: File,
    is_new: bool,
    is_held: bool,
}

#[napi]
impl LockedFile {
    /// Opens or makes the file at `path`, mode 0644 less the umask, and takes hold of it unless somebody else has.
    ///
    /// Throws `ELOOP` for a link, `EISDIR` for a folder, `ENXIO` for anything else that is no regular file, `EMLINK`
    /// for a file that has other names, and `EPERM` for one that belongs neither to this process's user nor to the
    /// superuser: whoever may write to the folder could have put them there.
    #[napi(constructor)]
    pub fn new(path: Uint8ArraySlice) -> Result<Self> {
        Self::open(&path).map_err(|errno| system_error("open", errno.into()))
    }

    fn open(path: &[u8]) -> nix::Result<Self> {
        let place = Place::of(path)?;
        for _ in 0..ATTEMPTS {
            // Before it is opened: opening a device can do something.
            place.status()?.map_or(Ok(()), |status| check(&status))?;
            let Some((file, is_new)) = open_or_make(&place)? else { continue };
            let status = fstat(&file)?;
            check(&status)?;
            match hold(&file)? {
                Hold::Ours if place.holds(&status)? => return Ok(Self { place, file, is_new, is_held: true }),
                // Its owner has removed it meanwhile.
                Hold::Ours => {}
                Hold::Another => return Ok(Self { place, file, is_new, is_held: false }),
                Hold::Readers => place.remove(&status)?,
            }
        }
        Err(Errno::EAGAIN)
    }

    /// False where another process holds it.
    #[napi(getter)]
    pub fn is_held(&self) -> bool {
        self.is_held
    }

    /// True where it was not there before.
    #[napi(getter)]
    pub fn is_new(&self) -> bool {
        self.is_new
    }

    /// The first bytes of what is in it.
    #[napi]
    pub fn read(&self) -> Result<String> {
        let mut bytes = [0; TEXT_LENGTH];
        let length = self.file.read_at(&mut bytes, 0).map_err(|error| system_error("read", error))?;
        Ok(String::from_utf8_lossy(&bytes[..length]).into_owned())
    }

    /// Replaces what is in it.
    #[napi]
    pub fn write(&self, text: String) -> Result<()> {
        let write = || {
            ftruncate(&self.file, 0)?;
            self.file.write_all_at(text.as_bytes(), 0)
        };
        write().map_err(|error: io::Error| system_error("write", error))
    }

    /// Lets go of it; another process may take it from now on.
    #[napi]
    pub fn release(&mut self) {
        self.is_held = false;
        // What fails leaves it held for as long as this process lives, which is the safe side.
        let _ = let_go(&self.file);
    }

    /// Takes hold of it again. False where another process has it.
    #[napi]
    pub fn hold_again(&mut self) -> bool {
        self.is_held = self.is_held || matches!(hold(&self.file), Ok(Hold::Ours | Hold::Readers));
        self.is_held
    }

    /// Removes it, unless something else has taken its place.
    #[napi]
    pub fn remove(&self) -> Result<()> {
        fstat(&self.file)
            .and_then(|status| self.place.remove(&status))
            .map_err(|errno| system_error("unlink", errno.into()))
    }
}

fn check(status: &FileStat) -> nix::Result<()> {
    match kind_of(status) {
        SFlag::S_IFREG if status.st_nlink > 1 => Err(Errno::EMLINK),
        SFlag::S_IFREG if ![Uid::effective().as_raw(), 0].contains(&status.st_uid) => Err(Errno::EPERM),
        SFlag::S_IFREG => Ok(()),
        SFlag::S_IFLNK => Err(Errno::ELOOP),
        SFlag::S_IFDIR => Err(Errno::EISDIR),
        _ => Err(Errno::ENXIO),
    }
}

/// The file, and whether it is new; None where it has come or gone meanwhile.
fn open_or_make(place: &Place) -> nix::Result<Option<(File, bool)>> {
    let mode = Mode::from_bits_truncate(0o644);
    match place.open(OFlag::O_RDWR | OFlag::O_CREAT | OFlag::O_EXCL, mode) {
        Ok(file) => return Ok(Some((file, true))),
        Err(Errno::EEXIST) => {}
        Err(errno) => return Err(errno),
    }
    match place.open(OFlag::O_RDWR, Mode::empty()) {
        Ok(file) => Ok(Some((file, false))),
        Err(Errno::ENOENT) => Ok(None),
        Err(errno) => Err(errno),
    }
}

enum Hold {
    /// Ours from now on. So it is, without a lock, where the file system has none.
    Ours,
    /// Somebody's who may write to it.
    Another,
    /// Nobody's, but those who may only read it keep it from us.
    #[cfg_attr(not(target_os = "linux"), expect(dead_code))]
    Readers,
}

/// Without waiting. The lock belongs to the open file: no other descriptor that is closed lets go of it, and since
/// the descriptor is close-on-exec, nobody inherits it.
#[cfg(target_os = "linux")]
fn hold(file: &File) -> nix::Result<Hold> {
    // `flock` would do, were it not that everybody who may read the file could lock it too, and stop us for ever.
    match set_lock(file, libc::F_WRLCK) {
        Ok(()) | Err(Errno::ENOLCK | Errno::EOPNOTSUPP | Errno::ENOSYS | Errno::EINVAL) => return Ok(Hold::Ours),
        Err(Errno::EAGAIN | Errno::EACCES) => {}
        Err(errno) => return Err(errno),
    }
    // Whoever could read only cannot be in the way of a lock for reading.
    match set_lock(file, libc::F_RDLCK) {
        Ok(()) => Ok(Hold::Readers),
        Err(Errno::EAGAIN | Errno::EACCES) => Ok(Hold::Another),
        Err(errno) => Err(errno),
    }
}

#[cfg(target_os = "linux")]
fn set_lock(file: &File, kind: i32) -> nix::Result<()> {
    use nix::fcntl::{FcntlArg, fcntl};
    let whole = libc::flock {
        l_type: kind as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    };
    fcntl(file, FcntlArg::F_OFD_SETLK(&whole)).map(drop)
}

#[cfg(target_os = "linux")]
fn let_go(file: &File) -> io::Result<()> {
    Ok(set_lock(file, libc::F_UNLCK)?)
}

#[cfg(not(target_os = "linux"))]
fn let_go(file: &File) -> io::Result<()> {
    file.unlock()
}

#[cfg(not(target_os = "linux"))]
fn hold(file: &File) -> nix::Result<Hold> {
    use std::fs::TryLockError;
    match file.try_lock() {
        Ok(()) => Ok(Hold::Ours),
        Err(TryLockError::WouldBlock) => Ok(Hold::Another),
        Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => Ok(Hold::Ours),
        Err(TryLockError::Error(error)) => Err(Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO))),
    }
}
