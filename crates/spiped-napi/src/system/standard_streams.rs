//! Standard input and output of any kind, read and written by threads that do nothing else.
//!
//! Node.js reads files and devices on the pool that key exchanges need, knows no stream for some kinds, and makes
//! what it does read non-blocking, for every program that shares it. A thread may block, so it changes nothing.
//! JavaScript has a socket pair's other end, and with it backpressure and ends.
//!
//! The threads touch nothing of Node.js's and nobody joins them: one that blocks for ever does not hold up the
//! process's end.

use std::{
    fs::OpenOptions,
    io::{self, ErrorKind},
    os::{
        fd::{AsFd, BorrowedFd, IntoRawFd},
        unix::net::UnixStream,
    },
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI32, Ordering},
    },
    thread,
};

use napi_derive::napi;
use nix::{
    errno::Errno,
    fcntl::{FcntlArg, OFlag, fcntl},
    poll::{PollFd, PollFlags, PollTimeout, poll},
    unistd::{close, dup, dup2_stdout, read, write},
};
use socket2::SockRef;

use super::descriptors::{borrowed, system_error};
use crate::errors::Result;

/// Bytes of one read.
const BUFFER_LENGTH: usize = 65_536;

/// A thread that has no outcome yet.
const AT_WORK: i32 = -1;

/// A thread that reads standard input or writes standard output.
#[napi]
pub struct StreamThread {
    descriptor: i32,
    shared: Arc<Shared>,
}

/// What JavaScript and the thread tell each other besides bytes.
struct Shared {
    outcome: AtomicI32,
    /// The end that JavaScript makes is the end of the stream, and not of its interest in it.
    is_whole: AtomicBool,
}

#[napi]
impl StreamThread {
    /// JavaScript's end of the socket pair: close-on-exec. The caller owns it.
    #[napi(getter)]
    pub fn descriptor(&self) -> i32 {
        self.descriptor
    }

    /// How it ended: 0 for an orderly end, the system's number of an error, or null for a thread that is at work.
    /// It is there before the socket pair ends.
    #[napi(getter)]
    pub fn outcome(&self) -> Option<i32> {
        Some(self.shared.outcome.load(Ordering::Acquire)).filter(|outcome| *outcome != AT_WORK)
    }

    /// Says that all has been written, before JavaScript ends its end. Without this word, a socket that goes away
    /// is no end of standard output, which may belong to others too.
    #[napi]
    pub fn end_after_this(&self) {
        self.shared.is_whole.store(true, Ordering::Release);
    }
}

/// Begins to read standard input to its end.
#[napi]
pub(super) fn read_standard_input() -> Result<StreamThread> {
    start("input", |ours, _| carry(io::stdin().as_fd(), ours.as_fd()))
}

/// Begins to write what comes to standard output; at the end of the whole, standard output ends too, as with
/// `end_standard_output`. The other way, nothing comes but the end, once all is written or nothing more can be.
#[napi]
pub(super) fn write_standard_output() -> Result<StreamThread> {
    start("output", |ours, shared| {
        carry(ours.as_fd(), io::stdout().as_fd())?;
        if !shared.is_whole.load(Ordering::Acquire) {
            return Err(Errno::ECANCELED);
        }
        match SockRef::from(&io::stdout()).shutdown(std::net::Shutdown::Write) {
            // Nobody is left to hear of the end.
            Err(error) if error.kind() == ErrorKind::NotConnected => Ok(()),
            Err(error) if error.raw_os_error() == Some(libc::ENOTSOCK) => give_up_standard_output(),
            result => result.map_err(errno_of),
        }
    })
}

/// Ends standard output for whoever reads it: `/dev/null` takes its place. Throws where the file system tells only
/// now of a write that failed, as network file systems do.
#[napi]
pub(super) fn end_standard_output() -> Result<()> {
    give_up_standard_output().map_err(|errno| system_error("close standard output", errno.into()))
}

/// How a descriptor was opened.
#[napi(object)]
pub(super) struct AccessMode {
    pub readable: bool,
    pub writable: bool,
}

