//! The server's side, which makes its public value only for a client that has K.

use super::{ForwardSecrecy, mac_public, verify_public};
use crate::{
    Error, KeyPair, MACED_PUBLIC_BYTES, NONCE_BYTES, SessionKeys, SharedKey,
    dh::PeerPublic,
    kdf::{DhMacKeys, Nonces, derive_packet_keys},
    wipe::leaving_nothing,
};

/// `nonce_S` goes to the client at once; its nonce has not arrived yet.
#[derive(Debug)]
pub struct NonceSent {
    key: SharedKey,
    forward_secrecy: ForwardSecrecy,
    nonce_s: [u8; NONCE_BYTES],
}

impl NonceSent {
    /// Begins a connection. `nonce_s` must be fresh and random; see [`random_nonce`].
    ///
    /// [`random_nonce`]: crate::random_nonce
    #[must_use]
    pub fn new(key: SharedKey, forward_secrecy: ForwardSecrecy, nonce_s: [u8; NONCE_BYTES]) -> Self {
        Self { key, forward_secrecy, nonce_s }
    }

    /// `nonce_S`, to be sent.
    #[must_use]
    pub fn nonce(&self) -> &[u8; NONCE_BYTES] {
        &self.nonce_s
    }

    /// Takes `nonce_C` and derives the keys that MAC the public values.
    #[must_use]
    pub fn receive_nonce(self, nonce_c: &[u8; NONCE_BYTES]) -> AwaitingPublic {
        let nonces = Nonces::new(nonce_c, &self.nonce_s);
        let mac_keys = leaving_nothing(|| DhMacKeys::derive(&self.key, &nonces));
        AwaitingPublic { key: self.key, forward_secrecy: self.forward_secrecy, nonces, mac_keys }
    }
}

/// Both nonces are known; the client's public value has not arrived yet.
#[derive(Debug)]
pub struct AwaitingPublic {
    key: SharedKey,
    forward_secrecy: ForwardSecrecy,
    nonces: Nonces,
    mac_keys: DhMacKeys,
}

impl AwaitingPublic {
    /// Checks the client's `y_C ‖ h_C`.
    ///
    /// # Errors
    /// [`Error::WrongMac`], [`Error::DhOutOfRange`] or [`Error::ForwardSecrecyRequired`], checked in this
    /// order.
    pub fn verify(self, maced_public: &[u8; MACED_PUBLIC_BYTES]) -> Result<Verified, Error> {
        let peer = leaving_nothing(|| verify_public(&self.mac_keys.client, maced_public, self.forward_secrecy))?;
        Ok(Verified { awaiting: self, peer })
    }
}

/// The client has K, and its public value is good.
#[derive(Debug)]
pub struct Verified {
    awaiting: AwaitingPublic,
    peer: PeerPublic,
}

impl Verified {
    /// Takes this side's key pair and gives `y_S ‖ h_S`, to be sent.
    ///
    /// # Errors
    /// [`Error::KeyPair`] when the pair does not go with the handshake's forward secrecy.
    pub fn send_public(self, key_pair: KeyPair) -> Result<(PublicSent, [u8; MACED_PUBLIC_BYTES]), Error> {
        let Self { awaiting, peer } = self;
        awaiting.forward_secrecy.check_key_pair(&key_pair)?;
        let maced = leaving_nothing(|| mac_public(&awaiting.mac_keys.server, &key_pair));
        Ok((PublicSent { key: awaiting.key, nonces: awaiting.nonces, key_pair, peer }, maced))
    }
}

/// `y_S ‖ h_S` has been sent.
#[derive(Debug)]
pub struct PublicSent {
    key: SharedKey,
    nonces: Nonces,
    key_pair: KeyPair,
    peer: PeerPublic,
}

impl PublicSent {
    /// The packets' keys. Costs an exponentiation unless this side gave up forward secrecy.
    #[must_use]
    pub fn derive_keys(self) -> SessionKeys {
        let (forward, reverse) = leaving_nothing(|| {
            let y_sc = self.key_pair.shared_value(&self.peer);
            derive_packet_keys(&self.key, &self.nonces, y_sc.expose())
        });
        SessionKeys { seal: reverse, open: forward }
    }
}
