//! Target: a server with several keys, some of them duplicates, and a sequence of clients with one of these keys or none.
//! Each client must be identified whatever the order, and the server must continue with that client's key.

use arbitrary::Arbitrary;
use spiped_core::{Error, KeySet, SharedKey, handshake::server};

use crate::{
    derivations::{Mode, assert_same_keys, dh_mac_keys, packet_keys, shared_key},
    handshake::{Mac, Public, expected},
};

const MAX_KEYS: usize = 32;
const MAX_CLIENTS: usize = 8;

/// The input; see the module documentation.
#[derive(Arbitrary, Debug)]
pub struct Input {
    /// One key file per byte: one byte is enough, and makes duplicates likely.
    keys: Vec<u8>,
    clients: Vec<Client>,
}

#[derive(Arbitrary, Debug)]
struct Client {
    key: u8,
    nonce_c: [u8; 32],
    nonce_s: [u8; 32],
    mode: Mode,
    y: Public,
    h: Mac,
}

/// Runs the target.
///
/// # Panics
/// If the core behaves differently from the reference.
pub fn run(input: &Input) {
    let files = &input.keys[..input.keys.len().min(MAX_KEYS)];
    let set = KeySet::new(files.iter().map(|file| shared_key(&[*file])).collect::<Vec<SharedKey>>());
    for client in input.clients.iter().take(MAX_CLIENTS) {
        let Client { key, nonce_c, nonce_s, mode, y, h } = client;
        let (of_client, of_server) = dh_mac_keys(&[*key], nonce_c, nonce_s);
        let y = y.bytes();
        let received = h.maced_public(&y, &of_server, &of_client);
        let outcome = expected(*mode, &of_client, &received);
        let server = server::NonceSent::new(set.clone(), mode.for_core(), *nonce_s).receive_nonce(nonce_c);
        let known = files.iter().position(|file| file == key).filter(|_| outcome != Err(Error::WrongMac));
        let Some(index) = known else {
            assert_eq!(server.identify(&received).err(), Some(Error::WrongMac));
            continue;
        };
        // Of duplicate keys, any may be found.
        let identified = server.identify(&received).expect("it has one of the keys");
        assert_eq!(files[identified.key_index()], files[index]);
        let server = identified.verify();
        assert_eq!(server.as_ref().map(|_| ()), outcome.as_ref().copied());
        let Ok(server) = server else { continue };
        let x = [7; 32];
        let (server, from_server) = server.maced_public(mode.key_pair(x)).expect("matches the mode");
        assert_eq!(from_server, Mac::Correct.maced_public(&mode.public(x), &of_client, &of_server));
        let keys = server.derive_keys();
        let (forward, reverse) = packet_keys(&[*key], nonce_c, nonce_s, &mode.shared_value(x, &y));
        assert_same_keys(&keys.open, &forward);
        assert_same_keys(&keys.seal, &reverse);
    }
}
