//! What Linux has and other systems lack, or do differently.

use std::{
    ffi::CString,
    fs::File,
    io,
    mem::size_of,
    os::fd::{AsRawFd, BorrowedFd},
};

use caps::{CapSet, CapsHashSet, errors::CapsError};
use nix::{
    errno::Errno,
    fcntl::{AtFlags, FcntlArg, OFlag, fcntl},
    sched::{CloneFlags, unshare},
    sys::{
        prctl,
        socket::{getsockopt, sockopt::PeerCredentials},
        stat::{FileStat, Mode, SFlag, fstat},
    },
    unistd::{Gid, Uid, fchownat},
};
use socket2::{SockAddr, SockRef};

use crate::{
    errors::{Code, Result},
    system::file_at::{FileAt, is_same, kind_of},
};

/// The mode in which folders are opened. `O_PATH` needs no read permission.
pub(crate) const FOLDER: OFlag = OFlag::O_PATH;

/// Whether opening `/dev/stdin` opens the file again, and does not duplicate the descriptor.
pub(crate) const REOPENS_BY_PATH: bool = true;

/// Locks without blocking; false if another process has a lock. On a file system without locks it succeeds. The lock
/// belongs to the open file description, so closing another descriptor does not release it, and since the descriptor
/// is close-on-exec, no child inherits it.
pub(crate) fn lock(file: &File) -> nix::Result<bool> {
    // Not `flock`: anybody who may read the file could then lock it too, and keep us out forever.
    match set_lock(file, libc::F_WRLCK) {
        Ok(()) | Err(Errno::ENOLCK | Errno::EOPNOTSUPP | Errno::ENOSYS | Errno::EINVAL) => Ok(true),
        Err(Errno::EAGAIN | Errno::EACCES) => Ok(false),
        Err(errno) => Err(errno),
    }
}

/// Takes a read lock, which does not conflict with those of processes that may only read.
pub(crate) fn lock_beside_readers(file: &File) -> nix::Result<bool> {
    match set_lock(file, libc::F_RDLCK) {
        Ok(()) => Ok(true),
        Err(Errno::EAGAIN | Errno::EACCES) => Ok(false),
        Err(errno) => Err(errno),
    }
}

/// Whether `lock` and `lock_beside_readers` would both fail. Takes no lock, so no other process notices.
pub(crate) fn is_locked(file: &File) -> nix::Result<bool> {
    let mut found = whole(libc::F_RDLCK);
    match fcntl(file, FcntlArg::F_OFD_GETLK(&mut found)) {
        Ok(_) => Ok(i32::from(found.l_type) != libc::F_UNLCK),
        Err(Errno::ENOLCK | Errno::EOPNOTSUPP | Errno::ENOSYS | Errno::EINVAL) => Ok(false),
        Err(errno) => Err(errno),
    }
}

/// Releases the lock.
pub(crate) fn unlock(file: &File) -> io::Result<()> {
    Ok(set_lock(file, libc::F_UNLCK)?)
}

fn set_lock(file: &File, kind: i32) -> nix::Result<()> {
    fcntl(file, FcntlArg::F_OFD_SETLK(&whole(kind))).map(drop)
}

/// A lock of the whole file.
fn whole(kind: i32) -> libc::flock {
    libc::flock {
        l_type: kind as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    }
}

/// Refuses core dumps, and tracing by other processes of the same user.
pub(crate) fn refuse_tracing() -> nix::Result<()> {
    prctl::set_dumpable(false)
}

/// Names the calling thread.
pub(crate) fn name_process(name: String) -> io::Result<()> {
    Ok(prctl::set_name(&CString::new(name)?)?)
}

/// The names of the calling thread's capabilities, some of them several times.
pub(crate) fn capabilities() -> Result<Vec<String>> {
    let mut names = Vec::new();
    for set in SETS {
        names.extend(read(set)?.iter().map(ToString::to_string));
    }
    Ok(names)
}

/// Drops all capabilities of the calling thread.
pub(crate) fn drop_capabilities() -> Result<()> {
    for set in SETS {
        // A thread without capabilities may not be allowed to clear them.
        if !read(set)?.is_empty() {
            caps::clear(None, set).map_err(|error| capability_error(&error))?;
        }
    }
    Ok(())
}

