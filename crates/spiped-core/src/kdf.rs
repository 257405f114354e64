//! Key derivation: the handshake's MAC keys (`dk_1`) from K and both nonces, and the four packet keys (`dk_2`) from
//! these and `y_SC`. Source: docs/protocol.md, "Keys".

use hmac::Hmac;
use sha2::Sha256;

use crate::{KEY_BYTES, NONCE_BYTES, PUBLIC_BYTES, SharedKey, secret::SecretBytes};

/// `nonce_C ‖ nonce_S`, the salt of both derivations.
#[derive(Debug)]
pub(crate) struct Nonces([u8; 2 * NONCE_BYTES]);

impl Nonces {
    pub(crate) fn new(nonce_c: &[u8; NONCE_BYTES], nonce_s: &[u8; NONCE_BYTES]) -> Self {
        let mut both = [0; 2 * NONCE_BYTES];
        both[..NONCE_BYTES].copy_from_slice(nonce_c);
        both[NONCE_BYTES..].copy_from_slice(nonce_s);
        Self(both)
    }

    /// `nonce_S ‖ nonce_C`.
    pub(crate) fn swapped(&self) -> Self {
        let mut swapped = self.0;
        swapped.rotate_left(NONCE_BYTES);
        Self(swapped)
    }
}

/// `dhmac_C` and `dhmac_S`, the MAC keys of the public values.
#[derive(Debug)]
pub(crate) struct DhMacKeys {
    pub(crate) client: SecretBytes<KEY_BYTES>,
    pub(crate) server: SecretBytes<KEY_BYTES>,
}

impl DhMacKeys {
    /// Derives `dk_1`, 64 bytes, and splits it into both keys.
    pub(crate) fn derive(key: &SharedKey, nonces: &Nonces) -> Self {
        let mut dk_1 = SecretBytes::<{ 2 * KEY_BYTES }>::zeroed();
        pbkdf2_once(key, &nonces.0, dk_1.expose_mut());
        let (halves, _) = dk_1.expose().as_chunks();
        let [client, server] = [0, 1].map(|half| SecretBytes::copy_of(&halves[half]));
        Self { client, server }
    }
}

/// The keys of one direction: E encrypts its packets, H MACs them. Wiped on drop.
#[derive(Debug)]
pub struct DirectionKeys {
    pub(crate) encryption: SecretBytes<KEY_BYTES>,
    pub(crate) mac: SecretBytes<KEY_BYTES>,
}

impl DirectionKeys {
    /// Wraps given keys, for known-answer tests.
    #[must_use]
    pub fn from_bytes(encryption: &[u8; KEY_BYTES], mac: &[u8; KEY_BYTES]) -> Self {
        Self { encryption: SecretBytes::copy_of(encryption), mac: SecretBytes::copy_of(mac) }
    }
}

/// The result of a handshake: the keys of both directions, from one side's view. Wiped on drop.
#[derive(Debug)]
pub struct SessionKeys {
    /// For the packets this side sends.
    pub seal: DirectionKeys,
    /// For the packets this side receives.
    pub open: DirectionKeys,
}

/// Derives `dk_2`, 128 bytes, and returns its keys as (client → server, server → client).
pub(crate) fn derive_packet_keys(
    key: &SharedKey,
    nonces: &Nonces,
    y_sc: &[u8; PUBLIC_BYTES],
) -> (DirectionKeys, DirectionKeys) {
    let mut salt = SecretBytes::<{ 2 * NONCE_BYTES + PUBLIC_BYTES }>::zeroed();
    salt.expose_mut()[..2 * NONCE_BYTES].copy_from_slice(&nonces.0);
    salt.expose_mut()[2 * NONCE_BYTES..].copy_from_slice(y_sc);

    let mut dk_2 = SecretBytes::<{ 4 * KEY_BYTES }>::zeroed();
    pbkdf2_once(key, salt.expose(), dk_2.expose_mut());
    let (quarters, _) = dk_2.expose().as_chunks::<KEY_BYTES>();
    let [e_c, h_c, e_s, h_s] = [0, 1, 2, 3].map(|quarter| &quarters[quarter]);
    (DirectionKeys::from_bytes(e_c, h_c), DirectionKeys::from_bytes(e_s, h_s))
}

/// PBKDF2-HMAC-SHA256 with K as the password and 1 iteration, since K already has full entropy. Leaves secrets on the
/// stack; callers run it inside [`wiping_stack`](crate::wipe::wiping_stack).
fn pbkdf2_once(key: &SharedKey, salt: &[u8], out: &mut [u8]) {
    let Ok(()) = pbkdf2::pbkdf2::<Hmac<Sha256>>(key.expose(), salt, 1, out) else { unreachable!("HMAC takes any key") };
}
