//! The expensive steps of a handshake: `cargo bench --bench handshake`.

mod support;

use spiped_core::{
    Error, KeyHasher, KeyPair, KeySet, SessionKeys,
    handshake::{ForwardSecrecy, client, server},
};
use support::best_ns;

fn main() {
    println!("key pair:  {:7.1} µs", best_ns(200, KeyPair::generate) / 1000.0);
    for forward_secrecy in [ForwardSecrecy::Off, ForwardSecrecy::Allow] {
        let both_ends_ns = best_ns(100, || connect(forward_secrecy));
        println!("both ends, forward secrecy {forward_secrecy:?}: {:7.1} µs", both_ends_ns / 1000.0);
    }
    for count in [1, 10, 100] {
        let keys = KeySet::new((0..count).map(|_| KeyHasher::new().finish()).collect());
        println!("unknown client, {count:3} keys: {:7.1} µs", best_ns(100, || reject_unknown_client(&keys)) / 1000.0);
    }
}

/// The server's cost of rejecting a client that has none of its keys.
fn reject_unknown_client(keys: &KeySet) -> Option<Error> {
    let server = server::NonceSent::new(keys.clone(), ForwardSecrecy::Allow, [2; 32]).receive_nonce(&[1; 32]);
    server.verify(&[0; 288]).err()
}

/// A whole handshake, both ends.
fn connect(forward_secrecy: ForwardSecrecy) -> (SessionKeys, SessionKeys) {
    let key = KeyHasher::new().finish();
    let key_pair = || match forward_secrecy {
        ForwardSecrecy::Off => KeyPair::without_forward_secrecy(),
        _ => KeyPair::generate().expect("random bytes"),
    };
    let client = client::NonceSent::new(key.clone(), forward_secrecy, [1; 32]).receive_nonce(&[2; 32]);
    let server = server::NonceSent::new(key, forward_secrecy, [2; 32]).receive_nonce(&[1; 32]);
    let (client, from_client) = client.maced_public(key_pair()).expect("fits");
    let (server, from_server) = server.verify(&from_client).expect("right").maced_public(key_pair()).expect("fits");
    let client = client.verify(&from_server).expect("right");
    (client.derive_keys(), server.derive_keys())
}