/// How `descriptor` was opened.
#[napi]
pub(super) fn access_mode(descriptor: i32) -> Result<AccessMode> {
    let flags = borrowed(descriptor)
        .and_then(|descriptor| Ok(fcntl(descriptor, FcntlArg::F_GETFL)?))
        .map_err(|error| system_error("ask how a descriptor was opened", error))?;
    let mode = flags & OFlag::O_ACCMODE.bits();
    Ok(AccessMode { readable: mode != libc::O_WRONLY, writable: mode != libc::O_RDONLY })
}

/// Whether two descriptors are one and the same open file: the one inherited or duplicated from the other, not
/// opened twice. Null where the system does not tell.
#[napi]
pub(super) fn is_same_open_file(
    process: u32,
    descriptor: i32,
    other_process: u32,
    other_descriptor: i32,
) -> Option<bool> {
    same_open_file(process, descriptor, other_process, other_descriptor)
}

#[cfg(target_os = "linux")]
fn same_open_file(process: u32, descriptor: i32, other_process: u32, other_descriptor: i32) -> Option<bool> {
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

#[cfg(not(target_os = "linux"))]
fn same_open_file(_process: u32, _descriptor: i32, _other_process: u32, _other_descriptor: i32) -> Option<bool> {
    None
}

type Work = fn(&UnixStream, &Shared) -> nix::Result<()>;

fn start(name: &str, work: Work) -> Result<StreamThread> {
    let shared = Arc::new(Shared { outcome: AtomicI32::new(AT_WORK), is_whole: AtomicBool::new(false) });
    let start = || {
        let (ours, theirs) = UnixStream::pair()?;
        let told = Arc::clone(&shared);
        thread::Builder::new().name(name.to_owned()).spawn(move || {
            let result = work(&ours, &told);
            // Before `ours` is closed: the end is what makes JavaScript ask.
            told.outcome.store(result.map_or_else(|errno| errno as i32, |()| 0), Ordering::Release);
        })?;
        Ok(theirs.into_raw_fd())
    };
    let descriptor = start().map_err(|error| system_error("start a thread for a standard stream", error))?;
    Ok(StreamThread { descriptor, shared })
}

/// Copies to the end.
fn carry(from: BorrowedFd, to: BorrowedFd) -> nix::Result<()> {
    let mut buffer = vec![0; BUFFER_LENGTH];
    loop {
        let length = again(from, PollFlags::POLLIN, || read(from, &mut buffer))?;
        let mut rest = buffer.get(..length).unwrap_or_default();
        if rest.is_empty() {
            return Ok(());
        }
        while !rest.is_empty() {
            let written = again(to, PollFlags::POLLOUT, || write(to, rest))?;
            rest = rest.get(written..).unwrap_or_default();
        }
    }
}

/// Makes a system call until it is through. Somebody else may have made the descriptor non-blocking: then it is waited
/// for.
fn again(descriptor: BorrowedFd, ready: PollFlags, mut call: impl FnMut() -> nix::Result<usize>) -> nix::Result<usize> {
    loop {
        match call() {
            Err(Errno::EINTR) => {}
            Err(Errno::EAGAIN) => match poll(&mut [PollFd::new(descriptor, ready)], PollTimeout::NONE) {
                Err(Errno::EINTR) | Ok(_) => {}
                Err(errno) => return Err(errno),
            },
            result => return result,
        }
    }
}

fn give_up_standard_output() -> nix::Result<()> {
    let stdout = io::stdout();
    // dup2 says nothing of a close that fails.
    match close(dup(stdout.as_fd())?) {
        Ok(()) | Err(Errno::EINTR) => {}
        Err(errno) => return Err(errno),
    }
    // Where there is none, the end of the program is what the reader sees.
    if let Ok(null) = OpenOptions::new().write(true).open("/dev/null") {
        dup2_stdout(null)?;
    }
    Ok(())
}

fn errno_of(error: io::Error) -> Errno {
    Errno::from_raw(error.raw_os_error().unwrap_or(libc::EINVAL))
}