/// In the order in which they can be cleared.
const SETS: [CapSet; 4] = [CapSet::Ambient, CapSet::Effective, CapSet::Permitted, CapSet::Inheritable];

fn read(set: CapSet) -> Result<CapsHashSet> {
    match caps::read(None, set) {
        // Systems that emulate Linux may lack this set.
        Err(_) if matches!(set, CapSet::Ambient) => Ok(CapsHashSet::new()),
        read => read.map_err(|error| capability_error(&error)),
    }
}

fn capability_error(error: &CapsError) -> napi::Error<Code> {
    napi::Error::new(Code::System("EPERM".to_owned()), error.to_string())
}

/// Changes the user and the group of `made`, the file of a UNIX socket. Returns true, since it does not go by name.
pub(crate) fn give(file_at: &FileAt, made: &FileStat, user: Option<u32>, group: Option<u32>) -> nix::Result<bool> {
    let file = file_at.open(OFlag::O_PATH, Mode::empty())?;
    let status = fstat(&file)?;
    // A file with a second name may belong to somebody else, who linked it here.
    if !is_same(&status, made) || kind_of(&status) != SFlag::S_IFSOCK || status.st_nlink != 1 {
        return Err(Errno::ENOENT);
    }
    fchownat(&file, "", user.map(Uid::from_raw), group.map(Gid::from_raw), AtFlags::AT_EMPTY_PATH)?;
    Ok(true)
}

/// Gives the calling thread a umask of its own.
pub(crate) fn separate_umask() {
    let _ = unshare(CloneFlags::CLONE_FS);
}

/// The user and the process at the other end of a UNIX socket.
pub(crate) fn peer_credentials(descriptor: BorrowedFd<'_>) -> Option<(u32, Option<i32>)> {
    let credentials = getsockopt(&descriptor, PeerCredentials).ok()?;
    Some((credentials.uid(), Some(credentials.pid())))
}

/// The address of a peer that has reset the connection, which `getpeername` no longer tells.
pub(crate) fn reset_peer(socket: &SockRef<'_>) -> io::Result<SockAddr> {
    // The system requires the exact length of the address, which depends on the family.
    let of_length = |length: usize| {
        let ask = |storage: *mut socket2::SockAddrStorage, written: *mut libc::socklen_t| {
            // SAFETY: both pointers are `try_init`'s, valid for writes; `length` is less than the storage has.
            #[allow(unsafe_code)]
            let result = unsafe {
                *written = length as libc::socklen_t;
                libc::getsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, libc::SO_PEERNAME, storage.cast(), written)
            };
            if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
        };
        // SAFETY: `ask` gives an address of `written` bytes in zeroed storage, or an error.
        #[allow(unsafe_code)]
        unsafe { SockAddr::try_init(ask) }.map(|((), address)| address)
    };
    of_length(size_of::<libc::sockaddr_in6>()).or_else(|_| of_length(size_of::<libc::sockaddr_in>()))
}

/// Whether two descriptors share one open file description.
pub(crate) fn same_open_file(process: u32, descriptor: i32, other_process: u32, other_descriptor: i32) -> Option<bool> {
    const KCMP_FILE: libc::c_long = 0;
    // SAFETY: five numbers; kcmp takes no address and changes nothing.
    #[allow(unsafe_code)]
    let order = unsafe {
        libc::syscall(
            libc::SYS_kcmp,
            libc::c_long::from(process),
            libc::c_long::from(other_process),
            KCMP_FILE,
            libc::c_long::from(descriptor),
            libc::c_long::from(other_descriptor),
        )
    };
    (order >= 0).then_some(order == 0)
}

/// The abstract name of a UNIX socket.
pub(crate) fn abstract_name(address: &SockAddr) -> Option<&[u8]> {
    address.as_abstract_namespace()
}

/// Whether a socket is listening.
pub(crate) fn is_listening(socket: &SockRef<'_>) -> io::Result<bool> {
    socket.is_listener()
}
