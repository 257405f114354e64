//! A file by its name in a folder that is kept open, as for `openat`, so that renaming a folder on its path cannot
//! redirect an operation to another file.

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

use crate::platform::FOLDER;

/// A folder and the name of a file in it, which need not exist.
pub(crate) struct FileAt {
    /// `None` if the folder may be searched but not opened; then `name` is the whole path.
    folder: Option<OwnedFd>,
    name: OsString,
}

impl FileAt {
    /// The location that `path` names now, following all symbolic links except a final one.
    pub(crate) fn of(path: &[u8]) -> Result<Self> {
        let (folder, name) = match path.iter().rposition(|&byte| byte == b'/') {
            Some(slash) => (&path[..=slash], &path[slash + 1..]),
            None => (&b"."[..], path),
        };
        // Linux would take such a name of a UNIX socket for an abstract one.
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

    /// The status of the file, or `None` if there is none. Does not follow a symbolic link.
    pub(crate) fn status(&self) -> Result<Option<FileStat>> {
        match fstatat(self.folder(), self.name.as_os_str(), AtFlags::AT_SYMLINK_NOFOLLOW) {
            Ok(status) => Ok(Some(status)),
            Err(Errno::ENOENT) => Ok(None),
            Err(errno) => Err(errno),
        }
    }

    /// Whether the file here is `file`.
    pub(crate) fn holds(&self, file: &FileStat) -> Result<bool> {
        Ok(self.status()?.is_some_and(|status| is_same(&status, file)))
    }

    /// Opens the file. Fails for a symbolic link, and never blocks.
    pub(crate) fn open(&self, flags: OFlag, mode: Mode) -> Result<File> {
        let safe = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
        Ok(openat(self.folder(), self.name.as_os_str(), flags | safe, mode)?.into())
    }

    /// Removes the file if it is `file`.
    pub(crate) fn remove(&self, file: &FileStat) -> Result<()> {
        if self.holds(file)? {
            unlinkat(self.folder(), self.name.as_os_str(), UnlinkatFlags::NoRemoveDir)?;
        }
        Ok(())
    }

    fn folder(&self) -> BorrowedFd<'_> {
        self.folder.as_ref().map_or(AT_FDCWD, AsFd::as_fd)
    }
}

/// The kind of file.
pub(crate) fn kind_of(status: &FileStat) -> SFlag {
    SFlag::from_bits_truncate(status.st_mode & SFlag::S_IFMT.bits())
}

/// Whether both are the same file.
pub(crate) fn is_same(one: &FileStat, other: &FileStat) -> bool {
    (one.st_dev, one.st_ino) == (other.st_dev, other.st_ino)
}
