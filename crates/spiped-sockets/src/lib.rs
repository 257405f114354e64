//! Sockets from accepting or dialing until the end of the handshake, without a stream, a buffer or a timer for each.
//!
//! Nothing here blocks. The owner of [`Sockets`] waits until their one descriptor is readable, polls for events, and
//! decides what to do next: accept a client, send, expect a number of bytes, or take a socket away.
//!
//! ```text
//! sockets.rs      the sockets and their events
//! entry.rs        one socket: listening, connecting, or open and expecting bytes
//! options.rs      options of TCP sockets, and what a listening socket passes on
//! platform.rs     what differs between systems
//! ```
#![cfg(unix)]

mod entry;
mod options;
mod platform;
mod sockets;

use std::io;

pub use options::{KeepAlive, Options};
pub use sockets::Sockets;

/// The most bytes that can be expected at once.
pub const MAX_EXPECTED_BYTES: usize = 512;

/// The most events per poll.
pub const EVENTS: usize = 256;

/// Identifies a socket. Ids count up, so that one is not reused soon.
pub type Id = u32;

/// An event of a socket.
#[derive(Debug)]
pub enum Event<'a> {
    /// Clients are waiting to be accepted.
    Acceptable,
    /// The connection is established.
    Connected,
    /// The expected bytes have arrived.
    Arrived(&'a [u8]),
    /// The peer ended its stream after this many of the expected bytes.
    Ended(usize),
    /// Connecting failed, or the connection is broken.
    Failed(io::Error),
}

/// Who uses a listening socket.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Owner {
    /// This process alone.
    Us,
    /// Also a service manager, which may pass it to other processes. Its options must not be changed.
    ServiceManager,
}
