//! How other processes see this one: its name, access to its memory, and its terminals.

use std::{
    fs::OpenOptions,
    io::{stderr, stdin, stdout},
    os::fd::AsFd,
};

use napi_derive::napi;
use nix::{
    errno::Errno,
    sys::resource::{Resource, setrlimit},
    unistd::{dup2_stderr, dup2_stdin, dup2_stdout, isatty},
};

use super::descriptors::system_error;
use crate::{
    errors::Result,
    platform::{self, refuse_tracing},
};

/// Protects the memory of this process: no core dumps, not even for root, and no tracing or reading by other processes
/// of the same user. On macOS only the limit on core dumps applies.
///
/// On Linux, changing the user undoes the protection against tracing, so call this again afterwards.
#[napi]
pub(super) fn protect_memory() -> Result<()> {
    setrlimit(Resource::RLIMIT_CORE, 0, 0).map_err(|errno| system_error("setrlimit", errno.into()))?;
    refuse_tracing().map_err(|errno| system_error("refuse to be traced", errno.into()))
}

/// Sets the process name, by which `pidof` and `pgrep` find it. Call it on the main thread, whose name is that of the
/// process. Linux only; does nothing elsewhere.
#[napi]
pub(super) fn name_process(name: String) -> Result<()> {
    platform::name_process(name).map_err(|error| system_error("prctl", error))
}

/// Whether standard input, output or error is a terminal, even one that has hung up.
#[napi]
pub(super) fn has_terminal() -> bool {
    is_terminal(stdin()) || is_terminal(stdout()) || is_terminal(stderr())
}

/// A terminal that has hung up fails with `EIO` or `ENXIO`.
fn is_terminal(descriptor: impl AsFd) -> bool {
    matches!(isatty(descriptor), Ok(true) | Err(Errno::EIO | Errno::ENXIO))
}

/// Replaces each terminal among standard input, output and error with `/dev/null`.
#[napi]
pub(super) fn detach_terminals() -> Result<()> {
    let let_go = || -> std::io::Result<()> {
        if !has_terminal() {
            return Ok(());
        }
        let nowhere = OpenOptions::new().read(true).write(true).open("/dev/null")?;
        if is_terminal(stdin()) {
            dup2_stdin(&nowhere)?;
        }
        if is_terminal(stdout()) {
            dup2_stdout(&nowhere)?;
        }
        if is_terminal(stderr()) {
            dup2_stderr(&nowhere)?;
        }
        Ok(())
    };
    let_go().map_err(|error| system_error("detach from the terminal", error))
}
