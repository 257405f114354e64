//! The handshake, from the nonces to the packet keys. Source: docs/protocol.md, "The handshake".
//!
//! Each phase is a type and each step consumes its phase, so that no step can be skipped, repeated or reordered. A step
//! that fails ends the handshake.
//!
//! ```text
//! client::NonceSent ─receive_nonce→ Keyed ─maced_public→ PublicSent ─verify→ Verified ─derive_keys→ keys
//! server::NonceSent ─receive_nonce→ AwaitingPublic ─identify→ Identified ─verify→ Verified ─maced_public→ PublicSent
//!                   ─derive_keys→ keys
//! ```
//!
//! ```compile_fail,E0382
//! # use spiped_core::{KeyHasher, handshake::{ForwardSecrecy, client}};
//! let client = client::NonceSent::new(KeyHasher::new().finish(), ForwardSecrecy::Allow, [1; 32]);
//! client.receive_nonce(&[2; 32]);
//! client.receive_nonce(&[3; 32]); // error: the first call consumed `client`
//! ```

pub mod client;
pub mod server;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::{Error, KEY_BYTES, KeyPair, MACED_PUBLIC_BYTES, PUBLIC_BYTES, dh::PeerPublic, secret::SecretBytes};

/// One side's forward secrecy setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ForwardSecrecy {
    /// Turns it off: x = 0, y = 1, and `y_SC` = 1 whatever the peer sends.
    Off,
    /// Offers it, and continues without it if the peer has turned it off.
    Allow,
    /// Offers it, and fails if the peer has turned it off.
    Require,
}

impl ForwardSecrecy {
    /// Rejects a key pair without forward secrecy unless it is off, and one with it if it is off.
    fn check_key_pair(self, key_pair: &KeyPair) -> Result<(), Error> {
        let fits = key_pair.has_forward_secrecy() == (self != Self::Off);
        if fits { Ok(()) } else { Err(Error::KeyPair) }
    }
}

/// `y ‖ h` with `h = HMAC(key, y)`.
fn mac_public(key: &SecretBytes<KEY_BYTES>, key_pair: &KeyPair) -> [u8; MACED_PUBLIC_BYTES] {
    let mut maced = [0; MACED_PUBLIC_BYTES];
    let (y, h) = maced.split_at_mut(PUBLIC_BYTES);
    y.copy_from_slice(key_pair.public());
    h.copy_from_slice(&public_mac(key, y).finalize().into_bytes());
    maced
}

/// y, of `y ‖ h`.
fn public_of(maced: &[u8; MACED_PUBLIC_BYTES]) -> &[u8; PUBLIC_BYTES] {
    let Some((y, _)) = maced.split_first_chunk() else { unreachable!("288 bytes begin with 256") };
    y
}

/// Whether the h of the peer's `y ‖ h` is correct, compared in constant time.
fn has_mac(key: &SecretBytes<KEY_BYTES>, maced: &[u8; MACED_PUBLIC_BYTES]) -> bool {
    let (y, h) = maced.split_at(PUBLIC_BYTES);
    public_mac(key, y).verify_slice(h).is_ok()
}

/// Checks a y whose MAC is correct: first that y < p, then that it gives forward secrecy if that is required.
fn check_public(y: &[u8; PUBLIC_BYTES], forward_secrecy: ForwardSecrecy) -> Result<PeerPublic, Error> {
    let peer = PeerPublic::parse(y)?;
    if forward_secrecy == ForwardSecrecy::Require && !peer.has_forward_secrecy() {
        return Err(Error::ForwardSecrecyRequired);
    }
    Ok(peer)
}

/// `HMAC(key, y)`. Computes HMAC's states anew for each call, so that none are stored.
fn public_mac(key: &SecretBytes<KEY_BYTES>, y: &[u8]) -> Hmac<Sha256> {
    let Ok(mac) = Hmac::<Sha256>::new_from_slice(key.expose()) else { unreachable!("HMAC takes any key") };
    mac.chain_update(y)
}
