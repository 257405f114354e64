//! Moves packets between two sockets without JavaScript.
//!
//! After a handshake, the owner hands over two sockets, a sealer for one direction and an opener for the other. A few
//! threads, each serving many connections, move the bytes until the connection ends. The owner then gets both sockets
//! back with the reason, and closes or resets them. This crate never opens or closes a socket and decides on no time
//! limit. It makes sockets non-blocking, half-closes one to pass on the end of a stream, and sets `SO_LINGER` for an
//! orderly close.
//!
//! ```text
//! relay.rs        the threads, and the choice of one for each new connection
//! worker.rs       one thread: waits for readiness and gives each direction its turn; inbox.rs: its commands
//! connection.rs   two sockets and two directions, which end together
//! direction.rs    read → seal or open → write; framing.rs: which of the two; socket_io.rs: the system calls
//! coalescer.rs    delays reads of busy streams of small messages
//! fairness.rs     lets interactive connections go ahead of bulk transfers
//! dead_peer.rs    detects peers that vanished; platform.rs: what differs between systems
//! budget.rs       limits the memory that buffers output for slow receivers
//! stepped.rs      a relay without threads, for tests
//! ```
//!
//! Source: DESIGN.md, "Data path" and docs/protocol.md, "How a connection ends".
#![cfg(unix)]

mod budget;
mod coalescer;
mod connection;
mod dead_peer;
mod direction;
mod fairness;
mod framing;
mod inbox;
#[cfg(feature = "panics")]
mod panics;
mod platform;
mod relay;
mod socket_io;
#[cfg(feature = "stepped")]
mod stepped;
mod worker;

pub use budget::Budget;
pub use connection::{Counters, End, Ended, Pair, Side};
pub use dead_peer::{DeadPeerDetector, Liveness};
pub use framing::Framing;
#[cfg(feature = "panics")]
pub use panics::panic_if_asked;
pub use relay::{Handle, Relay, Settings, is_relay_thread};
#[cfg(feature = "stepped")]
pub use stepped::{Stepped, Then};
