//! Rules of the handshake that the known-answer vectors do not cover.

mod support;

use spiped_core::{
    Error, KeyPair, SessionKeys,
    handshake::{ForwardSecrecy, client, server},
    random_nonce,
};
use support::{ONE, assert_same_keys, bytes_of, dh_mac_keys, maced, p, p_minus_1, packet_keys, shared_key};

const KEY_FILE: &[u8] = b"correct horse";
const NONCE_C: [u8; 32] = [0xc; 32];
const NONCE_S: [u8; 32] = [0x5; 32];
const ALL: [ForwardSecrecy; 3] = [ForwardSecrecy::Off, ForwardSecrecy::Allow, ForwardSecrecy::Require];

#[test]
fn both_sides_derive_the_same_keys_for_every_pair_of_forward_secrecy_settings() {
    for of_client in ALL {
        for of_server in ALL {
            let refused = [(of_client, of_server), (of_server, of_client)]
                .contains(&(ForwardSecrecy::Require, ForwardSecrecy::Off));
            match connect(of_client, of_server) {
                Ok((client, server)) => {
                    assert!(!refused, "{of_client:?} and {of_server:?} agree");
                    assert_same_keys(&client.seal, &server.open);
                    assert_same_keys(&client.open, &server.seal);
                }
                Err(error) => {
                    assert_eq!(error, Error::ForwardSecrecyRequired);
                    assert!(refused, "{of_client:?} and {of_server:?} do not agree");
                }
            }
        }
    }
}

#[test]
fn without_forward_secrecy_y_sc_is_1_whatever_the_peer_sent() {
    let (mac_key_c, mac_key_s) = dh_mac_keys(KEY_FILE, &NONCE_C, &NONCE_S);
    let (forward, reverse) = packet_keys(KEY_FILE, &NONCE_C, &NONCE_S, &ONE);
    for y in [[0; 256], ONE, [7; 256], p_minus_1()] {
        let client = public_sent(ForwardSecrecy::Off).verify(&maced(&mac_key_s, &y)).expect("is right").derive_keys();
        assert_same_keys(&client.seal, &forward);
        assert_same_keys(&client.open, &reverse);

        let server = awaiting_public(ForwardSecrecy::Off).verify(&maced(&mac_key_c, &y)).expect("is right");
        let (server, from_server) = server.maced_public(KeyPair::without_forward_secrecy()).expect("goes with off");
        assert_eq!(from_server, maced(&mac_key_s, &ONE));
        let server = server.derive_keys();
        assert_same_keys(&server.seal, &reverse);
        assert_same_keys(&server.open, &forward);
    }
}

#[test]
fn the_mac_is_checked_before_anything_else() {
    let wrong = bytes_of(0xba);
    for y in [ONE, p(), [0xff; 256]] {
        for forward_secrecy in ALL {
            let received = maced(&wrong, &y);
            assert_eq!(public_sent(forward_secrecy).verify(&received).err(), Some(Error::WrongMac));
            assert_eq!(awaiting_public(forward_secrecy).verify(&received).err(), Some(Error::WrongMac));
        }
    }
}

#[test]
fn a_public_value_out_of_range_is_rejected_for_every_forward_secrecy_setting() {
    let (mac_key_c, mac_key_s) = dh_mac_keys(KEY_FILE, &NONCE_C, &NONCE_S);
    for y in [p(), [0xff; 256]] {
        for forward_secrecy in ALL {
            let error = public_sent(forward_secrecy).verify(&maced(&mac_key_s, &y)).err();
            assert_eq!(error, Some(Error::DhOutOfRange));
            let error = awaiting_public(forward_secrecy).verify(&maced(&mac_key_c, &y)).err();
            assert_eq!(error, Some(Error::DhOutOfRange));
        }
    }
}

#[test]
fn required_forward_secrecy_rejects_public_values_that_give_none() {
    let (mac_key_c, mac_key_s) = dh_mac_keys(KEY_FILE, &NONCE_C, &NONCE_S);
    let mut two = [0; 256];
    two[255] = 2;
    for (y, gives_none) in [([0; 256], true), (ONE, true), (p_minus_1(), true), (two, false)] {
        let expected = gives_none.then_some(Error::ForwardSecrecyRequired);
        assert_eq!(public_sent(ForwardSecrecy::Require).verify(&maced(&mac_key_s, &y)).err(), expected);
        assert_eq!(awaiting_public(ForwardSecrecy::Require).verify(&maced(&mac_key_c, &y)).err(), expected);
    }
}

#[test]
fn each_side_has_its_own_mac_key() {
    let (mac_key_c, mac_key_s) = dh_mac_keys(KEY_FILE, &NONCE_C, &NONCE_S);
    // Reflecting a side's own message fails.
    assert_eq!(public_sent(ForwardSecrecy::Off).verify(&maced(&mac_key_c, &ONE)).err(), Some(Error::WrongMac));
    assert_eq!(awaiting_public(ForwardSecrecy::Off).verify(&maced(&mac_key_s, &ONE)).err(), Some(Error::WrongMac));
}

