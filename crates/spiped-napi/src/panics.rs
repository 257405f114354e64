//! What becomes of a panic, a mistake of this program: where it is told as the outcome of the work, as the end of a
//! connection or a look-up that failed, Rust is not to write it on standard error as well. Anywhere else Rust's own words
//! are all that is left of it, and the process ends.

use std::{
    any::Any,
    cell::Cell,
    io,
    panic::{self, AssertUnwindSafe, catch_unwind},
    sync::Once,
    thread,
};

thread_local! {
    /// Whether what panics on this thread now is told otherwise.
    static IS_TOLD: Cell<bool> = const { Cell::new(false) };
}

static SILENCE: Once = Once::new();

/// Has panics that are told otherwise not be written on standard error.
pub(crate) fn silence() {
    SILENCE.call_once(|| {
        let others = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            if !IS_TOLD.get() && !is_relay_thread() {
                others(panic);
            }
        }));
    });
}

#[cfg(unix)]
fn is_relay_thread() -> bool {
    spiped_relay::is_relay_thread()
}

#[cfg(not(unix))]
fn is_relay_thread() -> bool {
    false
}

/// Does `work`.
///
/// # Errors
/// What it says where it panics.
pub(crate) fn caught<T>(name: &str, work: impl FnOnce() -> T) -> Result<T, String> {
    silence();
    let before = IS_TOLD.replace(true);
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        asked_to_panic(name);
        work()
    }));
    IS_TOLD.set(before);
    outcome.map_err(|panic| words_of(&*panic).to_owned())
}

/// Starts a thread that does `work` and hands what comes of it to `done`; what `failed` makes of a panic's words where it
/// panics. So `done` is called whatever happens, and nobody waits in vain.
///
/// # Errors
/// Where the system gives no thread.
pub(crate) fn on_own_thread<T: 'static>(
    name: &'static str,
    work: impl FnOnce() -> T + Send + 'static,
    failed: impl FnOnce(String) -> T + Send + 'static,
    done: impl FnOnce(T) + Send + 'static,
) -> io::Result<()> {
    let failed = |words| failed(format!("internal error: {words}"));
    let run = move || done(caught(name, work).unwrap_or_else(failed));
    thread::Builder::new().name(name.to_owned()).spawn(run).map(drop)
}

fn words_of(panic: &(dyn Any + Send)) -> &str {
    let words = panic.downcast_ref::<&str>().copied();
    words.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("a panic without words")
}

/// For trials, in an addon that is built for them.
#[cfg(all(unix, feature = "panics"))]
fn asked_to_panic(name: &str) {
    spiped_relay::panic_if_asked(name);
}

#[cfg(not(all(unix, feature = "panics")))]
fn asked_to_panic(_name: &str) {}
