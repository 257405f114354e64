//! A file by its name in a folder that stays open, so that whoever may rename folders on the way to it cannot turn what
//! is done to it to another one.

use std::{
    ffi::{OsStr, OsString},
    fs::File,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
};

use nix::{
    Result,
    errno::Errno,
    fcntl::{AT_FDCWD, AtFlags, OFlag, open, openat},
    sys::stat::{FileStat, Mode, SFlag, fstatat},
    unistd::{UnlinkatFlags, unlinkat},
};

/// Opens a folder to name files in it. Where the system can, this takes no more rights than naming them does.
#[cfg(any(target_os = "linux", target_os = "freebsd"))]
const FOLDER: OFlag = OFlag::O_PATH;
#[cfg(not(any(target_os = "linux", target_os = "freebsd")))]
const FOLDER: OFlag = OFlag::O_RDONLY;

/// See the head of this file.
pub(super) struct Place {
    /// None where the folder may be used but not be opened: then `name` is the whole path.
    folder: Option<OwnedFd>,
    name: OsString,
}

impl Place {
    /// The place that `path` leads to now, through all links but one at its end.
    pub(super) fn of(path: &[u8]) -> Result<Self> {
        let (folder, name) = match path.iter().rposition(|&byte| byte == b'/') {
            Some(slash) => (&path[..=slash], &path[slash + 1..]),
            None => (&b"."[..], path),
        };
        // Linux would take such a name of a UNIX socket for one without a place in the file system.
        if path.is_empty() || path.contains(&0) {
            return Err(Errno::EINVAL);
        }
        if name.is_empty() {
            return Err(Errno::EISDIR);
        }
        let flags = FOLDER | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        match open(OsStr::from_bytes(folder), flags, Mode::empty()) {
            Ok(folder) => Ok(Self { folder: Some(folder), name: OsStr::from_bytes(name).to_owned() }),
            Err(Errno::EACCES) => Ok(Self { folder: None, name: OsStr::from_bytes(path).to_owned() }),
            Err(errno) => Err(errno),
        }
    }

    /// What lies here, a link itself rather than what it leads to; None where nothing does.
    pub(super) fn status(&self) -> Result<Option<FileStat>> {
        match fstatat(self.folder(), self.name.as_os_str(), AtFlags::AT_SYMLINK_NOFOLLOW) {
            Ok(status) => Ok(Some(status)),
            Err(Errno::ENOENT) => Ok(None),
            Err(errno) => Err(errno),
        }
    }

    /// Whether this very file lies here.
    pub(super) fn holds(&self, file: &FileStat) -> Result<bool> {
        Ok(self.status()?.is_some_and(|status| is_same(&status, file)))
    }

    /// Opens what lies here. A link at the end is an error, and nothing waits.
    pub(super) fn open(&self, flags: OFlag, mode: Mode) -> Result<File> {
        let safe = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
        Ok(openat(self.folder(), self.name.as_os_str(), flags | safe, mode)?.into())
    }

    /// Removes what lies here if it is this very file.
    pub(super) fn remove(&self, file: &FileStat) -> Result<()> {
        if self.holds(file)? {
            unlinkat(self.folder(), self.name.as_os_str(), UnlinkatFlags::NoRemoveDir)?;
        }
        Ok(())
    }

    fn folder(&self) -> BorrowedFd<'_> {
        self.folder.as_ref().map_or(AT_FDCWD, AsFd::as_fd)
    }
}

/// What kind of file it is.
pub(super) fn kind_of(status: &FileStat) -> SFlag {
    SFlag::from_bits_truncate(status.st_mode & SFlag::S_IFMT.bits())
}

/// Whether both are the same file.
pub(super) fn is_same(one: &FileStat, other: &FileStat) -> bool {
    (one.st_dev, one.st_ino) == (other.st_dev, other.st_ino)
}
