//! What differs between the systems. Elsewhere, `cfg`s only choose whole modules, in `lib.rs` and `system.rs`.
//!
//! ```text
//! unix.rs         Linux, macOS and FreeBSD
//! windows.rs      the same functions on Windows
//! linux.rs        what Linux has
//! bsd.rs          the same functions on macOS and FreeBSD
//! ```

#[cfg(all(unix, not(target_os = "linux")))]
mod bsd;
#[cfg(target_os = "linux")]
mod linux;
#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

#[cfg(all(unix, not(target_os = "linux")))]
pub(crate) use bsd::*;
#[cfg(target_os = "linux")]
pub(crate) use linux::*;
#[cfg(unix)]
pub(crate) use unix::*;
#[cfg(windows)]
pub(crate) use windows::*;
