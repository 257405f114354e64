//! The client's side, which sends its public value first.

use super::{ForwardSecrecy, check_public, has_mac, mac_public, public_of};
use crate::{
    Error, KeyPair, MACED_PUBLIC_BYTES, NONCE_BYTES, SessionKeys, SharedKey,
    dh::PeerPublic,
    kdf::{DhMacKeys, Nonces, derive_packet_keys},
    wipe::wiping_stack,
};

/// `nonce_C` goes to the server at once; its nonce has not arrived yet.
#[derive(Debug)]
pub struct NonceSent {
    key: SharedKey,
    forward_secrecy: ForwardSecrecy,
    nonce_c: [u8; NONCE_BYTES],
}

impl NonceSent {
    /// Begins a connection. `nonce_c` must be fresh and random; see [`random_nonce`].
    ///
    /// [`random_nonce`]: crate::random_nonce
    #[must_use]
    pub fn new(key: SharedKey, forward_secrecy: ForwardSecrecy, nonce_c: [u8; NONCE_BYTES]) -> Self {
        Self { key, forward_secrecy, nonce_c }
    }

    /// `nonce_C`, to be sent.
    #[must_use]
    pub fn nonce(&self) -> &[u8; NONCE_BYTES] {
        &self.nonce_c
    }

    /// Takes `nonce_S` and derives the keys that MAC the public values.
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
    /// Takes this side's key pair and gives `y_C ‖ h_C`, to be sent.
    ///
    /// # Errors
    /// [`Error::KeyPair`] when the pair does not go with the handshake's forward secrecy.
    pub fn maced_public(self, key_pair: KeyPair) -> Result<(PublicSent, [u8; MACED_PUBLIC_BYTES]), Error> {
        self.forward_secrecy.check_key_pair(&key_pair)?;
        let maced = wiping_stack(|| mac_public(&self.mac_keys.client, &key_pair));
        Ok((PublicSent { keyed: self, key_pair }, maced))
    }

    /// Whether the peer, which has sent what a server would have, is a client with the same key: one that took this
    /// side's nonce for the server's.
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
    /// Checks the server's `y_S ‖ h_S`.
    ///
    /// # Errors
    /// [`Error::WrongMac`], [`Error::DhOutOfRange`] or [`Error::ForwardSecrecyRequired`], checked in this
    /// order; [`Error::SameRole`] for a wrong MAC that would be right if this side were the server.
    pub fn verify(self, maced_public: &[u8; MACED_PUBLIC_BYTES]) -> Result<Verified, Error> {
        let Self { keyed, key_pair } = self;
        if !wiping_stack(|| has_mac(&keyed.mac_keys.server, maced_public)) {
            return Err(if keyed.is_from_client(maced_public) { Error::SameRole } else { Error::WrongMac });
        }
        let peer = check_public(public_of(maced_public), keyed.forward_secrecy)?;
        Ok(Verified { key: keyed.key, nonces: keyed.nonces, key_pair, peer })
    }
}

/// The server has K, and its public value is good.
#[derive(Debug)]
pub struct Verified {
    key: SharedKey,
    nonces: Nonces,
    key_pair: KeyPair,
    peer: PeerPublic,
}

impl Verified {
    /// The packets' keys. Costs an exponentiation unless this side gave up forward secrecy.
    #[must_use]
    pub fn derive_keys(self) -> SessionKeys {
        let (forward, reverse) = wiping_stack(|| {
            let y_sc = self.key_pair.shared_value(&self.peer);
            derive_packet_keys(&self.key, &self.nonces, y_sc.expose())
        });
        SessionKeys { seal: forward, open: reverse }
    }
}
