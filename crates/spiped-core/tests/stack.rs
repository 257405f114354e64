//! Operations on secrets leave nothing on the stack, at any depth.

#![cfg(target_os = "linux")]

use std::{fs::File, hint::black_box, os::unix::fs::FileExt, thread};

use spiped_core::{
    DirectionKeys, KeyHasher, KeyPair, KeySet, Opener, Sealer, SessionKeys, SharedKey,
    handshake::{ForwardSecrecy, client, server},
    max_opened_length, sealed_length,
};

/// How far below the operation the stack is inspected.
const INSPECTED_BYTES: usize = 512 * 1024;
const PAINT: u8 = 0xa5;

/// How much is wiped after packets, and after any other operation.
const PACKETS_WIPED_BYTES: usize = UNOPTIMIZED * 16 * 1024;
const WIPED_BYTES: usize = UNOPTIMIZED * 64 * 1024;
const UNOPTIMIZED: usize = if cfg!(debug_assertions) { 2 } else { 1 };
/// For the frames between the test and the operation, and those of the wiping functions.
const PACKETS_SLACK_BYTES: usize = 2 * 1024;
/// The phases of a handshake are on the test's stack too.
const SLACK_BYTES: usize = 16 * 1024;

const SECRET: [u8; 32] = *b"32 bytes as nobody else has them";

#[test]
fn a_secret_that_is_not_wiped_is_found() {
    #[inline(never)]
    fn leave_a_copy() {
        let mut copies = [[0; 32]; 100];
        copies[50] = black_box(SECRET);
        black_box(&mut copies);
    }
    let left = left_by(leave_a_copy);
    assert!(holds(&left, &SECRET));
    assert!(depth_of(&left) >= 50 * 32);
}

#[test]
fn no_operation_uses_more_stack_than_is_wiped() {
    let operations: [(&str, fn()); 6] = [
        ("a shared key", || drop(shared_key())),
        ("a random key pair", || drop(KeyPair::generate())),
        ("a key pair", || drop(KeyPair::from_exponent(&SECRET))),
        ("an unknown client and 100 keys", unknown_client),
        ("a handshake", || drop(handshake(ForwardSecrecy::Require))),
        ("a handshake without forward secrecy", || drop(handshake(ForwardSecrecy::Off))),
    ];
    for (name, operation) in operations {
        let depth = depth_of(&left_by(operation));
        assert!(depth >= WIPED_BYTES, "{name}: only {depth} bytes were wiped");
        assert!(depth < WIPED_BYTES + SLACK_BYTES, "{name} uses {depth} bytes");
    }
}

#[test]
fn no_packet_uses_more_stack_than_is_wiped() {
    for data_bytes in [1, 1024, 65_536] {
        let keys = DirectionKeys::from_bytes(&SECRET, &SECRET);
        let (mut sealer, mut opener) = (Sealer::new(&keys), Opener::new(&keys));
        let cleartext = vec![0; data_bytes];
        let mut packets = vec![0; sealed_length(data_bytes)];
        let left = left_by(move || {
            sealer.seal(&cleartext, &mut packets).expect("seals");
            let mut opened = vec![0; max_opened_length(packets.len())];
            opener.open(&packets, &mut opened).expect("opens");
        });
        let depth = depth_of(&left);
        assert!(depth >= PACKETS_WIPED_BYTES, "{data_bytes} bytes of data: only {depth} bytes were wiped");
        assert!(depth < PACKETS_WIPED_BYTES + PACKETS_SLACK_BYTES, "{data_bytes} bytes of data use {depth} bytes");
    }
}

#[test]
fn key_files_and_packet_keys_do_not_stay_on_the_stack() {
    let left = left_by(|| {
        let keys = DirectionKeys::from_bytes(&SECRET, &SECRET);
        let mut packets = vec![0; sealed_length(3000)];
        Sealer::new(&keys).seal(&[0; 3000], &mut packets).expect("seals");
        let mut opened = vec![0; max_opened_length(packets.len())];
        Opener::new(&keys).open(&packets, &mut opened).expect("opens");
        drop(shared_key());
        drop(KeyPair::from_exponent(&SECRET));
    });
    assert!(!holds(&left, &SECRET));
}

fn shared_key() -> SharedKey {
    let mut hasher = KeyHasher::new();
    hasher.update(&[1; 1000]);
    hasher.update(&SECRET);
    hasher.finish()
}

fn handshake(forward_secrecy: ForwardSecrecy) -> [SessionKeys; 2] {
    let key_pair = || match forward_secrecy {
        ForwardSecrecy::Off => KeyPair::without_forward_secrecy(),
        ForwardSecrecy::Allow | ForwardSecrecy::Require => KeyPair::from_exponent(&SECRET),
    };
    let client = client::NonceSent::new(shared_key(), forward_secrecy, [1; 32]).receive_nonce(&[2; 32]);
    let server = server::NonceSent::new(shared_key(), forward_secrecy, [2; 32]).receive_nonce(&[1; 32]);
    let (client, from_client) = client.maced_public(key_pair()).expect("fits");
    let server = server.verify(&from_client).expect("is right");
    let (server, from_server) = server.maced_public(key_pair()).expect("fits");
    [client.verify(&from_server).expect("is right").derive_keys(), server.derive_keys()]
}

fn unknown_client() {
    let keys = KeySet::new(std::iter::repeat_with(shared_key).take(100).collect());
    let server = server::NonceSent::new(keys, ForwardSecrecy::Off, [2; 32]).receive_nonce(&[1; 32]);
    assert!(server.identify(&[0; 288]).is_err());
}

/// Runs an operation on a painted stack and returns what is below it afterwards, the deepest byte first.
fn left_by(operation: impl FnOnce() + Send + 'static) -> Vec<u8> {
    let on_its_own_stack = || {
        let memory = File::open("/proc/self/mem").expect("is there");
        let mut left = vec![0; INSPECTED_BYTES];
        let here = 0_u8;
        let deepest = (&raw const here).addr() - INSPECTED_BYTES;
        paint();
        operation();
        memory.read_exact_at(&mut left, deepest as u64).expect("is mapped");
        left
    };
    thread::Builder::new().stack_size(8 << 20).spawn(on_its_own_stack).expect("starts").join().expect("ends")
}

#[inline(never)]
fn paint() {
    black_box(&mut [PAINT; INSPECTED_BYTES + 64 * 1024]);
}

/// How far down the stack was written, in bytes.
fn depth_of(left: &[u8]) -> usize {
    left.iter().position(|byte| *byte != PAINT).map_or(0, |untouched| left.len() - untouched)
}

/// Whether `left` contains eight consecutive bytes of a secret.
fn holds(left: &[u8], secret: &[u8]) -> bool {
    left.windows(8).any(|window| secret.windows(8).any(|part| part == window))
}
