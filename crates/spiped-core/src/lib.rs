//! The spiped protocol: bytes in, bytes out.
//!
//! This crate implements the protocol and does no I/O: no sockets, no clock, no JavaScript. In the order in which a
//! connection uses them:
//!
//! 1. [`KeyHasher`] makes the [`SharedKey`] K from a key file.
//! 2. [`KeySet`] holds the keys of a server, which may have one for each client.
//! 3. [`handshake`] derives [`SessionKeys`] from K and the messages that both sides exchange. Each phase is a type, and
//!    each step consumes its phase.
//! 4. [`Sealer`] and [`Opener`] turn one direction's data into packets and back.
//!
//! Only [`random_nonce`] and [`KeyPair::generate`] use randomness; everything else is deterministic.
//!
//! ```
//! use spiped_core::{KeyHasher, KeyPair, Opener, Sealer, max_opened_length, random_nonce, sealed_length};
//! use spiped_core::handshake::{ForwardSecrecy, client, server};
//!
//! let mut hasher = KeyHasher::new();
//! hasher.update(b"the contents of the key file");
//! let key = hasher.finish();
//!
//! // Both sides send their nonce immediately.
//! let client = client::NonceSent::new(key.clone(), ForwardSecrecy::Require, random_nonce()?);
//! let server = server::NonceSent::new(key, ForwardSecrecy::Allow, random_nonce()?);
//! let (nonce_c, nonce_s) = (*client.nonce(), *server.nonce());
//!
//! // The client sends its public value; the server checks it and answers with its own.
//! let (client, y_h_c) = client.receive_nonce(&nonce_s).maced_public(KeyPair::generate()?)?;
//! let server = server.receive_nonce(&nonce_c).verify(&y_h_c)?;
//! let (server, y_h_s) = server.maced_public(KeyPair::generate()?)?;
//! let (client_keys, server_keys) = (client.verify(&y_h_s)?.derive_keys(), server.derive_keys());
//!
//! // The server opens what the client seals.
//! let mut packets = vec![0; sealed_length(5)];
//! Sealer::new(&client_keys.seal).seal(b"hello", &mut packets)?;
//! let mut opened = vec![0; max_opened_length(packets.len())];
//! let length = Opener::new(&server_keys.open).open(&packets, &mut opened)?;
//! assert_eq!(&opened[..length], b"hello");
//! # Ok::<(), spiped_core::Error>(())
//! ```

mod constants;
mod dh;
mod error;
pub mod handshake;
mod kdf;
mod key_set;
mod mac;
mod packet;
mod random;
mod secret;
mod stream;
mod wipe;

pub use constants::*;
pub use dh::KeyPair;
pub use error::Error;
pub use kdf::{DirectionKeys, SessionKeys};
pub use key_set::KeySet;
pub use mac::use_portable_mac_only;
pub use random::random_nonce;
pub use secret::{KeyHasher, SharedKey};
pub use stream::{Opener, Sealer, max_opened_length, sealed_length};
