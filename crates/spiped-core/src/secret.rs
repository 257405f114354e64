//! Secrets at rest: the shared key K and the bytes that every derived key is kept in.
//!
//! Secret bytes, and what is computed from a key and kept (MAC states, round keys, a hasher's state and
//! buffer), live on the heap, so that a move copies a pointer and leaves nothing behind, and are wiped when
//! they are dropped. What an operation leaves on the stack and in vector registers, its own copies and those
//! of libraries, is wiped behind it; see [`crate::wipe`]. ring cannot wipe its keys and hashers, so it gets
//! no secret. Out of our reach are the general registers, and what the system does with memory.

use std::{fmt, sync::Arc};

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::Zeroize;

use crate::{KEY_BYTES, KEY_ID_BYTES, wipe::wiping_stack};

/// `N` secret bytes. Wiped on drop; `Debug` prints none of them.
pub(crate) struct SecretBytes<const N: usize>(Box<[u8; N]>);

impl<const N: usize> SecretBytes<N> {
    /// Zeros, to be written over where they will stay.
    pub(crate) fn zeroed() -> Self {
        Self(Box::new([0; N]))
    }

    pub(crate) fn copy_of(bytes: &[u8; N]) -> Self {
        let mut secret = Self::zeroed();
        secret.0.copy_from_slice(bytes);
        secret
    }

    pub(crate) fn expose(&self) -> &[u8; N] {
        &self.0
    }

    pub(crate) fn expose_mut(&mut self) -> &mut [u8; N] {
        &mut self.0
    }
}

impl<const N: usize> Drop for SecretBytes<N> {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl<const N: usize> fmt::Debug for SecretBytes<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{N} secret bytes>")
    }
}

/// Makes K from a key file that arrives in pieces. Holds the file's last bytes; wiped on drop.
pub struct KeyHasher(Box<Sha256>);

impl KeyHasher {
    /// A hasher that has seen nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self(Box::default())
    }

    /// Takes the key file's next piece, of any length.
    pub fn update(&mut self, piece: &[u8]) {
        wiping_stack(|| self.0.update(piece));
    }

    /// K, the SHA-256 of all pieces.
    #[must_use]
    pub fn finish(mut self) -> SharedKey {
        let mut key = SecretBytes::zeroed();
        // In place, since the hasher would be moved to the stack otherwise.
        wiping_stack(|| self.0.finalize_into_reset(key.expose_mut().into()));
        SharedKey(Arc::new(key))
    }
}

impl Default for KeyHasher {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for KeyHasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyHasher").finish_non_exhaustive()
    }
}

/// K, the secret that both ends share. A clone is the same key, not a copy of its bytes; they are wiped
/// with the last clone.
#[derive(Clone, Debug)]
pub struct SharedKey(Arc<SecretBytes<KEY_BYTES>>);

impl SharedKey {
    pub(crate) fn expose(&self) -> &[u8; KEY_BYTES] {
        self.0.expose()
    }

    /// Whether both are made of the same key file; in constant time.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        wiping_stack(|| self.expose().ct_eq(other.expose()).into())
    }

    /// What tells keys apart and may be shown: the first 64 bits of HMAC-SHA256(K, "spiped key id").
    /// The SHA-256 of the key file may not: it is K. Source: docs/protocol.md, "Keys".
    #[must_use]
    pub fn id(&self) -> [u8; KEY_ID_BYTES] {
        let mut id = [0; KEY_ID_BYTES];
        wiping_stack(|| {
            let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(self.expose()) else { unreachable!("HMAC takes any key") };
            mac.update(b"spiped key id");
            id.copy_from_slice(&mac.finalize().into_bytes()[..KEY_ID_BYTES]);
        });
        id
    }
}
