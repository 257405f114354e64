//! The code of the fuzz targets. Each target is a module with an `Input`, generated from arbitrary bytes, and `run`,
//! which panics if it finds a bug. It is in this crate, separate from the cargo-fuzz entry points, so that the tests can
//! replay the corpus with a stable toolchain.
//!
//! ```text
//! fuzz/fuzz_targets/  entry points for cargo-fuzz    reference.rs, derivations.rs  independent packets and keys
//! fuzz/corpus/        inputs with high coverage      tests/                        replays the corpus
//! ```

pub mod derivations;
pub mod handshake;
pub mod keys;
pub mod mac;
pub mod open;
pub mod reference;
#[cfg(target_os = "linux")]
pub mod relay;
pub mod round_trip;
pub mod session;
#[cfg(target_os = "linux")]
pub mod sockets;

use arbitrary::{Arbitrary, Unstructured};

/// Runs a target with the input that cargo-fuzz would generate from these bytes. Does nothing if they are too few.
///
/// # Panics
/// If there is no such target, or it finds a bug.
pub fn replay(target: &str, bytes: &[u8]) {
    match target {
        "handshake" => replay_with(bytes, handshake::run),
        "keys" => replay_with(bytes, keys::run),
        "mac" => replay_with(bytes, mac::run),
        "open" => replay_with(bytes, open::run),
        #[cfg(target_os = "linux")]
        "relay" => replay_with(bytes, relay::run),
        "round_trip" => replay_with(bytes, round_trip::run),
        "session" => replay_with(bytes, session::run),
        #[cfg(target_os = "linux")]
        "sockets" => replay_with(bytes, sockets::run),
        _ => panic!("no target {target}"),
    }
}

fn replay_with<'a, I: Arbitrary<'a>>(bytes: &'a [u8], run: impl Fn(&I)) {
    if bytes.len() >= I::size_hint(0).0
        && let Ok(input) = I::arbitrary_take_rest(Unstructured::new(bytes))
    {
        run(&input);
    }
}
