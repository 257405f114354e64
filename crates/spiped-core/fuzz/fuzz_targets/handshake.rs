//! A peer that sends any nonce and any 288 bytes, with a right MAC or not: both roles find what is wrong in the
//! order of DESIGN.md, and what is right gives keys.

#![no_main]

use std::num::NonZeroU32;

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use ring::{digest, hmac, pbkdf2};
use spiped_core::{
    Error, KeyHasher, KeyPair, SharedKey,
    handshake::{ForwardSecrecy, client, server},
};

#[derive(Arbitrary, Debug)]
struct Input {
    key_file: Vec<u8>,
    nonce_c: [u8; 32],
    nonce_s: [u8; 32],
    forward_secrecy: Wish,
    x: [u8; 32],
    y: Public,
    h: Mac,
}

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Wish {
    Off,
    Allow,
    Require,
}

#[derive(Arbitrary, Debug)]
enum Public {
    Bytes(Box<[u8; 256]>),
    Small(u8),
    /// From p − 128 to p + 127.
    NearP(i8),
    Most,
}

#[derive(Arbitrary, Debug)]
enum Mac {
    Right,
    /// The MAC that this side would send.
    OfOwnKey,
    Damaged {
        at: u8,
        bits: u8,
    },
    Bytes([u8; 32]),
}

fuzz_target!(|input: Input| {
    let (own, peer) = dh_mac_keys(&input);
    let received = maced_public(&input, &own, &peer);
    let client = client::NonceSent::new(shared_key(&input), wish(&input), input.nonce_c).receive_nonce(&input.nonce_s);
    let (client, from_client) = client.send_public(key_pair(&input)).expect("goes with the wish");
    assert_eq!(from_client[256..], *hmac::sign(&own, &from_client[..256]).as_ref());
    let outcome = client.verify(&received).map(|client| drop(client.derive_keys()));
    // A wrong MAC is looked at once more.
    let of_client = expected(&input, &swapped_client_key(&input), &received) != Err(Error::WrongMac);
    let expected_of_client = match expected(&input, &peer, &received) {
        Err(Error::WrongMac) if of_client => Err(Error::SameRole),
        other => other,
    };
    assert_eq!(outcome, expected_of_client);

    // The server's own key is the client's peer's.
    let (own, peer) = (peer, own);
    let received = maced_public(&input, &own, &peer);
    let server = server::NonceSent::new(shared_key(&input), wish(&input), input.nonce_s).receive_nonce(&input.nonce_c);
    let outcome = server.verify(&received).map(|server| {
        let (server, from_server) = server.send_public(key_pair(&input)).expect("goes with the wish");
        assert_eq!(from_server[256..], *hmac::sign(&own, &from_server[..256]).as_ref());
        drop(server.derive_keys());
    });
    assert_eq!(outcome, expected(&input, &peer, &received));
});

/// The checks, in the order of DESIGN.md.
fn expected(input: &Input, peer: &hmac::Key, received: &[u8; 288]) -> Result<(), Error> {
    let (y, h) = received.split_at(256);
    if hmac::sign(peer, y).as_ref() != h {
        return Err(Error::WrongMac);
    }
    if y >= p().as_slice() {
        return Err(Error::DhOutOfRange);
    }
    let (mut zero, mut one, mut p_minus_1) = ([0; 256], [0; 256], p());
    (zero[255], one[255]) = (0, 1);
    p_minus_1[255] -= 1;
    if matches!(input.forward_secrecy, Wish::Require) && [zero, one, p_minus_1].iter().any(|weak| weak == y) {
        return Err(Error::ForwardSecrecyRequired);
    }
    Ok(())
}

