//! The client's side, which sends its public value first.

use super::{ForwardSecrecy, check_public, has_mac, mac_public, public_of};
use crate::{
    Error, KeyPair, MACED_PUBLIC_BYTES, NONCE_BYTES, SessionKeys, SharedKey,
    dh::PeerPublic,
    kdf::{DhMacKeys, Nonces, derive_packet_keys},
    wipe::wiping_stack,
};

/// First phase: `nonce_C` can be sent, `nonce_S` has not arrived.
#[derive(Debug)]
pub struct NonceSent {
    key: SharedKey,
    forward_secrecy: ForwardSecrecy,
    nonce_c: [u8; NONCE_BYTES],
}

impl NonceSent {
    /// Starts a handshake. `nonce_c` must be fresh and random; see [`random_nonce`].
    ///
    /// [`random_nonce`]: crate::random_nonce
    #[must_use]
    pub fn new(key: SharedKey, forward_secrecy: ForwardSecrecy, nonce_c: [u8; NONCE_BYTES]) -> Self {
        Self { key, forward_secrecy, nonce_c }
    }

    /// `nonce_C`, 32 bytes, to send.
    #[must_use]
    pub fn nonce(&self) -> &[u8; NONCE_BYTES] {
        &self.nonce_c
    }

    /// Takes `nonce_S`, 32 bytes, and derives the MAC keys of the public values.
    #[must_use]
    pub fn receive_nonce(self, nonce_s: &[u8; NONCE_BYTES]) -> Keyed {
        let nonces = Nonces::new(&self.nonce_c, nonce_s);
        let mac_keys = wiping_stack(|| DhMacKeys::derive(&self.key, &nonces));
        Keyed { key: self.key, forward_secrecy: self.forward_secrecy, nonces, mac_keys }
    }
}

/// Both nonces are known.
#[derive(Debug)]
pub struct Keyed {
    key: SharedKey,
    forward_secrecy: ForwardSecrecy,
    nonces: Nonces,
    mac_keys: DhMacKeys,
}

impl Keyed {
    /// Takes this side's key pair and returns `y_C ‖ h_C`, 288 bytes, to send.
    ///
    /// # Errors
    /// [`Error::KeyPair`] if the pair does not match the handshake's forward secrecy.
    pub fn maced_public(self, key_pair: KeyPair) -> Result<(PublicSent, [u8; MACED_PUBLIC_BYTES]), Error> {
        self.forward_secrecy.check_key_pair(&key_pair)?;
        let maced = wiping_stack(|| mac_public(&self.mac_keys.client, &key_pair));
        Ok((PublicSent { keyed: self, key_pair }, maced))
    }

    /// Whether `maced_public` is from a client with the same key, which took this side's nonce for `nonce_S`.
    fn is_from_client(&self, maced_public: &[u8; MACED_PUBLIC_BYTES]) -> bool {
        wiping_stack(|| {
            let mac_keys = DhMacKeys::derive(&self.key, &self.nonces.swapped());
            has_mac(&mac_keys.client, maced_public)
        })
    }
}

/// `y_C ‖ h_C` has been sent.
#[derive(Debug)]
pub struct PublicSent {
    keyed: Keyed,
    key_pair: KeyPair,
}

impl PublicSent {
    /// Checks the server's `y_S ‖ h_S`, 288 bytes.
    ///
    /// # Errors
    /// [`Error::WrongMac`], [`Error::DhOutOfRange`] or [`Error::ForwardSecrecyRequired`], checked in this order;
    /// [`Error::SameRole`] instead of the first if the MAC is that of a client with the same key.
    pub fn verify(self, maced_public: &[u8; MACED_PUBLIC_BYTES]) -> Result<Verified, Error> {
        let Self { keyed, key_pair } = self;
        if !wiping_stack(|| has_mac(&keyed.mac_keys.server, maced_public)) {
            return Err(if keyed.is_from_client(maced_public) { Error::SameRole } else { Error::WrongMac });
        }
        let peer = check_public(public_of(maced_public), keyed.forward_secrecy)?;
        Ok(Verified { key: keyed.key, nonces: keyed.nonces, key_pair, peer })
    }
}

/// The server has K, and its public value is valid.
#[derive(Debug)]
pub struct Verified {
    key: SharedKey,
    nonces: Nonces,
    key_pair: KeyPair,
    peer: PeerPublic,
}

impl Verified {
    /// Derives the packet keys. Costs one exponentiation, unless this side has turned forward secrecy off.
    #[must_use]
    pub fn derive_keys(self) -> SessionKeys {
        let (forward, reverse) = wiping_stack(|| {
            let y_sc = self.key_pair.shared_value(&self.peer);
            derive_packet_keys(&self.key, &self.nonces, y_sc.expose())
        });
        SessionKeys { seal: forward, open: reverse }
    }
}
