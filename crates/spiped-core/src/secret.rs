//! Storage for secrets: the shared key K and the bytes of every derived key.
//!
//! Secret bytes, and what is computed from keys and stored (MAC states, round keys, the state and buffer of a hasher),
//! are on the heap, so that a move copies only a pointer, and are wiped on drop. Copies that an operation or a library
//! leaves on the stack or in vector registers are wiped after the operation; see [`crate::wipe`]. ring cannot wipe its
//! keys and hashers, so it never gets a secret. General-purpose registers, and copies of memory made by the
//! system, are not covered.

use std::{fmt, sync::Arc};

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::Zeroize;

use crate::{KEY_BYTES, KEY_ID_BYTES, wipe::wiping_stack};

/// `N` secret bytes. Wiped on drop; `Debug` prints none of them.
pub(crate) struct SecretBytes<const N: usize>(Box<[u8; N]>);

impl<const N: usize> SecretBytes<N> {
    /// Zeros, for the caller to overwrite in place.
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

/// Computes K from the contents of a key file, piece by piece. Buffers the last bytes of the file; wiped on drop.
pub struct KeyHasher(Box<Sha256>);

impl KeyHasher {
    /// A hasher of no bytes yet.
    #[must_use]
    pub fn new() -> Self {
        Self(Box::default())
    }

    /// Adds the next piece of the key file, of any length.
    pub fn update(&mut self, piece: &[u8]) {
        wiping_stack(|| self.0.update(piece));
    }

    /// K, the SHA-256 of all pieces. Source: docs/protocol.md, "Keys".
    #[must_use]
    pub fn finish(mut self) -> SharedKey {
        let mut key = SecretBytes::zeroed();
        // Finalizes in place; `finalize` would move the hasher to the stack.
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

/// K, the 32-byte secret that both ends share. Clones share the same bytes, which are wiped when the last clone is
/// dropped.
#[derive(Clone, Debug)]
pub struct SharedKey(Arc<SecretBytes<KEY_BYTES>>);

impl SharedKey {
    pub(crate) fn expose(&self) -> &[u8; KEY_BYTES] {
        self.0.expose()
    }

    /// Whether both come from the same key file. Compares in constant time.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        wiping_stack(|| self.expose().ct_eq(other.expose()).into())
    }

    /// A public id, 8 bytes, to tell keys apart: the first 64 bits of HMAC-SHA256(K, "spiped key id"). Never show the
    /// SHA-256 of the key file instead: it is K. Source: docs/protocol.md, "Keys".
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

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::{fs::File, hint::black_box, os::unix::fs::FileExt};

    use super::SecretBytes;

    #[test]
    fn a_secret_is_wiped_when_it_is_dropped() {
        let memory = File::open("/proc/self/mem").expect("the memory of this process");
        // The allocator uses the first 16 bytes of free memory itself.
        let rest_at = |address: usize| {
            let mut bytes = [1; 16];
            memory.read_exact_at(&mut bytes, address as u64 + 16).expect("is mapped");
            bytes
        };
        let secret = black_box(SecretBytes::copy_of(&[7; 32]));
        let address = secret.expose().as_ptr().expose_provenance();
        assert_eq!(rest_at(address), [7; 16]);
        drop(secret);
        assert_eq!(rest_at(address), [0; 16]);
    }
}