/// What the peer sends.
fn maced_public(input: &Input, own: &hmac::Key, peer: &hmac::Key) -> [u8; 288] {
    let mut received = [0; 288];
    let (y, h) = received.split_at_mut(256);
    match &input.y {
        Public::Bytes(bytes) => y.copy_from_slice(bytes.as_slice()),
        Public::Small(value) => y[255] = *value,
        Public::NearP(distance) => {
            // The last 64 bits of p are set, and the byte before them is 68.
            y.copy_from_slice(&p());
            y[248..].copy_from_slice(&u64::MAX.wrapping_add_signed((*distance).into()).to_be_bytes());
            y[247] += u8::from(*distance > 0);
        }
        Public::Most => y.fill(0xff),
    }
    match &input.h {
        Mac::Right => h.copy_from_slice(hmac::sign(peer, y).as_ref()),
        Mac::OfOwnKey => h.copy_from_slice(hmac::sign(own, y).as_ref()),
        Mac::Damaged { at, bits } => {
            h.copy_from_slice(hmac::sign(peer, y).as_ref());
            h[usize::from(at % 32)] ^= bits;
        }
        Mac::Bytes(bytes) => h.copy_from_slice(bytes),
    }
    received
}

fn shared_key(input: &Input) -> SharedKey {
    let mut hasher = KeyHasher::new();
    hasher.update(&input.key_file);
    hasher.finish()
}

fn wish(input: &Input) -> ForwardSecrecy {
    match input.forward_secrecy {
        Wish::Off => ForwardSecrecy::Off,
        Wish::Allow => ForwardSecrecy::Allow,
        Wish::Require => ForwardSecrecy::Require,
    }
}

fn key_pair(input: &Input) -> KeyPair {
    match input.forward_secrecy {
        Wish::Off => KeyPair::without_forward_secrecy(),
        Wish::Allow | Wish::Require => {
            let mut x = input.x;
            x[31] |= 1; // 0 would give forward secrecy up
            KeyPair::from_exponent(&x)
        }
    }
}

/// (`dhmac_C`, `dhmac_S`)
fn dh_mac_keys(input: &Input) -> (hmac::Key, hmac::Key) {
    dh_mac_keys_of(input, &[input.nonce_c, input.nonce_s].concat())
}

/// `dhmac_C` of a peer that takes the client for its server.
fn swapped_client_key(input: &Input) -> hmac::Key {
    dh_mac_keys_of(input, &[input.nonce_s, input.nonce_c].concat()).0
}

fn dh_mac_keys_of(input: &Input, nonces: &[u8]) -> (hmac::Key, hmac::Key) {
    let k = digest::digest(&digest::SHA256, &input.key_file);
    let mut dk_1 = [0; 64];
    pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, NonZeroU32::MIN, nonces, k.as_ref(), &mut dk_1);
    let (client, server) = dk_1.split_at(32);
    (hmac::Key::new(hmac::HMAC_SHA256, client), hmac::Key::new(hmac::HMAC_SHA256, server))
}

/// The group's modulus. Source: RFC 3526, 3.
fn p() -> [u8; 256] {
    let mut p = [0; 256];
    for (byte, digits) in p.iter_mut().zip(P.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(str::from_utf8(digits).expect("ASCII"), 16).expect("hexadecimal");
    }
    p
}

const P: &str = "ffffffffffffffffc90fdaa22168c234c4c6628b80dc1cd129024e088a67cc74\
                 020bbea63b139b22514a08798e3404ddef9519b3cd3a431b302b0a6df25f1437\
                 4fe1356d6d51c245e485b576625e7ec6f44c42e9a637ed6b0bff5cb6f406b7ed\
                 ee386bfb5a899fa5ae9f24117c4b1fe649286651ece45b3dc2007cb8a163bf05\
                 98da48361c55d39a69163fa8fd24cf5f83655d23dca3ad961c62f356208552bb\
                 9ed529077096966d670c354e4abc9804f1746c08ca18217c32905e462e36ce3b\
                 e39e772c180e86039b2783a2ec07a28fb5c55df06f4c52c9de2bcbf695581718\
                 3995497cea956ae515d2261898fa051015728e5a8aacaa68ffffffffffffffff";
