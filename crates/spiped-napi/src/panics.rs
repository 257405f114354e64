//! Contains panics, which are bugs in this program. Where a panic is reported as the result of the work, such as the
//! end of a connection or a failed lookup, Rust's own message on standard error is suppressed. Anywhere else that
//! message is all there is, and the process exits.

use std::{
    any::Any,
    cell::Cell,
    io,
    panic::{self, AssertUnwindSafe, catch_unwind},
    sync::Once,
    thread,
};

use crate::platform::{is_relay_thread, panic_if_asked};

thread_local! {
    /// Whether a panic on this thread will be reported by other means.
    static IS_REPORTED: Cell<bool> = const { Cell::new(false) };
}

static SILENCE: Once = Once::new();

/// Suppresses the messages of panics that are reported by other means.
pub(crate) fn silence() {
    SILENCE.call_once(|| {
        let others = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            if !IS_REPORTED.get() && !is_relay_thread() {
                others(panic);
            }
        }));
    });
}

/// Runs `work`. `name` identifies it in fault-injection trials.
///
/// # Errors
/// The message of a panic.
pub(crate) fn caught<T>(name: &str, work: impl FnOnce() -> T) -> Result<T, String> {
    silence();
    let before = IS_REPORTED.replace(true);
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        panic_if_asked(name);
        work()
    }));
    IS_REPORTED.set(before);
    outcome.map_err(|panic| panic_message(&*panic).to_owned())
}

/// Runs `work` on a new thread and passes the result to `done`. If `work` panics, `failed` turns the message into a
/// result, so `done` is always called.
///
/// # Errors
/// The system's error if it cannot create a thread.
pub(crate) fn on_own_thread<T: 'static>(
    name: &'static str,
    work: impl FnOnce() -> T + Send + 'static,
    failed: impl FnOnce(String) -> T + Send + 'static,
    done: impl FnOnce(T) + Send + 'static,
) -> io::Result<()> {
    let failed = |message| failed(format!("internal error: {message}"));
    let run = move || done(caught(name, work).unwrap_or_else(failed));
    thread::Builder::new().name(name.to_owned()).spawn(run).map(drop)
}

fn panic_message(panic: &(dyn Any + Send)) -> &str {
    let message = panic.downcast_ref::<&str>().copied();
    message.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("a panic without a message")
}
