//! `Debug` prints no secrets.

mod support;

use std::fmt::Debug;

use spiped_core::{
    DirectionKeys, KeyHasher, KeyPair, KeySet, Opener, Sealer,
    handshake::{ForwardSecrecy, client, server},
};
use support::{dh_mac_keys, pbkdf2_once, shared_key};

const KEY_FILE: &[u8] = b"A key file whose bytes are easy to find";
const NONCE_C: [u8; 32] = [0xc; 32];
const NONCE_S: [u8; 32] = [0x5; 32];

#[test]
fn the_search_finds_bytes_in_every_common_format() {
    let secret = [0xde, 0xad, 0xbe, 0xef];
    for printed in ["[1, 173, 190, 239, 2]", "00DEADBE00", "adbeef", "[de, ad, be]", "[0xad, 0xbe, 0xef]"] {
        assert!(shows(printed, &secret), "{printed}");
    }
    assert!(!shows("SharedKey(<32 secret bytes>)", &secret));
}

#[test]
fn no_key_prints_its_bytes() {
    let k = ring::digest::digest(&ring::digest::SHA256, KEY_FILE);
    let mut hasher = KeyHasher::new();
    hasher.update(KEY_FILE);
    prints_nothing_of(KEY_FILE, &hasher);
    let key = hasher.finish();
    prints_nothing_of(k.as_ref(), &key);
    prints_nothing_of(k.as_ref(), &KeySet::new(vec![key.clone(), key]));

    let keys = DirectionKeys::from_bytes(&secret(0x51), &secret(0xa3));
    for key in [secret(0x51), secret(0xa3)] {
        prints_nothing_of(&key, &keys);
        prints_nothing_of(&key, &Sealer::new(&keys));
        prints_nothing_of(&key, &Opener::new(&keys));
    }
    prints_nothing_of(&secret(0x51), &KeyPair::from_exponent(&secret(0x51)));
    prints_nothing_of(&[0; 32], &KeyPair::without_forward_secrecy());
}

#[test]
fn no_phase_of_a_handshake_prints_a_secret() {
    let x = secret(0x51);
    let k = ring::digest::digest(&ring::digest::SHA256, KEY_FILE);
    let (mac_key_c, mac_key_s) = dh_mac_keys(KEY_FILE, &NONCE_C, &NONCE_S);
    let prints_none = |phase: &dyn Debug| {
        for secret in [KEY_FILE, k.as_ref(), &mac_key_c, &mac_key_s, &x] {
            prints_nothing_of(secret, phase);
        }
    };

    let client = client::NonceSent::new(shared_key(KEY_FILE), ForwardSecrecy::Allow, NONCE_C);
    prints_none(&client);
    let client = client.receive_nonce(&NONCE_S);
    prints_none(&client);
    let (client, from_client) = client.maced_public(KeyPair::from_exponent(&x)).expect("fits");
    prints_none(&client);

    let server = server::NonceSent::new(shared_key(KEY_FILE), ForwardSecrecy::Off, NONCE_S);
    prints_none(&server);
    let server = server.receive_nonce(&NONCE_C);
    prints_none(&server);
    let server = server.identify(&from_client).expect("is right");
    prints_none(&server);
    let server = server.verify().expect("is right");
    prints_none(&server);
    let (server, from_server) = server.maced_public(KeyPair::without_forward_secrecy()).expect("fits");
    prints_none(&server);

    let client = client.verify(&from_server).expect("is right");
    prints_none(&client);
    let (of_client, of_server) = (client.derive_keys(), server.derive_keys());
    let dk_2 = pbkdf2_once::<128>(KEY_FILE, &[&NONCE_C, &NONCE_S, &support::ONE]);
    for key in dk_2.chunks(32) {
        prints_nothing_of(key, &of_client);
        prints_nothing_of(key, &of_server);
    }
}

/// 32 bytes in which neighbors differ.
fn secret(first: u8) -> [u8; 32] {
    std::array::from_fn(|index| first.wrapping_add((index as u8).wrapping_mul(0x3b)))
}

fn prints_nothing_of(secret: &[u8], value: &(impl Debug + ?Sized)) {
    for printed in [format!("{value:?}"), format!("{value:#?}").replace(",\n", ", ")] {
        assert!(!shows(&printed, secret), "{printed}");
    }
}

/// Whether `printed` contains any three consecutive bytes of `secret`. (Two may occur by chance, since public values are
/// printed.)
fn shows(printed: &str, secret: &[u8]) -> bool {
    let printed: String = printed.to_lowercase().split_whitespace().collect();
    secret.windows(3).any(|three| {
        let in_form = |form: fn(&u8) -> String, between| three.iter().map(form).collect::<Vec<_>>().join(between);
        [
            in_form(|byte| format!("{byte},"), ""),
            in_form(|byte| format!("{byte:02x}"), ""),
            in_form(|byte| format!("{byte:x}"), ","),
            in_form(|byte| format!("{byte:#x}"), ","),
        ]
        .iter()
        .any(|form| printed.contains(form))
    })
}
