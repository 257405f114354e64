//! Packets between two sockets, without JavaScript.
//!
//! Once a handshake is over, its owner hands two sockets over, with what seals one direction and what opens the other.
//! A few threads, each serving many connections, move the bytes until the connection ends; then the owner gets the
//! sockets back with what happened, decides what that means, and ends them. Nothing here opens, configures, times out
//! or closes a socket, but for the half-close that follows the end of a stream.
//!
//! ```text
//! relay.rs        the threads, and which of them takes a connection
//! worker.rs       one thread: waits for readiness, gives each direction its turn
//! connection.rs   two sockets and two directions, until their one end
//! direction.rs    read → seal or open → write
//! pace.rs         when a busy stream of small messages waits before it is read
//! courtesy.rs     whether busy connections make room for quiet ones
//! silence.rs      whether the other side has gone without a word
//! budget.rs       what full receivers may hold in memory, all together
//! stepped.rs      a relay without threads, for tests
//! ```
//!
//! Source: DESIGN.md, "Data path" and docs/protocol.md, "How a connection ends".
#![cfg(unix)]

mod budget;
mod connection;
mod courtesy;
mod direction;
mod framing;
mod pace;
#[cfg(feature = "panics")]
mod panics;
mod relay;
mod silence;
#[cfg(feature = "stepped")]
mod stepped;
mod worker;

pub use budget::Budget;
pub use connection::{Counters, End, Ended, Pair, Side};
pub use framing::Framing;
#[cfg(feature = "panics")]
pub use panics::panic_if_asked;
pub use relay::{Handle, Relay, Settings, is_relay_thread};
pub use silence::{Answer, Vigil};
#[cfg(feature = "stepped")]
pub use stepped::{Stepped, Then};
