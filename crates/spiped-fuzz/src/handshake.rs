//! Target: a peer that sends any nonce and any 288 bytes, with a correct MAC or not. Both roles must reject what is wrong
//! in the order of docs/protocol.md, and derive the reference's keys from what is correct.

use arbitrary::Arbitrary;
use ring::hmac;
use spiped_core::{
    Error,
    handshake::{client, server},
};

use crate::derivations::{Mode, assert_same_keys, dh_mac_keys, p, packet_keys, shared_key};

/// The input; see the module documentation.
#[derive(Arbitrary, Debug)]
pub struct Input {
    key_file: Vec<u8>,
    nonce_c: [u8; 32],
    nonce_s: [u8; 32],
    mode: Mode,
    x: [u8; 32],
    y: Public,
    h: Mac,
}

/// The peer's y.
#[derive(Arbitrary, Debug)]
pub(crate) enum Public {
    Bytes(Box<[u8; 256]>),
    Small(u8),
    /// p − 128 to p + 127.
    NearP(i8),
    /// 2^2048 − 1.
    Max,
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
            Self::Max => y.fill(0xff),
        }
        y
    }
}

/// The peer's h.
#[derive(Arbitrary, Debug)]
pub(crate) enum Mac {
    Correct,
    /// The MAC with this side's own key, as in a reflected message.
    OfOwnKey,
    Damaged {
        at: u8,
        bits: u8,
    },
    Bytes([u8; 32]),
}

impl Mac {
    /// `y ‖ h`, where `peer` is the peer's MAC key and `own` this side's.
    pub(crate) fn maced_public(&self, y: &[u8; 256], own: &hmac::Key, peer: &hmac::Key) -> [u8; 288] {
        let mut maced = [0; 288];
        maced[..256].copy_from_slice(y);
        let h = &mut maced[256..];
        match self {
            Self::Correct => h.copy_from_slice(hmac::sign(peer, y).as_ref()),
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

/// Runs the target.
///
/// # Panics
/// If the core behaves differently from the reference.
pub fn run(input: &Input) {
    let Input { key_file, nonce_c, nonce_s, mode, x, y, h } = input;
    let y = y.bytes();
    let y_sc = || mode.shared_value(*x, &y);
    let expected_keys = || packet_keys(key_file, nonce_c, nonce_s, &y_sc());
    let (of_client, of_server) = dh_mac_keys(key_file, nonce_c, nonce_s);

    let received = h.maced_public(&y, &of_client, &of_server);
    let client = client::NonceSent::new(shared_key(key_file), mode.for_core(), *nonce_c).receive_nonce(nonce_s);
    let (client, from_client) = client.maced_public(mode.key_pair(*x)).expect("matches the mode");
    assert_eq!(from_client, Mac::Correct.maced_public(&mode.public(*x), &of_server, &of_client));
    // A client also checks whether a wrong MAC is that of another client, which took this one for its server.
    let (of_other_client, _) = dh_mac_keys(key_file, nonce_s, nonce_c);
    let expected_outcome = match expected(*mode, &of_server, &received) {
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

    let received = h.maced_public(&y, &of_server, &of_client);
    let server = server::NonceSent::new(shared_key(key_file), mode.for_core(), *nonce_s).receive_nonce(nonce_c);
    let server = server.verify(&received);
    assert_eq!(server.as_ref().map(|_| ()), expected(*mode, &of_client, &received).as_ref().copied());
    if let Ok(server) = server {
        let (server, from_server) = server.maced_public(mode.key_pair(*x)).expect("matches the mode");
        assert_eq!(from_server, Mac::Correct.maced_public(&mode.public(*x), &of_client, &of_server));
        let (keys, (forward, reverse)) = (server.derive_keys(), expected_keys());
        assert_same_keys(&keys.open, &forward);
        assert_same_keys(&keys.seal, &reverse);
    }
}

fn has_mac(key: &hmac::Key, maced: &[u8; 288]) -> bool {
    hmac::sign(key, &maced[..256]).as_ref() == &maced[256..]
}

/// The expected outcome: the checks in the order of docs/protocol.md.
pub(crate) fn expected(mode: Mode, peer: &hmac::Key, received: &[u8; 288]) -> Result<(), Error> {
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
    if mode == Mode::Require && [zero, one, p_minus_1].iter().any(|weak| weak == y) {
        return Err(Error::ForwardSecrecyRequired);
    }
    Ok(())
}
