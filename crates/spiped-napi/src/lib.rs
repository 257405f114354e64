//! The Node.js addon of spiped: exposes `spiped-core` and the relay to JavaScript, and the few system calls that
//! Node.js lacks.
//!
//! It is thin on purpose: it converts values, moves work to the thread pool and turns errors into codes. It makes no
//! decisions about the protocol, and no secret becomes a JavaScript value.

// Nothing is exported from a build for tests, so that most of it is unused there.
#![cfg_attr(test, allow(dead_code))]

mod buffers;
mod errors;
mod handshake;
mod keys;
#[cfg(unix)]
mod loop_watch;
mod packets;
mod panics;
mod platform;
#[cfg(unix)]
mod relay;
#[cfg(unix)]
mod sockets;
mod system;

/// With the environment variable `SPIPED_PORTABLE_MAC` set, MACs are computed without the processor's SHA instructions,
/// for tests and to rule those out as the cause of a problem.
#[napi_derive::module_init]
fn choose_mac() {
    if std::env::var_os("SPIPED_PORTABLE_MAC").is_some() {
        spiped_core::use_portable_mac_only();
    }
}
