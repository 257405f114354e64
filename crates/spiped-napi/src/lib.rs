//! The Node.js addon of spiped: `spiped-core` as JavaScript sees it, and the few system calls that
//! Node.js does not offer.
//!
//! Thin on purpose: conversions, work for the thread pool, errors as codes. No decision about the
//! protocol is made here, and no secret becomes a JavaScript value.

mod buffers;
mod errors;
mod handshake;
mod keys;
mod packets;
mod system;
