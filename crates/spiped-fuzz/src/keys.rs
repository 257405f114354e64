//! A server with several keys, some of them the same, and one client after the other with one of these keys or with
//! none: each is told apart, whoever came before, and the server goes on with that client's key.

use arbitrary::Arbitrary;
use spiped_core::{Error, KeySet, SharedKey, handshake::server};

use crate::{
    derivations::{Wish, assert_same_keys, dh_mac_keys, packet_keys, shared_key},
    handshake::{Mac, Public, expected},
};

const MOST_KEYS: usize = 32;
const MOST_CLIENTS: usize = 8;

/// See the head of this file.
#[derive(Arbitrary, Debug)]
pub struct Input {
    /// A file of one byte says enough, and is soon there twice.
    keys: Vec<u8>,
    clients: Vec<Client>,
}

#[derive(Arbitrary, Debug)]
struct Client {
    key: u8,
    nonce_c: [u8; 32],
    nonce_s: [u8; 32],
    wish: Wish,
    y: Public,
    h: Mac,
}

/// Panics where the core is not as it should be.
pub fn run(input: &Input) {
    let files = &input.keys[..input.keys.len().min(MOST_KEYS)];
    let set = KeySet::new(files.iter().map(|file| shared_key(&[*file])).collect::<Vec<SharedKey>>());
    for client in input.clients.iter().take(MOST_CLIENTS) {
        let Client { key, nonce_c, nonce_s, wish, y, h } = client;
        let (of_client, of_server) = dh_mac_keys(&[*key], nonce_c, nonce_s);
        let y = y.bytes();
        let received = h.after(&y, &of_server, &of_client);
        let outcome = expected(*wish, &of_client, &received);
        let server = server::NonceSent::new(set.clone(), wish.for_core(), *nonce_s).receive_nonce(nonce_c);
        let known = files.iter().position(|file| file == key).filter(|_| outcome != Err(Error::WrongMac));
        let Some(index) = known else {
            assert_eq!(server.identify(&received).err(), Some(Error::WrongMac));
            continue;
        };
        // Of a key that is there twice, the first or the one that was found last.
        let identified = server.identify(&received).expect("it has one of the keys");
        assert_eq!(files[identified.key_index()], files[index]);
        let server = identified.verify();
        assert_eq!(server.as_ref().map(|_| ()), outcome.as_ref().copied());
        let Ok(server) = server else { continue };
        let x = [7; 32];
        let (server, from_server) = server.maced_public(wish.key_pair(x)).expect("goes with the wish");
        assert_eq!(from_server, Mac::Right.after(&wish.public(x), &of_client, &of_server));
        let keys = server.derive_keys();
        let (forward, reverse) = packet_keys(&[*key], nonce_c, nonce_s, &wish.shared_value(x, &y));
        assert_same_keys(&keys.open, &forward);
        assert_same_keys(&keys.seal, &reverse);
    }
}
