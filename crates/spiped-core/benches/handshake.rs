//! The dear steps of a handshake: `cargo bench --bench handshake`.

mod support;

use spiped_core::{
    KeyHasher, KeyPair, SessionKeys,
    handshake::{ForwardSecrecy, client, server},
};
use support::best_ns;

fn main() {
    println!("key pair:  {:7.1} µs", best_ns(200, KeyPair::generate) / 1000.0);
    for forward_secrecy in [ForwardSecrecy::Off, ForwardSecrecy::Allow] {
        let both_ends_ns = best_ns(100, || connect(forward_secrecy));
        println!("both ends, forward secrecy {forward_secrecy:?}: {:7.1} µs", both_ends_ns / 1000.0);
    }
}

/// A whole handshake, both ends of it.
fn connect(forward_secrecy: ForwardSecrecy) -> (SessionKeys, SessionKeys) {
    let key = KeyHasher::new().finish();
    let key_pair = || match forward_secrecy {
        ForwardSecrecy::Off => KeyPair::without_forward_secrecy(),
        _ => KeyPair::generate().expect("random bytes"),
    };
    let client = client::NonceSent::new(key.clone(), forward_secrecy, [1; 32]).receive_nonce(&[2; 32]);
    let server = server::NonceSent::new(key, forward_secrecy, [2; 32]).receive_nonce(&[1; 32]);
    let (client, from_client) = client.send_public(key_pair()).expect("fits");
    let (server, from_server) = server.verify(&from_client).expect("right").send_public(key_pair()).expect("fits");
    let client = client.verify(&from_server).expect("right");
    (client.derive_keys(), server.derive_keys())
}
