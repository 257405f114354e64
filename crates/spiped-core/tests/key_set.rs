//! A server with several keys: each of them is accepted and identified, and no other key is.

mod support;

use proptest::prelude::*;
use spiped_core::{
    Error, KeyPair, KeySet, SharedKey,
    handshake::{ForwardSecrecy, client, server},
};
use support::{ONE, assert_same_keys, bytes_of, dh_mac_keys, maced, p, shared_key};

const NONCE_C: [u8; 32] = [0xc; 32];
const NONCE_S: [u8; 32] = [0x5; 32];

/// The contents of a key file, different for each number.
fn key_file(number: usize) -> Vec<u8> {
    format!("the key file of client {number}").into_bytes()
}

fn keys(count: usize) -> Vec<SharedKey> {
    (0..count).map(|number| shared_key(&key_file(number))).collect()
}

fn awaiting_public(keys: &KeySet, forward_secrecy: ForwardSecrecy) -> server::AwaitingPublic {
    server::NonceSent::new(keys.clone(), forward_secrecy, NONCE_S).receive_nonce(&NONCE_C)
}

/// The `y ‖ h` of a client with this key file.
fn from_client(key_file: &[u8], y: &[u8; 256]) -> [u8; 288] {
    maced(&dh_mac_keys(key_file, &NONCE_C, &NONCE_S).0, y)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_key_of_a_set_is_accepted_and_identified_in_any_order(
        count in 1..=100_usize,
        clients in prop::collection::vec(any::<prop::sample::Index>(), 1..8),
    ) {
        let set = KeySet::new(keys(count));
        for client in clients {
            let number = client.index(count);
            let key = shared_key(&key_file(number));
            let client = client::NonceSent::new(key, ForwardSecrecy::Off, NONCE_C).receive_nonce(&NONCE_S);
            let (client, sent) = client.maced_public(KeyPair::without_forward_secrecy()).expect("goes with off");
            let server = awaiting_public(&set, ForwardSecrecy::Off).identify(&sent).expect("one of them fits");
            prop_assert_eq!(server.key_index(), number);
            let server = server.verify().expect("1 will do");
            prop_assert_eq!(server.key_index(), number);
            let (server, sent) = server.maced_public(KeyPair::without_forward_secrecy()).expect("goes with off");
            // The server answered with the client's key.
            let (of_client, of_server) = (client.verify(&sent).expect("is right").derive_keys(), server.derive_keys());
            assert_same_keys(&of_client.seal, &of_server.open);
            assert_same_keys(&of_client.open, &of_server.seal);
        }
    }

    #[test]
    fn an_unknown_client_is_rejected(count in 0..=100_usize, bit in 0..288 * 8_usize, number in 0..100_usize) {
        let set = KeySet::new(keys(count));
        let unknown = from_client(b"another key file", &ONE);
        prop_assert_eq!(awaiting_public(&set, ForwardSecrecy::Off).identify(&unknown).err(), Some(Error::WrongMac));
        let mut damaged = from_client(&key_file(number), &ONE);
        damaged[bit / 8] ^= 1 << (bit % 8);
        prop_assert_eq!(awaiting_public(&set, ForwardSecrecy::Off).identify(&damaged).err(), Some(Error::WrongMac));
        // From another connection, or reflected.
        let (_, mac_key_s) = dh_mac_keys(&key_file(0), &NONCE_C, &NONCE_S);
        let (elsewhere, _) = dh_mac_keys(&key_file(0), &NONCE_S, &NONCE_C);
        for mac_key in [mac_key_s, elsewhere] {
            let outcome = awaiting_public(&set, ForwardSecrecy::Off).identify(&maced(&mac_key, &ONE));
            prop_assert_eq!(outcome.err(), Some(Error::WrongMac));
        }
    }
}

#[test]
fn a_client_is_identified_even_if_its_public_value_is_rejected() {
    let set = KeySet::new(keys(10));
    for (y, error) in [(p(), Error::DhOutOfRange), (ONE, Error::ForwardSecrecyRequired)] {
        let identified = awaiting_public(&set, ForwardSecrecy::Require).identify(&from_client(&key_file(7), &y));
        let identified = identified.expect("its MAC is right");
        assert_eq!(identified.key_index(), 7);
        assert_eq!(identified.verify().err(), Some(error));
    }
}

#[test]
fn a_duplicate_key_is_identified_as_the_first_of_its_kind() {
    let set = KeySet::new(vec![shared_key(b"other"), shared_key(&key_file(0)), shared_key(&key_file(0))]);
    let identified = awaiting_public(&set, ForwardSecrecy::Off).identify(&from_client(&key_file(0), &ONE));
    assert_eq!(identified.expect("its MAC is right").key_index(), 1);
}

#[test]
fn keys_are_equal_if_their_files_are() {
    let key = shared_key(&key_file(1));
    assert!(key.is_same(&key.clone()) && key.is_same(&shared_key(&key_file(1))));
    assert!(!key.is_same(&shared_key(&key_file(2))) && !key.is_same(&shared_key(&bytes_of(1))));
}
