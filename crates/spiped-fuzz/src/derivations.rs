//! A reference implementation of the handshake's computations, from docs/protocol.md with ring and num-bigint, and code
//! that the handshake targets share.

use std::num::NonZeroU32;

use arbitrary::Arbitrary;
use num_bigint::BigUint;
use ring::{digest, hmac, pbkdf2};
use spiped_core::{DirectionKeys, KeyHasher, KeyPair, Opener, SharedKey, handshake::ForwardSecrecy};

use crate::reference::{Keys, PACKET};

/// A side's forward secrecy setting.
#[derive(Arbitrary, Clone, Copy, Debug, PartialEq)]
pub enum Mode {
    /// Turns it off.
    Off,
    /// Offers it.
    Allow,
    /// Requires it.
    Require,
}

impl Mode {
    /// The same setting in the core's type.
    #[must_use]
    pub fn for_core(self) -> ForwardSecrecy {
        match self {
            Self::Off => ForwardSecrecy::Off,
            Self::Allow => ForwardSecrecy::Allow,
            Self::Require => ForwardSecrecy::Require,
        }
    }

    /// The matching key pair; x is made odd.
    #[must_use]
    pub fn key_pair(self, x: [u8; 32]) -> KeyPair {
        match self {
            Self::Off => KeyPair::without_forward_secrecy(),
            Self::Allow | Self::Require => KeyPair::from_exponent(&exponent(x)),
        }
    }

    /// The key pair's y.
    #[must_use]
    pub fn public(self, x: [u8; 32]) -> [u8; 256] {
        let mut two = [0; 256];
        two[255] = 2;
        self.shared_value(x, &two)
    }

    /// `y_SC` with a peer whose public value is `y`.
    #[must_use]
    pub fn shared_value(self, x: [u8; 32], y: &[u8; 256]) -> [u8; 256] {
        let value = match self {
            Self::Off => BigUint::from(1_u8),
            Self::Allow | Self::Require => {
                BigUint::from_bytes_be(y).modpow(&BigUint::from_bytes_be(&exponent(x)), &BigUint::from_bytes_be(&p()))
            }
        };
        let mut padded = [0; 256];
        for (target, byte) in padded.iter_mut().rev().zip(value.to_bytes_le()) {
            *target = byte;
        }
        padded
    }
}

/// Makes x odd, since 0 would turn forward secrecy off.
fn exponent(mut x: [u8; 32]) -> [u8; 32] {
    x[31] |= 1;
    x
}

/// K of a key file.
#[must_use]
pub fn shared_key(key_file: &[u8]) -> SharedKey {
    let mut hasher = KeyHasher::new();
    hasher.update(key_file);
    hasher.finish()
}

/// (`dhmac_C`, `dhmac_S`)
#[must_use]
pub fn dh_mac_keys(key_file: &[u8], nonce_c: &[u8; 32], nonce_s: &[u8; 32]) -> (hmac::Key, hmac::Key) {
    let dk_1: [u8; 64] = pbkdf2_once(key_file, &[nonce_c, nonce_s]);
    let (client, server) = dk_1.split_at(32);
    (hmac::Key::new(hmac::HMAC_SHA256, client), hmac::Key::new(hmac::HMAC_SHA256, server))
}

/// (client → server, server → client)
#[must_use]
pub fn packet_keys(key_file: &[u8], nonce_c: &[u8; 32], nonce_s: &[u8; 32], y_sc: &[u8; 256]) -> (Keys, Keys) {
    let dk_2: [u8; 128] = pbkdf2_once(key_file, &[nonce_c, nonce_s, y_sc]);
    let (forward, reverse) = dk_2.split_at(64);
    (Keys::from_bytes(forward), Keys::from_bytes(reverse))
}

fn pbkdf2_once<const N: usize>(key_file: &[u8], salt: &[&[u8]]) -> [u8; N] {
    let key = digest::digest(&digest::SHA256, key_file);
    let mut out = [0; N];
    pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, NonZeroU32::MIN, &salt.concat(), key.as_ref(), &mut out);
    out
}

/// Asserts that the core's keys open a packet that the reference seals with `expected`.
///
/// # Panics
/// If they do not.
pub fn assert_same_keys(ours: &DirectionKeys, expected: &Keys) {
    let mut out = [0; PACKET];
    assert_eq!(Opener::new(ours).open(&expected.packet(0, b"hello", 5), &mut out), Ok(5));
    assert_eq!(out[..5], *b"hello");
}

/// The group's modulus. Source: RFC 3526, 3.
#[must_use]
pub fn p() -> [u8; 256] {
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
