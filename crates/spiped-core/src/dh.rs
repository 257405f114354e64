//! Diffie-Hellman in group 14 of RFC 3526, in constant time for secret values.
//! Source: docs/protocol.md, "Keys" and "The handshake".

#[cfg(all(any(target_arch = "x86_64", target_arch = "aarch64"), any(target_os = "linux", target_os = "macos")))]
#[allow(unsafe_code)]
mod aws_lc;
mod comb;

use std::fmt;

use crypto_bigint::{U320, U2048, const_monty_params, modular::ConstMontyForm};
use zeroize::{Zeroize, Zeroizing};

use crate::{Error, PUBLIC_BYTES, random::fill_random, secret::SecretBytes, wipe::wiping_stack};

/// The group's modulus, p.
const P: U2048 = U2048::from_be_hex(P_HEX);
const P_HEX: &str = "ffffffffffffffffc90fdaa22168c234c4c6628b80dc1cd129024e088a67cc74\
                     020bbea63b139b22514a08798e3404ddef9519b3cd3a431b302b0a6df25f1437\
                     4fe1356d6d51c245e485b576625e7ec6f44c42e9a637ed6b0bff5cb6f406b7ed\
                     ee386bfb5a899fa5ae9f24117c4b1fe649286651ece45b3dc2007cb8a163bf05\
                     98da48361c55d39a69163fa8fd24cf5f83655d23dca3ad961c62f356208552bb\
                     9ed529077096966d670c354e4abc9804f1746c08ca18217c32905e462e36ce3b\
                     e39e772c180e86039b2783a2ec07a28fb5c55df06f4c52c9de2bcbf695581718\
                     3995497cea956ae515d2261898fa051015728e5a8aacaa68ffffffffffffffff";

const_monty_params!(Group14, U2048, P_HEX, "Montgomery arithmetic modulo p.");

/// An integer modulo p.
type Residue = ConstMontyForm<Group14, { U2048::LIMBS }>;

/// The group's generator, g.
const G: Residue = Residue::new(&U2048::from_u8(2));

/// y and `y_SC` without forward secrecy: 1, encoded as on the wire.
const ONE: [u8; PUBLIC_BYTES] = {
    let mut bytes = [0; PUBLIC_BYTES];
    bytes[PUBLIC_BYTES - 1] = 1;
    bytes
};

/// Random bytes per exponent.
const EXPONENT_BYTES: usize = 32;

/// The highest bit of a random exponent, always set; below it are 256 random bits. All exponents thus have the same
/// length, the only thing that the duration of an exponentiation depends on.
const EXPONENT_TOP_BIT: u32 = 258;
const EXPONENT_BITS: u32 = EXPONENT_TOP_BIT + 1;

/// One side's x and y. Each connection uses a fresh pair. Wiped on drop.
pub struct KeyPair {
    /// `None` means x = 0: this side has turned forward secrecy off.
    x: Option<Exponent>,
    y: Box<[u8; PUBLIC_BYTES]>,
}

impl KeyPair {
    /// Generates a random x and computes y = g^x. Costs a fifth of an exponentiation.
    ///
    /// # Errors
    /// [`Error::Random`] if the system returns no random bytes.
    pub fn generate() -> Result<Self, Error> {
        let mut bits = SecretBytes::zeroed();
        fill_random(bits.expose_mut())?;
        Ok(wiping_stack(|| Self::new(Exponent::from_random_bits(bits.expose()))))
    }

    /// The pair x = 0, y = 1, which turns forward secrecy off.
    #[must_use]
    pub fn without_forward_secrecy() -> Self {
        Self { x: None, y: Box::new(ONE) }
    }

    /// The pair for a given x, 32 bytes, big-endian; 0 turns forward secrecy off. For known-answer tests.
    #[must_use]
    pub fn from_exponent(x: &[u8; EXPONENT_BYTES]) -> Self {
        if x == &[0; EXPONENT_BYTES] {
            return Self::without_forward_secrecy();
        }
        wiping_stack(|| Self::new(Exponent::from_bytes(x)))
    }

    fn new(x: Exponent) -> Self {
        let mut y = Box::new([0; PUBLIC_BYTES]);
        encode(&comb::power_of_g(&x.0), &mut y);
        Self { x: Some(x), y }
    }

    /// y, encoded as on the wire.
    pub(crate) fn public(&self) -> &[u8; PUBLIC_BYTES] {
        &self.y
    }

    /// Whether this side offers forward secrecy.
    pub(crate) fn has_forward_secrecy(&self) -> bool {
        self.x.is_some()
    }

