//! Secrets at rest: the shared key K and the bytes that every derived key is kept in.
//!
//! Secret bytes live on the heap, so that a move copies a pointer and leaves nothing behind, and are
//! wiped when they are dropped. The copies that ring and crypto-bigint make for themselves, in registers,
//! on the stack and in ring's key types, are out of our reach.

use std::{fmt, sync::Arc};

use ring::digest;
use zeroize::Zeroize;

use crate::KEY_BYTES;

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

/// Makes K from a key file that arrives in pieces.
pub struct KeyHasher(digest::Context);

impl KeyHasher {
    /// A hasher that has seen nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self(digest::Context::new(&digest::SHA256))
    }

    /// Takes the key file's next piece, of any length.
    pub fn update(&mut self, piece: &[u8]) {
        self.0.update(piece);
    }

    /// K, the SHA-256 of all pieces.
    #[must_use]
    pub fn finish(self) -> SharedKey {
        let mut key = SecretBytes::zeroed();
        key.expose_mut().copy_from_slice(self.0.finish().as_ref());
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
}
