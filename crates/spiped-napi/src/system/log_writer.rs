//! Lines to standard error, written by a thread of their own.
//!
//! Standard error belongs to others as well: making it non-blocking would break their writes, and a blocking write on
//! the main thread would hold up data. So a thread writes, waits as long as it takes, and holds up nobody. It never
//! ends; the end of the process ends it.

use std::{
    cmp::min,
    collections::VecDeque,
    io::{self, stderr},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use napi_derive::napi;

/// As many bytes as go into a pipe in one piece, so that lines of several programs do not mix.
#[cfg(unix)]
const PIECE_BYTES: usize = libc::PIPE_BUF;
#[cfg(not(unix))]
const PIECE_BYTES: usize = 4_096;

/// The thread calls nothing that needs more.
const STACK_BYTES: usize = 128 * 1_024;

/// Writes lines to standard error without ever making the caller wait.
#[napi]
pub struct LogWriter {
    shared: Arc<Shared>,
    program: String,
    max_waiting_bytes: usize,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    /// There is a line to write, or the last one has been written.
    changed: Condvar,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Line>,
    waiting_bytes: usize,
    /// Lines lost since the last one in `waiting`.
    lost: u64,
    has_thread: bool,
    is_writing: bool,
}

struct Line {
    text: String,
    /// Lines lost between the one before and this one.
    lost_before: u64,
}

#[napi]
impl LogWriter {
    /// A writer of lines for `program`, which holds up to `max_waiting_bytes` of lines that nobody has taken yet.
    #[napi(constructor)]
    pub fn new(program: String, max_waiting_bytes: u32) -> Self {
        Self { shared: Arc::default(), program, max_waiting_bytes: max_waiting_bytes as usize }
    }

    /// Takes one line, with its line break, to be written as soon as can be. A line for which there is no room is lost;
    /// the next one that is written says how many were.
    #[napi]
    pub fn write(&self, line: String) {
        let mut state = self.shared.lock();
        state.has_thread = state.has_thread || self.start_thread();
        if !state.has_thread || state.waiting_bytes + line.len() > self.max_waiting_bytes {
            state.lost += 1;
            return;
        }
        state.waiting_bytes += line.len();
        let lost_before = std::mem::take(&mut state.lost);
        state.waiting.push_back(Line { text: line, lost_before });
        self.shared.changed.notify_all();
    }

    /// Waits until all lines are written, but no longer than `timeout_ms`. True when they are.
    #[napi]
    pub fn flush(&self, timeout_ms: u32) -> bool {
        let timeout = Duration::from_millis(timeout_ms.into());
        let is_busy = |state: &mut State| state.is_writing || !state.waiting.is_empty();
        let (state, _) = self
            .shared
            .changed
            .wait_timeout_while(self.shared.lock(), timeout, is_busy)
            .unwrap_or_else(PoisonError::into_inner);
        !state.is_writing && state.waiting.is_empty()
    }

    fn start_thread(&self) -> bool {
        let shared = Arc::clone(&self.shared);
        let program = self.program.clone();
        let thread = thread::Builder::new().name("log".to_owned()).stack_size(STACK_BYTES);
        thread.spawn(move || shared.write_lines(&program)).is_ok()
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_lines(&self, program: &str) {
        let mut is_mid_line = false;
        loop {
            let line = self.next_line();
            let text = match line.lost_before {
                0 => line.text,
                lost => format!("{program}: {lost} of these lines could not be written\n{}", line.text),
            };
            let broken_line = if is_mid_line { "\n" } else { "" };
            let written = write_whole(format!("{broken_line}{text}").as_bytes());
            let mut state = self.lock();
            state.is_writing = false;
            match written {
                Ok(()) => is_mid_line = false,
                Err(Unfinished { written_bytes }) => {
                    is_mid_line = is_mid_line || written_bytes > 0;
                    let lost = line.lost_before + 1;
                    match state.waiting.front_mut() {
                        Some(next) => next.lost_before += lost,
                        None => state.lost += lost,
                    }
                }
            }
            self.changed.notify_all();
        }
    }

    fn next_line(&self) -> Line {
        let mut state = self.lock();
        loop {
            if let Some(line) = state.waiting.pop_front() {
                state.waiting_bytes -= line.text.len();
                state.is_writing = true;
                return line;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// Nobody takes the rest.
struct Unfinished {
    written_bytes: usize,
}

/// Writes all of `bytes`, however long it takes.
fn write_whole(bytes: &[u8]) -> Result<(), Unfinished> {
    let mut written_bytes = 0;
    while written_bytes < bytes.len() {
        let piece = &bytes[written_bytes..min(written_bytes + PIECE_BYTES, bytes.len())];
        match write_piece(piece) {
            Ok(0) => return Err(Unfinished { written_bytes }),
            Ok(count) => written_bytes += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => wait_for_room(),
            Err(_) => return Err(Unfinished { written_bytes }),
        }
    }
    Ok(())
}

#[cfg(unix)]
fn write_piece(piece: &[u8]) -> io::Result<usize> {
    // Not with the lock of Rust's own standard error, for which a panic elsewhere would wait.
    Ok(nix::unistd::write(stderr(), piece)?)
}

#[cfg(not(unix))]
fn write_piece(piece: &[u8]) -> io::Result<usize> {
    io::Write::write(&mut stderr(), piece)
}

/// Waits where somebody else has made standard error non-blocking.
fn wait_for_room() {
    #[cfg(unix)]
    {
        use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
        use std::os::fd::AsFd;
        let stderr = stderr();
        let mut watched = [PollFd::new(stderr.as_fd(), PollFlags::POLLOUT)];
        let has_room = |watched: &PollFd<'_>| watched.revents().is_some_and(|found| found.contains(PollFlags::POLLOUT));
        if poll(&mut watched, PollTimeout::NONE).is_ok() && has_room(&watched[0]) {
            return;
        }
    }
    thread::sleep(Duration::from_millis(10));
}
