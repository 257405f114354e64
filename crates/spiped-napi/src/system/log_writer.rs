//! Writes log messages to standard error on its own thread.
//!
//! Standard error may be shared: making it non-blocking would break other programs' writes, and a blocking write on the
//! main thread would stall data. So a thread does blocking writes. It runs until the process exits. If the system
//! cannot create a thread, the caller writes what standard error accepts without blocking, and buffers the rest. All of it
//! is in one file, since thread and caller change the same state.

use std::{
    cmp::min,
    collections::VecDeque,
    convert::Infallible,
    io,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use napi_derive::napi;

use crate::{
    panics::caught,
    platform::{PIECE_BYTES, has_room, wait_for_room, words_of, write_piece},
};

/// Why messages are lost while no write has failed.
const TOO_SLOW: &str = "standard error is not read fast enough";

/// Enough for what the thread calls.
const STACK_BYTES: usize = 128 * 1_024;

/// The number of consecutive panics without a lost message after which the thread exits.
const MAX_IDLE_PANICS: u32 = 3;

/// Writes messages to standard error without ever blocking the caller.
#[napi]
pub struct LogWriter {
    shared: Arc<Shared>,
    max_waiting_bytes: usize,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    /// Signals a new message, and the end of each write.
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// The template of the message about lost ones.
    lost_line: String,
    waiting: VecDeque<Line>,
    waiting_bytes: usize,
    /// Messages lost since the last one in `waiting`.
    lost: u64,
    /// Why the last failed write failed; taken by the next message about lost ones.
    write_error: Option<String>,
    /// The last write failed, so the number of lost messages waits for the next message.
    has_failed: bool,
    has_thread: bool,
    is_writing: bool,
}

struct Line {
    text: Vec<u8>,
    /// Messages lost between the previous one and this one.
    lost_before: u64,
    /// How many more are lost if this cannot be written: 1 for a message, and those whose loss `text` tells of.
    covers: u64,
}

impl Line {
    fn message(text: String) -> Self {
        Self { text: text.into_bytes(), lost_before: 0, covers: 1 }
    }
}

#[napi]
impl LogWriter {
    /// A writer that buffers up to `max_waiting_bytes` of messages.
    #[napi(constructor)]
    pub fn new(max_waiting_bytes: u32) -> Self {
        Self { shared: Arc::default(), max_waiting_bytes: max_waiting_bytes as usize }
    }

    /// Sets the message, with its line break, that says how many were lost: `{lost}` stands for their number,
    /// `{why}` for the cause, and `{time}` for the time in ISO 8601, UTC.
    #[napi]
    pub fn set_lost_line(&self, line: String) {
        self.shared.lock().lost_line = line;
    }

    /// Queues one message, with its line break. If there is no room it is lost, and a message says how many were as
    /// soon as the others are written.
    #[napi]
    pub fn write(&self, line: String) {
        let mut state = self.shared.lock();
        let has_room_for = |state: &State| state.waiting_bytes + line.len() <= self.max_waiting_bytes;
        if !has_room_for(&state) && !state.has_thread {
            // Nobody else empties the queue.
            state.write_without_thread(&mut write_piece, &mut || has_room(Duration::ZERO));
        }
        if !has_room_for(&state) {
            state.lost += 1;
            return;
        }
        state.waiting_bytes += line.len();
        let lost_before = std::mem::take(&mut state.lost);
        state.waiting.push_back(Line { lost_before, ..Line::message(line) });
        state.has_thread = state.has_thread || self.start_thread();
        if state.has_thread {
            self.shared.changed.notify_all();
        } else {
            state.write_without_thread(&mut write_piece, &mut || has_room(Duration::ZERO));
        }
    }

    /// Waits up to `timeout_ms` until all messages are written. Returns whether they are.
    #[napi]
    pub fn flush(&self, timeout_ms: u32) -> bool {
        let timeout = Duration::from_millis(timeout_ms.into());
        let mut state = self.shared.lock();
        if !state.has_thread {
            let until = Instant::now() + timeout;
            state.write_without_thread(&mut write_piece, &mut || {
                has_room(until.saturating_duration_since(Instant::now()))
            });
            return !state.is_busy();
        }
        let (state, _) = self
            .shared
            .changed
            .wait_timeout_while(state, timeout, |state| state.is_busy())
            .unwrap_or_else(PoisonError::into_inner);
        !state.is_busy()
    }

    fn start_thread(&self) -> bool {
        let shared = Arc::clone(&self.shared);
        let thread = thread::Builder::new().name("log".to_owned()).stack_size(STACK_BYTES);
        thread.spawn(move || shared.write_despite_panics(|| shared.write_lines())).is_ok()
    }
}

impl State {
    fn is_busy(&self) -> bool {
        self.is_writing || !self.waiting.is_empty() || self.owes_number()
    }

    /// Whether nothing waits and messages were lost because standard error was slow: their number is told without
    /// another message. After a failed write it waits for one, which tries again.
    fn owes_number(&self) -> bool {
        self.lost > 0 && !self.has_failed && self.waiting.is_empty()
    }

    /// Queues an empty message that only tells how many were lost.
    fn queue_number(&mut self) {
        if self.owes_number() {
            let lost_before = std::mem::take(&mut self.lost);
            self.waiting.push_back(Line { text: Vec::new(), lost_before, covers: 0 });
        }
    }

    /// Writes waiting messages while `has_room` says that a write would not block. The rest of a message written in
    /// part stays in the queue.
    fn write_without_thread(
        &mut self,
        write: &mut dyn FnMut(&[u8]) -> io::Result<usize>,
        has_room: &mut dyn FnMut() -> bool,
    ) {
        loop {
            self.queue_number();
            let Some(line) = self.waiting.front_mut() else { return };
            if !has_room() {
                return;
            }
            let lost = std::mem::take(&mut line.lost_before);
            if lost > 0 {
                line.covers += lost;
                let text = describe_lost(&self.lost_line, lost, self.write_error.take());
                self.waiting_bytes += text.len();
                line.text.splice(0..0, text.into_bytes());
            }
            match write(&line.text[..min(PIECE_BYTES, line.text.len())]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Ok(count) if 0 < count && count < line.text.len() => {
                    self.waiting_bytes -= count;
                    line.text.drain(..count);
                }
                result => {
                    self.has_failed = !matches!(result, Ok(1..));
                    self.waiting_bytes -= line.text.len();
                    let covers = line.covers;
                    self.waiting.pop_front();
                    if self.has_failed {
                        self.lose(covers);
                        self.write_error = result.err().map(|error| words_of(&error));
                    }
                }
            }
        }
    }

    /// Counts lost messages, which the next message tells.
    fn lose(&mut self, count: u64) {
        match self.waiting.front_mut() {
            Some(next) => next.lost_before += count,
            None => self.lost += count,
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs `write`, and runs it again after a panic, which loses the message at hand. Returns after
    /// [`MAX_IDLE_PANICS`] panics in a row that lost none, since such a panic would recur forever; the next message
    /// starts a new thread.
    fn write_despite_panics(&self, mut write: impl FnMut() -> Infallible) {
        let mut idle_panics = 0;
        while idle_panics < MAX_IDLE_PANICS && caught("log", &mut write).is_err() {
            let mut state = self.lock();
            if std::mem::take(&mut state.is_writing) {
                state.lost += 1;
                idle_panics = 0;
            } else {
                idle_panics += 1;
            }
            self.changed.notify_all();
        }
        self.lock().has_thread = false;
    }

    fn write_lines(&self) -> Infallible {
        let mut is_mid_line = false;
        loop {
            let line = self.next_line();
            let text = match line.lost_before {
                0 => line.text,
                lost => [self.describe_lost(lost).into_bytes(), line.text].concat(),
            };
            let broken_line: &[u8] = if is_mid_line { b"\n" } else { b"" };
            let written = write_whole(&[broken_line, &text].concat());
            let mut state = self.lock();
            state.is_writing = false;
            state.has_failed = written.is_err();
            match written {
                Ok(()) => is_mid_line = false,
                Err(Unfinished { written_bytes, why }) => {
                    state.write_error = why;
                    is_mid_line = is_mid_line || written_bytes > 0;
                    state.lose(line.lost_before + line.covers);
                }
            }
            self.changed.notify_all();
        }
    }

    fn describe_lost(&self, lost: u64) -> String {
        let mut state = self.lock();
        let why = state.write_error.take();
        describe_lost(&state.lost_line, lost, why)
    }

    fn next_line(&self) -> Line {
        let mut state = self.lock();
        loop {
            state.queue_number();
            if let Some(line) = state.waiting.pop_front() {
                state.waiting_bytes -= line.text.len();
                state.is_writing = true;
                return line;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

fn describe_lost(lost_line: &str, lost: u64, write_error: Option<String>) -> String {
    let why =
        write_error.map_or_else(|| TOO_SLOW.to_owned(), |error| format!("cannot write to standard error: {error}"));
    let time = iso_time(SystemTime::now());
    lost_line.replace("{lost}", &lost.to_string()).replace("{why}", &why).replace("{time}", &time)
}

/// The time in the form `2026-01-31T12:00:00.000Z`.
fn iso_time(time: SystemTime) -> String {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (days, seconds) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
    // Counts years from March, so that a leap day is the last day of one; 719,468 days lie between 1 March of year 0
    // and 1970. An era is 400 years, all of the same length.
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = era * 400 + year + u64::from(month <= 2);
    let (hour, minute, second) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:03}Z", since.subsec_millis())
}

/// The write failed after this many bytes.
struct Unfinished {
    written_bytes: usize,
    why: Option<String>,
}

/// Writes all of `bytes`, however long that takes.
fn write_whole(bytes: &[u8]) -> Result<(), Unfinished> {
    let mut written_bytes = 0;
    while written_bytes < bytes.len() {
        let piece = &bytes[written_bytes..min(written_bytes + PIECE_BYTES, bytes.len())];
        match write_piece(piece) {
            Ok(0) => return Err(Unfinished { written_bytes, why: None }),
            Ok(count) => written_bytes += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => wait_for_room(),
            Err(error) => return Err(Unfinished { written_bytes, why: Some(words_of(&error)) }),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