    /// `y_SC` = (the peer's y)^x. Costs one exponentiation. Without forward secrecy it is 1, whatever the peer sent,
    /// and costs nothing.
    pub(crate) fn shared_value(&self, peer: &PeerPublic) -> SecretBytes<PUBLIC_BYTES> {
        let Some(x) = &self.x else { return SecretBytes::copy_of(&ONE) };
        #[cfg(all(
            any(target_arch = "x86_64", target_arch = "aarch64"),
            any(target_os = "linux", target_os = "macos")
        ))]
        if let Some(y_sc) = aws_lc::power(&peer.0.to_be_bytes().into(), &x.0) {
            return y_sc;
        }
        power_portably(peer, x)
    }
}

impl fmt::Debug for KeyPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyPair").field("has_forward_secrecy", &self.has_forward_secrecy()).finish_non_exhaustive()
    }
}

/// (the peer's y)^x by crypto-bigint, for platforms without aws-lc and as a reference in tests.
fn power_portably(peer: &PeerPublic, x: &Exponent) -> SecretBytes<PUBLIC_BYTES> {
    let mut y_sc = Residue::new(&peer.0).pow_bounded_exp(&x.0, EXPONENT_BITS);
    let mut encoded = SecretBytes::zeroed();
    encode(&y_sc, encoded.expose_mut());
    y_sc.zeroize();
    encoded
}

/// The peer's y, checked to be below p.
#[derive(Debug)]
pub(crate) struct PeerPublic(Box<U2048>);

impl PeerPublic {
    /// Decodes y.
    ///
    /// # Errors
    /// [`Error::DhOutOfRange`] if y is not below p.
    pub(crate) fn parse(y: &[u8; PUBLIC_BYTES]) -> Result<Self, Error> {
        let y = U2048::from_be_slice(y);
        if y < P { Ok(Self(Box::new(y))) } else { Err(Error::DhOutOfRange) }
    }

    /// Whether `y_SC` cannot be guessed from y alone: y is none of 0, 1 and p − 1. All powers of 0 are 0, those of 1
    /// are 1, and those of p − 1 are 1 or p − 1.
    ///
    /// Differs from spiped: its `-g` rejects only 1.
    pub(crate) fn has_forward_secrecy(&self) -> bool {
        ![U2048::ZERO, U2048::ONE, P.wrapping_sub(&U2048::ONE)].contains(&*self.0)
    }
}

/// A secret x of at most [`EXPONENT_BITS`] bits. Wiped on drop.
struct Exponent(Box<U320>);

impl Exponent {
    fn from_bytes(bytes: &[u8; EXPONENT_BYTES]) -> Self {
        let mut wide = Zeroizing::new([0; U320::BYTES]);
        wide[U320::BYTES - EXPONENT_BYTES..].copy_from_slice(bytes);
        Self(Box::new(U320::from_be_slice(&*wide)))
    }

    fn from_random_bits(bytes: &[u8; EXPONENT_BYTES]) -> Self {
        let mut x = Self::from_bytes(bytes);
        *x.0 |= U320::ONE.shl_vartime(EXPONENT_TOP_BIT);
        x
    }
}

impl Drop for Exponent {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// Writes `value`, big-endian, and wipes the temporaries.
fn encode(value: &Residue, out: &mut [u8; PUBLIC_BYTES]) {
    let mut integer = value.retrieve();
    let mut bytes = integer.to_be_bytes();
    out.copy_from_slice(bytes.as_ref());
    integer.zeroize();
    bytes.zeroize();
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn assert_same_power(y: U2048, x: &Exponent) {
        let (peer, key_pair) = (PeerPublic(Box::new(y)), KeyPair { x: Some(Exponent(x.0.clone())), y: Box::new(ONE) });
        assert_eq!(key_pair.shared_value(&peer).expose(), power_portably(&peer, x).expose());
    }

    #[test]
    fn both_exponentiations_agree_on_values_without_forward_secrecy() {
        let x = Exponent::from_random_bits(&[0x5a; EXPONENT_BYTES]);
        for y in [U2048::ZERO, U2048::ONE, P.wrapping_sub(&U2048::ONE), U2048::from_u8(2)] {
            assert_same_power(y, &x);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn both_exponentiations_agree(
            high: [u8; 32], low: [u8; 32], bits: [u8; EXPONENT_BYTES], random in any::<bool>(),
        ) {
            let mut y = [0x3c; PUBLIC_BYTES];
            y[..32].copy_from_slice(&high);
            y[PUBLIC_BYTES - 32..].copy_from_slice(&low);
            let y = U2048::from_be_slice(&y);
            prop_assume!(y < P);
            let x = if random { Exponent::from_random_bits(&bits) } else { Exponent::from_bytes(&bits) };
            assert_same_power(y, &x);
        }
    }
}
