//! Reads standard input and writes standard output of any kind, each on a thread of its own.
//!
//! Node.js reads files and devices on the thread pool that handshakes need, does not support some kinds, and makes the
//! others non-blocking for every program that shares them. A thread may block, so it changes nothing. JavaScript gets
//! the other end of a socket pair, which provides backpressure and the end of the stream.
//!
//! The threads do not call into Node.js and are never joined: one that blocks forever does not keep the process from
//! exiting.

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
use crate::{errors::Result, platform::same_open_file};

/// Bytes per read.
const BUFFER_LENGTH: usize = 65_536;

/// The outcome of a thread that is still running.
const AT_WORK: i32 = -1;

/// A thread that reads standard input or writes standard output.
#[napi]
pub struct StreamThread {
    descriptor: i32,
    shared: Arc<Shared>,
}

/// What JavaScript and the thread share besides the socket pair.
struct Shared {
    outcome: AtomicI32,
    /// Whether JavaScript has written everything, so that the end of its socket is the end of the stream.
    is_whole: AtomicBool,
}

#[napi]
impl StreamThread {
    /// JavaScript's end of the socket pair, close-on-exec. The caller owns it.
    #[napi(getter)]
    pub fn descriptor(&self) -> i32 {
        self.descriptor
    }

    /// How the thread ended: 0 for an orderly end, or an `errno`; null while it is running. It is set before the thread
    /// closes its end of the socket pair.
    #[napi(getter)]
    pub fn outcome(&self) -> Option<i32> {
        Some(self.shared.outcome.load(Ordering::Acquire)).filter(|outcome| *outcome != AT_WORK)
    }

    /// Tells the thread that everything has been written, before JavaScript closes its end. Otherwise the thread does
    /// not end standard output, which may be shared.
    #[napi]
    pub fn end_after_this(&self) {
        self.shared.is_whole.store(true, Ordering::Release);
    }
}

/// Starts to read standard input to its end.
#[napi]
pub(super) fn read_standard_input() -> Result<StreamThread> {
    start("input", |ours, _| carry(io::stdin().as_fd(), ours.as_fd()))
}

/// Starts to write to standard output, and ends it at the end of the stream, as `endStandardOutput` does. The socket
/// pair carries no data back; its end means that everything is written, or that nothing more can be.
#[napi]
pub(super) fn write_standard_output() -> Result<StreamThread> {
    start("output", |ours, shared| {
        carry(ours.as_fd(), io::stdout().as_fd())?;
        if !shared.is_whole.load(Ordering::Acquire) {
            return Err(Errno::ECANCELED);
        }
        match SockRef::from(&io::stdout()).shutdown(std::net::Shutdown::Write) {
            // Nobody is left to see the end.
            Err(error) if error.kind() == ErrorKind::NotConnected => Ok(()),
            Err(error) if error.raw_os_error() == Some(libc::ENOTSOCK) => replace_standard_output(),
            result => result.map_err(errno_of),
        }
    })
}

/// Ends standard output by replacing it with `/dev/null`. Throws if the file system reports a failed write only on
/// close, as network file systems do.
#[napi]
pub(super) fn end_standard_output() -> Result<()> {
    replace_standard_output().map_err(|errno| system_error("close standard output", errno.into()))
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

/// Whether two descriptors share one open file description, because one was inherited or duplicated from the other.
/// Null if the system does not tell.
#[napi]
pub(super) fn is_same_open_file(
    process: u32,
    descriptor: i32,
    other_process: u32,
    other_descriptor: i32,
) -> Option<bool> {
    same_open_file(process, descriptor, other_process, other_descriptor)
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

/// Copies until the end of the stream.
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

/// Repeats a system call until it succeeds or fails for good. Waits if another program made it non-blocking.
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

fn replace_standard_output() -> nix::Result<()> {
    let stdout = io::stdout();
    // dup2 does not report that closing failed.
    match close(dup(stdout.as_fd())?) {
        Ok(()) | Err(Errno::EINTR) => {}
        Err(errno) => return Err(errno),
    }
    // Without /dev/null, the reader sees the end when the process exits.
    if let Ok(null) = OpenOptions::new().write(true).open("/dev/null") {
        dup2_stdout(null)?;
    }
    Ok(())
}

fn errno_of(error: io::Error) -> Errno {
    Errno::from_raw(error.raw_os_error().unwrap_or(libc::EINVAL))
}
