//! macOS and FreeBSD, which lack some of what Linux has.

use std::{
    fs::{File, TryLockError},
    io,
    os::fd::BorrowedFd,
};

use nix::{
    errno::Errno,
    fcntl::{FcntlArg, OFlag, fcntl},
    sys::stat::FileStat,
    unistd::getpeereid,
};
use socket2::{SockAddr, SockRef};

use crate::{errors::Result, system::file_at::FileAt};

/// The mode in which folders are opened. `O_PATH` needs no read permission.
#[cfg(target_os = "freebsd")]
pub(crate) const FOLDER: OFlag = OFlag::O_PATH;
#[cfg(not(target_os = "freebsd"))]
pub(crate) const FOLDER: OFlag = OFlag::O_RDONLY;

/// Whether opening `/dev/stdin` opens the file again, and does not duplicate the descriptor.
pub(crate) const REOPENS_BY_PATH: bool = false;

/// Locks without blocking; false if another process has a lock. On a file system without locks it succeeds.
pub(crate) fn lock(file: &File) -> nix::Result<bool> {
    match file.try_lock() {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => Ok(true),
        Err(TryLockError::Error(error)) => Err(Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO))),
    }
}

/// Locks do not tell who may write.
pub(crate) fn lock_beside_readers(_file: &File) -> nix::Result<bool> {
    Ok(false)
}

/// Whether `lock` would fail. Takes no lock, so no other process notices.
pub(crate) fn is_locked(file: &File) -> nix::Result<bool> {
    let mut found = libc::flock {
        l_start: 0,
        l_len: 0,
        l_pid: 0,
        l_type: libc::F_WRLCK as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        #[cfg(target_os = "freebsd")]
        l_sysid: 0,
    };
    // Finds locks of `flock` too.
    match fcntl(file, FcntlArg::F_GETLK(&mut found)) {
        Ok(_) => Ok(found.l_type != libc::F_UNLCK as libc::c_short),
        Err(Errno::ENOLCK | Errno::EOPNOTSUPP | Errno::ENOSYS | Errno::EINVAL) => Ok(false),
        Err(errno) => Err(errno),
    }
}

/// Releases the lock.
pub(crate) fn unlock(file: &File) -> io::Result<()> {
    file.unlock()
}

/// Refuses tracing by other processes of the same user, on FreeBSD.
#[cfg(target_os = "freebsd")]
pub(crate) fn refuse_tracing() -> nix::Result<()> {
    let mut state = libc::PROC_TRACE_CTL_DISABLE;
    // SAFETY: PROC_TRACE_CTL reads one int behind the pointer, which outlives the call, and keeps no pointer.
    #[allow(unsafe_code)]
    let result =
        unsafe { libc::procctl(libc::P_PID, libc::getpid().into(), libc::PROC_TRACE_CTL, (&raw mut state).cast()) };
    Errno::result(result).map(drop)
}

#[cfg(not(target_os = "freebsd"))]
pub(crate) fn refuse_tracing() -> nix::Result<()> {
    Ok(())
}

/// The name of a process is that of its program.
pub(crate) fn name_process(_name: String) -> io::Result<()> {
    Ok(())
}

/// There are no capabilities.
pub(crate) fn capabilities() -> Result<Vec<String>> {
    Ok(Vec::new())
}

/// There are no capabilities.
pub(crate) fn drop_capabilities() -> Result<()> {
    Ok(())
}

/// The file of a UNIX socket cannot be opened, so its owner could only be changed by name.
pub(crate) fn give(_file_at: &FileAt, _made: &FileStat, _user: Option<u32>, _group: Option<u32>) -> nix::Result<bool> {
    Ok(false)
}

/// The umask is that of the process.
pub(crate) fn separate_umask() {}

/// The user at the other end of a UNIX socket.
pub(crate) fn peer_credentials(descriptor: BorrowedFd<'_>) -> Option<(u32, Option<i32>)> {
    let (uid, _) = getpeereid(descriptor).ok()?;
    Some((uid.as_raw(), None))
}

/// The system does not tell the address of a peer that has reset the connection.
pub(crate) fn reset_peer(_socket: &SockRef<'_>) -> io::Result<SockAddr> {
    Err(Errno::ENOTCONN.into())
}

/// The system does not tell.
pub(crate) fn same_open_file(
    _process: u32,
    _descriptor: i32,
    _other_process: u32,
    _other_descriptor: i32,
) -> Option<bool> {
    None
}

/// There are no abstract names.
pub(crate) fn abstract_name(_address: &SockAddr) -> Option<&[u8]> {
    None
}

/// Whether a socket is listening.
#[cfg(not(target_vendor = "apple"))]
pub(crate) fn is_listening(socket: &SockRef<'_>) -> io::Result<bool> {
    socket.is_listener()
}

/// The system does not tell, except that a socket with a peer is not listening. Others fail when they are used.
#[cfg(target_vendor = "apple")]
pub(crate) fn is_listening(socket: &SockRef<'_>) -> io::Result<bool> {
    Ok(socket.peer_addr().is_err())
}
