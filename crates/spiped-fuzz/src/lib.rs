//! What the fuzz targets do with their input. Each module is a target: its `Input`, made of any bytes, and `run`, which
//! panics where the code is not as it should be. They are here and not in the crate of the targets, so that the tests
//! run each of the corpus's files through the same code, on any Rust.
//!
//! ```text
//! fuzz/fuzz_targets/  the targets, one line each     reference.rs, derivations.rs  packets and keys, made independently
//! fuzz/corpus/        inputs that reach much         tests/        runs these
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

/// Runs a target with the input that these bytes stand for, as cargo-fuzz does; bytes that stand for none are passed
/// over.
///
/// # Panics
/// Where there is no such target, or it finds something.
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
