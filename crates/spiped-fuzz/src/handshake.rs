//! A peer that sends any nonce and any 288 bytes, with a right MAC or not: both roles find what is wrong in the
//! order of docs/protocol.md, and what is right gives the keys of the reference.

use arbitrary::Arbitrary;
use ring::hmac;
use spiped_core::{
    Error,
    handshake::{client, server},
};

use crate::derivations::{Wish, assert_same_keys, dh_mac_keys, p, packet_keys, shared_key};

/// See the head of this file.
#[derive(Arbitrary, Debug)]
pub struct Input {
    key_file: Vec<u8>,
    nonce_c: [u8; 32],
    nonce_s: [u8; 32],
    wish: Wish,
    x: [u8; 32],
    y: Public,
    h: Mac,
}

/// y of a peer.
#[derive(Arbitrary, Debug)]
pub(crate) enum Public {
    Bytes(Box<[u8; 256]>),
    Small(u8),
    /// From p − 128 to p + 127.
    NearP(i8),
    Most,
}

impl Public {
    pub(crate) fn bytes(&self) -> [u8; 256] {
        let mut y = [0; 256];
        match self {
            Self::Bytes(bytes) => y.copy_from_slice(bytes.as_slice()),
            Self::Small(value) => y[255] = *value,
            Self::NearP(distance) => {
                // The last 64 bits of p are set, and the byte before them is 68.
                y = p();
                y[248..].copy_from_slice(&u64::MAX.wrapping_add_signed((*distance).into()).to_be_bytes());
                y[247] += u8::from(*distance > 0);
            }
            Self::Most => y.fill(0xff),
        }
        y
    }
}

/// h of a peer.
#[derive(Arbitrary, Debug)]
pub(crate) enum Mac {
    Right,
    /// The MAC that this side would send.
    OfOwnKey,
    Damaged {
        at: u8,
        bits: u8,
    },
    Bytes([u8; 32]),
}

impl Mac {
    /// `y ‖ h` of a peer with the key `peer`, where this side's is `own`.
    pub(crate) fn after(&self, y: &[u8; 256], own: &hmac::Key, peer: &hmac::Key) -> [u8; 288] {
        let mut maced = [0; 288];
        maced[..256].copy_from_slice(y);
        let h = &mut maced[256..];
        match self {
            Self::Right => h.copy_from_slice(hmac::sign(peer, y).as_ref()),
            Self::OfOwnKey => h.copy_from_slice(hmac::sign(own, y).as_ref()),
            Self::Damaged { at, bits } => {
                h.copy_from_slice(hmac::sign(peer, y).as_ref());
                h[usize::from(at % 32)] ^= bits;
            }
            Self::Bytes(bytes) => h.copy_from_slice(bytes),
        }
        maced
    }
}

/// Panics where the core is not as it should be.
pub fn run(input: &Input) {
    let Input { key_file, nonce_c, nonce_s, wish, x, y, h } = input;
    let y = y.bytes();
    let y_sc = || wish.shared_value(*x, &y);
    let expected_keys = || packet_keys(key_file, nonce_c, nonce_s, &y_sc());
    let (of_client, of_server) = dh_mac_keys(key_file, nonce_c, nonce_s);

    let received = h.after(&y, &of_client, &of_server);
    let client = client::NonceSent::new(shared_key(key_file), wish.for_core(), *nonce_c).receive_nonce(nonce_s);
    let (client, from_client) = client.maced_public(wish.key_pair(*x)).expect("goes with the wish");
    assert_eq!(from_client, Mac::Right.after(&wish.public(*x), &of_server, &of_client));
    // A wrong MAC is looked at once more: a peer may take the client for its server.
    let (of_other_client, _) = dh_mac_keys(key_file, nonce_s, nonce_c);
    let expected_outcome = match expected(*wish, &of_server, &received) {
        Err(Error::WrongMac) if has_mac(&of_other_client, &received) => Err(Error::SameRole),
        other => other,
    };
    let client = client.verify(&received);
    assert_eq!(client.as_ref().map(|_| ()), expected_outcome.as_ref().copied());
    if let Ok(client) = client {
        let (keys, (forward, reverse)) = (client.derive_keys(), expected_keys());
        assert_same_keys(&keys.seal, &forward);
        assert_same_keys(&keys.open, &reverse);
    }

    let received = h.after(&y, &of_server, &of_client);
    let server = server::NonceSent::new(shared_key(key_file), wish.for_core(), *nonce_s).receive_nonce(nonce_c);
    let server = server.verify(&received);
    assert_eq!(server.as_ref().map(|_| ()), expected(*wish, &of_client, &received).as_ref().copied());
    if let Ok(server) = server {
        let (server, from_server) = server.maced_public(wish.key_pair(*x)).expect("goes with the wish");
        assert_eq!(from_server, Mac::Right.after(&wish.public(*x), &of_client, &of_server));
        let (keys, (forward, reverse)) = (server.derive_keys(), expected_keys());
        assert_same_keys(&keys.open, &forward);
        assert_same_keys(&keys.seal, &reverse);
    }
}

fn has_mac(key: &hmac::Key, maced: &[u8; 288]) -> bool {
    hmac::sign(key, &maced[..256]).as_ref() == &maced[256..]
}

/// The checks, in the order of docs/protocol.md.
pub(crate) fn expected(wish: Wish, peer: &hmac::Key, received: &[u8; 288]) -> Result<(), Error> {
    let y = &received[..256];
    if !has_mac(peer, received) {
        return Err(Error::WrongMac);
    }
    if y >= p().as_slice() {
        return Err(Error::DhOutOfRange);
    }
    let (mut zero, mut one, mut p_minus_1) = ([0; 256], [0; 256], p());
    (zero[255], one[255]) = (0, 1);
    p_minus_1[255] -= 1;
    if wish == Wish::Require && [zero, one, p_minus_1].iter().any(|weak| weak == y) {
        return Err(Error::ForwardSecrecyRequired);
    }
    Ok(())
}
