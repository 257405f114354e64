//! The Node.js addon of spiped: `spiped-core` as JavaScript sees it, and the few system calls that
//! Node.js does not offer.
//!
//! Thin on purpose: conversions, work for the thread pool, errors as codes. No decision about the
//! protocol is made here, and no secret becomes a JavaScript value.

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
#[cfg(unix)]
mod relay;
#[cfg(unix)]
mod sockets;
mod system;

/// Loads with `SPIPED_PORTABLE_MAC` set: MACs go the portable way, whatever the processor can do. For tests of that
/// way, and for whoever suspects the other one.
#[napi_derive::module_init]
fn choose_mac() {
    if std::env::var_os("SPIPED_PORTABLE_MAC").is_some() {
        spiped_core::use_portable_mac_only();
    }
}
