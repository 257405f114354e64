//! The server's side, which computes its public value only for a client that has one of its keys.

use super::{ForwardSecrecy, check_public, has_mac, mac_public, public_of};
use crate::{
    Error, KeyPair, KeySet, MACED_PUBLIC_BYTES, NONCE_BYTES, PUBLIC_BYTES, SessionKeys, SharedKey,
    dh::PeerPublic,
    kdf::{DhMacKeys, Nonces, derive_packet_keys},
    wipe::wiping_stack,
};

/// First phase: `nonce_S` can be sent, `nonce_C` has not arrived.
#[derive(Debug)]
pub struct NonceSent {
    keys: KeySet,
    forward_secrecy: ForwardSecrecy,
    nonce_s: [u8; NONCE_BYTES],
}

impl NonceSent {
    /// Starts a handshake. `nonce_s` must be fresh and random; see [`random_nonce`].
    ///
    /// [`random_nonce`]: crate::random_nonce
    #[must_use]
    pub fn new(keys: impl Into<KeySet>, forward_secrecy: ForwardSecrecy, nonce_s: [u8; NONCE_BYTES]) -> Self {
        Self { keys: keys.into(), forward_secrecy, nonce_s }
    }

    /// `nonce_S`, 32 bytes, to send.
    #[must_use]
    pub fn nonce(&self) -> &[u8; NONCE_BYTES] {
        &self.nonce_s
    }

    /// Takes `nonce_C`, 32 bytes. Derives nothing yet, so that a client that sends no more costs no CPU time.
    #[must_use]
    pub fn receive_nonce(self, nonce_c: &[u8; NONCE_BYTES]) -> AwaitingPublic {
        let nonces = Nonces::new(nonce_c, &self.nonce_s);
        AwaitingPublic { keys: self.keys, forward_secrecy: self.forward_secrecy, nonces }
    }
}

/// Both nonces are known; the client's public value has not arrived.
#[derive(Debug)]
pub struct AwaitingPublic {
    keys: KeySet,
    forward_secrecy: ForwardSecrecy,
    nonces: Nonces,
}

impl AwaitingPublic {
    /// Finds the key under which the `h_C` of the client's `y_C ‖ h_C`, 288 bytes, is correct. Tries the most recently
    /// found keys first. Costs one PBKDF2 and one HMAC for each key tried; each MAC is compared in constant time.
    ///
    /// # Errors
    /// [`Error::WrongMac`] if no key matches.
    pub fn identify(self, maced_public: &[u8; MACED_PUBLIC_BYTES]) -> Result<Identified, Error> {
        let Self { keys, forward_secrecy, nonces } = self;
        let (key_index, key, mac_keys) = wiping_stack(|| {
            keys.find(|key| {
                let mac_keys = DhMacKeys::derive(key, &nonces);
                has_mac(&mac_keys.client, maced_public).then_some(mac_keys)
            })
        })
        .ok_or(Error::WrongMac)?;
        let known = Known { key, key_index, forward_secrecy, nonces, mac_keys };
        Ok(Identified { known, y: *public_of(maced_public) })
    }

    /// [`Self::identify`] and [`Identified::verify`] in one call.
    ///
    /// # Errors
    /// [`Error::WrongMac`], [`Error::DhOutOfRange`] or [`Error::ForwardSecrecyRequired`], checked in this
    /// order.
    pub fn verify(self, maced_public: &[u8; MACED_PUBLIC_BYTES]) -> Result<Verified, Error> {
        self.identify(maced_public)?.verify()
    }
}

/// The handshake of a client whose key was found.
#[derive(Debug)]
struct Known {
    key: SharedKey,
    key_index: usize,
    forward_secrecy: ForwardSecrecy,
    nonces: Nonces,
    mac_keys: DhMacKeys,
}

/// The client has one of the keys; its public value has not been checked.
#[derive(Debug)]
pub struct Identified {
    known: Known,
    y: [u8; PUBLIC_BYTES],
}

impl Identified {
    /// The index of the client's key in the set.
    #[must_use]
    pub fn key_index(&self) -> usize {
        self.known.key_index
    }

    /// Checks the client's `y_C`.
    ///
    /// # Errors
    /// [`Error::DhOutOfRange`] or [`Error::ForwardSecrecyRequired`], checked in this order.
    pub fn verify(self) -> Result<Verified, Error> {
        let peer = check_public(&self.y, self.known.forward_secrecy)?;
        Ok(Verified { known: self.known, peer })
    }
}

/// The client has one of the keys, and its public value is valid.
#[derive(Debug)]
pub struct Verified {
    known: Known,
    peer: PeerPublic,
}

impl Verified {
    /// The index of the client's key in the set.
    #[must_use]
    pub fn key_index(&self) -> usize {
        self.known.key_index
    }

    /// Takes this side's key pair and returns `y_S ‖ h_S`, 288 bytes, to send.
    ///
    /// # Errors
    /// [`Error::KeyPair`] if the pair does not match the handshake's forward secrecy.
    pub fn maced_public(self, key_pair: KeyPair) -> Result<(PublicSent, [u8; MACED_PUBLIC_BYTES]), Error> {
        let Self { known, peer } = self;
        known.forward_secrecy.check_key_pair(&key_pair)?;
        let maced = wiping_stack(|| mac_public(&known.mac_keys.server, &key_pair));
        Ok((PublicSent { key: known.key, nonces: known.nonces, key_pair, peer }, maced))
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
    /// Derives the packet keys. Costs one exponentiation, unless this side has turned forward secrecy off.
    #[must_use]
    pub fn derive_keys(self) -> SessionKeys {
        let (forward, reverse) = wiping_stack(|| {
            let y_sc = self.key_pair.shared_value(&self.peer);
            derive_packet_keys(&self.key, &self.nonces, y_sc.expose())
        });
        SessionKeys { seal: reverse, open: forward }
    }
}
