//! A small file, such as a pid file, that one process keeps locked while it lives. The system releases the lock however
//! the process dies.

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
    file_at::{FileAt, kind_of},
};
use crate::{
    errors::Result,
    platform::{is_locked, lock, lock_beside_readers, unlock},
};

/// How often to try again if another process changes the file at the same time.
const ATTEMPTS: usize = 10;

/// The most bytes to read.
const TEXT_LENGTH: usize = 64;

/// What another process sees of such a file.
#[napi(object)]
pub struct LockedFileState {
    /// Whether a process has locked it.
    pub is_locked: bool,
    /// Its first 64 bytes, as text.
    pub text: String,
}

/// A small file that one process keeps locked while it lives.
#[napi]
pub struct LockedFile {
    file_at: FileAt,
    file: File,
    is_new: bool,
    is_held: bool,
}

#[napi]
impl LockedFile {
    /// Opens the file at `path`, or creates it with mode 0644 less the umask, and locks it unless another process has.
    ///
    /// Throws `ELOOP` for a symbolic link, `EISDIR` for a folder, `ENXIO` for anything else that is not a regular file,
    /// `EMLINK` for a file with several names, and `EPERM` for one that belongs neither to this process's user nor to
    /// root: anybody with write access to the folder could have planted it.
    #[napi(constructor)]
    pub fn new(path: Uint8ArraySlice) -> Result<Self> {
        Self::open(&path).map_err(|errno| system_error("open", errno.into()))
    }

    fn open(path: &[u8]) -> nix::Result<Self> {
        let file_at = FileAt::of(path)?;
        for _ in 0..ATTEMPTS {
            // Before opening it, since opening a device can have side effects.
            file_at.status()?.map_or(Ok(()), |status| check(&status))?;
            let Some((file, is_new)) = open_or_make(&file_at)? else { continue };
            let status = fstat(&file)?;
            check(&status)?;
            match hold(&file)? {
                Hold::Ours if file_at.holds(&status)? => return Ok(Self { file_at, file, is_new, is_held: true }),
                // Its owner removed it in the meantime.
                Hold::Ours => {}
                Hold::Another => return Ok(Self { file_at, file, is_new, is_held: false }),
                Hold::Readers => file_at.remove(&status)?,
            }
        }
        Err(Errno::EAGAIN)
    }

    /// The state of the file at `path`; null if there is none. Neither creates nor locks it, and so disturbs nobody.
    ///
    /// Throws the same errors as the constructor.
    #[napi]
    pub fn look(path: Uint8ArraySlice) -> Result<Option<LockedFileState>> {
        let look = || {
            let file_at = FileAt::of(&path)?;
            let Some(status) = file_at.status()? else { return Ok(None) };
            check(&status)?;
            let file = match file_at.open(OFlag::O_RDWR, Mode::empty()) {
                Ok(file) => file,
                Err(Errno::ENOENT) => return Ok(None),
                Err(errno) => return Err(errno.into()),
            };
            check(&fstat(&file)?)?;
            Ok(Some(LockedFileState { is_locked: is_locked(&file)?, text: text_of(&file)? }))
        };
        look().map_err(|error: io::Error| system_error("open", error))
    }

    /// False if another process has locked it.
    #[napi(getter)]
    pub fn is_held(&self) -> bool {
        self.is_held
    }

    /// Whether this created it.
    #[napi(getter)]
    pub fn is_new(&self) -> bool {
        self.is_new
    }

    /// Its first 64 bytes, as text.
    #[napi]
    pub fn read(&self) -> Result<String> {
        text_of(&self.file).map_err(|error| system_error("read", error))
    }

    /// Replaces its contents.
    #[napi]
    pub fn write(&self, text: String) -> Result<()> {
        let write = || {
            ftruncate(&self.file, 0)?;
            self.file.write_all_at(text.as_bytes(), 0)
        };
        write().map_err(|error: io::Error| system_error("write", error))
    }

    /// Unlocks it; another process may lock it from now on.
    #[napi]
    pub fn release(&mut self) {
        self.is_held = false;
        // If this fails, it stays locked while this process lives, which is safe.
        let _ = unlock(&self.file);
    }

    /// Locks it again. Returns false if another process has locked it.
    #[napi]
    pub fn hold_again(&mut self) -> bool {
        self.is_held = self.is_held || matches!(hold(&self.file), Ok(Hold::Ours | Hold::Readers));
        self.is_held
    }

    /// Removes it, unless another file has taken its place.
    #[napi]
    pub fn remove(&self) -> Result<()> {
        fstat(&self.file)
            .and_then(|status| self.file_at.remove(&status))
            .map_err(|errno| system_error("unlink", errno.into()))
    }
}

fn text_of(file: &File) -> io::Result<String> {
    let mut bytes = [0; TEXT_LENGTH];
    let length = file.read_at(&mut bytes, 0)?;
    Ok(String::from_utf8_lossy(&bytes[..length]).into_owned())
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

/// The file, and whether it is new; `None` if it was created or removed at the same time.
fn open_or_make(file_at: &FileAt) -> nix::Result<Option<(File, bool)>> {
    let mode = Mode::from_bits_truncate(0o644);
    match file_at.open(OFlag::O_RDWR | OFlag::O_CREAT | OFlag::O_EXCL, mode) {
        Ok(file) => return Ok(Some((file, true))),
        Err(Errno::EEXIST) => {}
        Err(errno) => return Err(errno),
    }
    match file_at.open(OFlag::O_RDWR, Mode::empty()) {
        Ok(file) => Ok(Some((file, false))),
        Err(Errno::ENOENT) => Ok(None),
        Err(errno) => Err(errno),
    }
}

enum Hold {
    /// Locked by this process, or on a file system without locks.
    Ours,
    /// Locked by a process that may write to the file.
    Another,
    /// Only blocked by read locks of processes that may not write to the file.
    Readers,
}

fn hold(file: &File) -> nix::Result<Hold> {
    if lock(file)? {
        Ok(Hold::Ours)
    } else if lock_beside_readers(file)? {
        Ok(Hold::Readers)
    } else {
        Ok(Hold::Another)
    }
}
