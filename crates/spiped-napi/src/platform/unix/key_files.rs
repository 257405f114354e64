//! Key files on systems with descriptors and permissions.

use std::{
    ffi::{OsStr, OsString},
    fs::{File, Metadata, OpenOptions},
    io::{self, Seek, SeekFrom, stdin},
    os::{
        fd::{AsFd, BorrowedFd, IntoRawFd},
        unix::{
            ffi::{OsStrExt, OsStringExt},
            fs::{FileTypeExt, MetadataExt, OpenOptionsExt},
        },
    },
    path::{Path, PathBuf},
};

use nix::{
    errno::Errno,
    fcntl::{FcntlArg, FdFlag, fcntl},
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::stat::{SFlag, fstat},
};

use crate::{
    platform::REOPENS_BY_PATH,
    system::{descriptors::borrowed, key_file::KeyFileKind},
};

pub(crate) fn path_of_bytes(bytes: &[u8]) -> PathBuf {
    OsStr::from_bytes(bytes).into()
}

/// Opens `path` without making a terminal the controlling one. With `is_regular`, opening never blocks, even if a FIFO
/// has replaced the file.
pub(crate) fn open_to_read(path: &Path, is_regular: bool) -> io::Result<File> {
    let flags = if is_regular { libc::O_NOCTTY | libc::O_NONBLOCK } else { libc::O_NOCTTY };
    OpenOptions::new().read(true).custom_flags(flags).open(path)
}

/// Duplicates the caller's descriptor, and rewinds a file, except standard input, which others may have read in part.
pub(crate) fn given(descriptor: i32) -> io::Result<File> {
    let mut file = File::from(borrowed(descriptor)?.try_clone_to_owned()?);
    if descriptor != 0 && file.metadata()?.is_file() {
        file.seek(SeekFrom::Start(0))?;
    }
    Ok(file)
}

/// Makes a descriptor close-on-exec: those that a shell passes on, such as `/dev/fd/63`, are not.
pub(crate) fn keep_from_children(descriptor: i32) -> io::Result<()> {
    fcntl(borrowed(descriptor)?, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))?;
    Ok(())
}

pub(crate) fn kind_of(metadata: &Metadata) -> KeyFileKind {
    let kind = metadata.file_type();
    if kind.is_file() {
        KeyFileKind::File
    } else if kind.is_dir() {
        KeyFileKind::Folder
    } else if kind.is_fifo() {
        KeyFileKind::Pipe
    } else if kind.is_socket() {
        KeyFileKind::Socket
    } else {
        KeyFileKind::Device
    }
}

/// Refuses descriptors that Node.js opened itself. Those are not files, or pipes with both ends in this process, such
/// as the one that carries signals and must not be read here.
pub(crate) fn require_given(metadata: &Metadata) -> io::Result<()> {
    let kind = SFlag::from_bits_truncate((metadata.mode() as libc::mode_t) & SFlag::S_IFMT.bits());
    let holds_other_end = || (0..HIGHEST_OWN).any(|other| writes_to(other, metadata));
    if kind.is_empty() || (kind == SFlag::S_IFIFO && holds_other_end()) {
        return Err(Errno::EBADF.into());
    }
    Ok(())
}

/// Above any descriptor that Node.js opens before a key is read.
const HIGHEST_OWN: i32 = 256;

/// Whether a descriptor writes to this pipe.
fn writes_to(descriptor: i32, pipe: &Metadata) -> bool {
    let is_writer = || -> io::Result<bool> {
        let descriptor = borrowed(descriptor)?;
        let writes = fcntl(descriptor, FcntlArg::F_GETFL)? & libc::O_ACCMODE != libc::O_RDONLY;
        let status = fstat(descriptor)?;
        Ok(writes && (status.st_dev, status.st_ino) == (pipe.dev() as _, pipe.ino() as _))
    };
    is_writer().unwrap_or(false)
}

/// A value that changes whenever the file is modified.
pub(crate) fn version_of(metadata: &Metadata) -> impl PartialEq + use<> {
    (metadata.size(), metadata.mtime(), metadata.mtime_nsec(), metadata.ctime(), metadata.ctime_nsec())
}

/// Omits the inode's change time, since renaming changes it.
pub(crate) fn identity_of(metadata: &Metadata) -> Option<String> {
    let (device, inode, size) = (metadata.dev(), metadata.ino(), metadata.size());
    Some(format!("{device}:{inode}:{size}:{}.{:09}", metadata.mtime(), metadata.mtime_nsec()))
}

/// Whether reading this file consumes standard input. A regular file that is opened again by its path does not.
pub(crate) fn is_standard_input(metadata: &Metadata, is_opened_anew: bool) -> bool {
    let is_same = |input: BorrowedFd<'_>| {
        let input = File::from(input.try_clone_to_owned()?).metadata()?;
        io::Result::Ok((metadata.dev(), metadata.ino()) == (input.dev(), input.ino()))
    };
    let is_opened_anew = is_opened_anew || (REOPENS_BY_PATH && metadata.is_file());
    !is_opened_anew && is_same(stdin().as_fd()).unwrap_or(false)
}

/// Waits for data on a descriptor that another program has made non-blocking.
pub(crate) fn wait_for_more(file: &File) -> io::Result<()> {
    match poll(&mut [PollFd::new(file.as_fd(), PollFlags::POLLIN)], PollTimeout::NONE) {
        Ok(_) | Err(Errno::EINTR) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

/// The name of the `errno` and its meaning.
pub(crate) fn describe(error: &io::Error) -> (String, String) {
    let errno = match error.kind() {
        io::ErrorKind::IsADirectory => Errno::EISDIR,
        _ => Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO)),
    };
    (format!("{errno:?}"), errno.desc().to_lowercase())
}

/// A file's permissions.
pub(crate) fn mode_of(metadata: &Metadata) -> Option<u32> {
    Some(metadata.mode() & 0o7777)
}

/// A file's owner.
pub(crate) fn owner_of(metadata: &Metadata) -> Option<u32> {
    Some(metadata.uid())
}

/// Returns the descriptor of a file, which the caller owns.
pub(crate) fn into_descriptor(file: File) -> Option<i32> {
    Some(file.into_raw_fd())
}

/// The bytes of a name.
pub(crate) fn bytes_of(name: OsString) -> Vec<u8> {
    name.into_vec()
}
