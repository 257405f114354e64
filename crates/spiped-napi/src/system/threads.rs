//! Whether this process may start more threads, which only trying shows.

use std::{sync::mpsc, thread};

use napi_derive::napi;

/// A stack size that is enough for a thread that only waits.
const STACK_LENGTH: usize = 64 * 1024;

/// Whether `count` more threads can run at the same time. They have ended when this returns.
#[napi]
pub(super) fn can_start_threads(count: u32) -> bool {
    let (end, ends) = mpsc::channel::<()>();
    let ends = std::sync::Mutex::new(ends);
    thread::scope(|scope| {
        let start = |_| {
            let wait = || drop(ends.lock().map(|ends| ends.recv()));
            thread::Builder::new().stack_size(STACK_LENGTH).spawn_scoped(scope, wait)
        };
        let all = (0..count).map(start).all(|started| started.is_ok());
        // Ends the waiting threads.
        drop(end);
        all
    })
}
