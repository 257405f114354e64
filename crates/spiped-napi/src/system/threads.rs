//! Whether the system lets this process start more threads; nothing tells beforehand where its limits are.

use std::{sync::mpsc, thread};

use napi_derive::napi;

/// Little more than what a thread needs that does nothing but wait.
const STACK_LENGTH: usize = 64 * 1024;

/// Whether `count` further threads can run at once. They have ended when this returns.
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
        // Whoever waits hears that nothing will come.
        drop(end);
        all
    })
}