#[test]
fn a_client_distinguishes_another_client_and_itself_from_a_wrong_key() {
    let (mac_key_of_other, _) = dh_mac_keys(KEY_FILE, &NONCE_S, &NONCE_C);
    let error = |received| public_sent(ForwardSecrecy::Require).verify(&received).err();
    for y in [ONE, p(), p_minus_1()] {
        assert_eq!(error(maced(&mac_key_of_other, &y)), Some(Error::SameRole));
    }
    let mut damaged = maced(&mac_key_of_other, &ONE);
    damaged[287] ^= 1;
    assert_eq!(error(damaged), Some(Error::WrongMac));
    let (mac_key_of_another_key_file, _) = dh_mac_keys(b"correct horse\n", &NONCE_S, &NONCE_C);
    assert_eq!(error(maced(&mac_key_of_another_key_file, &ONE)), Some(Error::WrongMac));

    // Everything it sends is reflected, including the nonce.
    let keyed = client::NonceSent::new(shared_key(KEY_FILE), ForwardSecrecy::Off, NONCE_C).receive_nonce(&NONCE_C);
    let (public_sent, own) = keyed.maced_public(KeyPair::without_forward_secrecy()).expect("goes with off");
    assert_eq!(public_sent.verify(&own).err(), Some(Error::SameRole));
}

#[test]
fn another_key_file_is_a_wrong_mac() {
    let (mac_key_c, _) = dh_mac_keys(b"correct horse\n", &NONCE_C, &NONCE_S);
    assert_eq!(awaiting_public(ForwardSecrecy::Off).verify(&maced(&mac_key_c, &ONE)).err(), Some(Error::WrongMac));
}

#[test]
fn a_key_pair_that_does_not_match_the_forward_secrecy_setting_is_rejected() {
    let (mac_key_c, _) = dh_mac_keys(KEY_FILE, &NONCE_C, &NONCE_S);
    for forward_secrecy in ALL {
        let wrong_pair = || match forward_secrecy {
            ForwardSecrecy::Off => KeyPair::from_exponent(&bytes_of(1)),
            ForwardSecrecy::Allow | ForwardSecrecy::Require => KeyPair::from_exponent(&bytes_of(0)),
        };
        let client = client::NonceSent::new(shared_key(KEY_FILE), forward_secrecy, NONCE_C).receive_nonce(&NONCE_S);
        assert_eq!(client.maced_public(wrong_pair()).err(), Some(Error::KeyPair));
        let server = awaiting_public(forward_secrecy).verify(&maced(&mac_key_c, &[7; 256])).expect("is right");
        assert_eq!(server.maced_public(wrong_pair()).err(), Some(Error::KeyPair));
    }
}

#[test]
fn random_values_differ() {
    assert_ne!(random_nonce(), random_nonce());
    let public = || {
        let client = client::NonceSent::new(shared_key(KEY_FILE), ForwardSecrecy::Allow, NONCE_C);
        client.receive_nonce(&NONCE_S).maced_public(KeyPair::generate().expect("random bytes")).expect("fits").1
    };
    assert_ne!(public(), public());
}

fn connect(of_client: ForwardSecrecy, of_server: ForwardSecrecy) -> Result<(SessionKeys, SessionKeys), Error> {
    let client = client::NonceSent::new(shared_key(KEY_FILE), of_client, random_nonce()?);
    let server = server::NonceSent::new(shared_key(KEY_FILE), of_server, random_nonce()?);
    let (nonce_c, nonce_s) = (*client.nonce(), *server.nonce());
    let (client, from_client) = client.receive_nonce(&nonce_s).maced_public(key_pair(of_client)?)?;
    let server = server.receive_nonce(&nonce_c).verify(&from_client)?;
    let (server, from_server) = server.maced_public(key_pair(of_server)?)?;
    Ok((client.verify(&from_server)?.derive_keys(), server.derive_keys()))
}

fn key_pair(forward_secrecy: ForwardSecrecy) -> Result<KeyPair, Error> {
    match forward_secrecy {
        ForwardSecrecy::Off => Ok(KeyPair::without_forward_secrecy()),
        ForwardSecrecy::Allow | ForwardSecrecy::Require => KeyPair::generate(),
    }
}

fn public_sent(forward_secrecy: ForwardSecrecy) -> client::PublicSent {
    let client = client::NonceSent::new(shared_key(KEY_FILE), forward_secrecy, NONCE_C).receive_nonce(&NONCE_S);
    client.maced_public(key_pair(forward_secrecy).expect("random bytes")).expect("fits").0
}

fn awaiting_public(forward_secrecy: ForwardSecrecy) -> server::AwaitingPublic {
    server::NonceSent::new(shared_key(KEY_FILE), forward_secrecy, NONCE_S).receive_nonce(&NONCE_C)
}
