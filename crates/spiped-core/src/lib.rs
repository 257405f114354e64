//! The spiped protocol: bytes in, bytes out.
//!
//! This crate knows the wire and nothing else: no sockets, no clock, no JavaScript. In the order in
//! which a connection meets them:
//!
//! 1. [`KeyHasher`] makes the [`SharedKey`] K from a key file.
//! 2. [`handshake`] turns K and what the two sides send each other into [`SessionKeys`]; every phase is
//!    a type, and a step consumes its phase.
//! 3. [`Sealer`] and [`Opener`] turn one direction's data into packets and back.
//!
//! Randomness comes from [`random_nonce`] and [`KeyPair::generate`] alone; everything else is a
//! function of its arguments.

mod constants;
mod dh;
mod error;
pub mod handshake;
mod kdf;
mod mac;
mod packet;
mod random;
mod secret;
mod stream;

pub use constants::*;
pub use dh::KeyPair;
pub use error::Error;
pub use kdf::{DirectionKeys, SessionKeys};
pub use random::random_nonce;
pub use secret::{KeyHasher, SharedKey};
pub use stream::{Opener, Sealer, max_opened_length, sealed_length};
