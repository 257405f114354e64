//! Random bytes from the system, this crate's only source of randomness.

use ring::rand::{SecureRandom, SystemRandom};

use crate::{Error, NONCE_BYTES};

/// A random `nonce_C` or `nonce_S`, 32 bytes.
///
/// # Errors
/// [`Error::Random`] if the system returns no random bytes.
pub fn random_nonce() -> Result<[u8; NONCE_BYTES], Error> {
    let mut nonce = [0; NONCE_BYTES];
    fill_random(&mut nonce)?;
    Ok(nonce)
}

/// Fills `out` with random bytes, or fails with [`Error::Random`].
pub(crate) fn fill_random(out: &mut [u8]) -> Result<(), Error> {
    SystemRandom::new().fill(out).map_err(|_| Error::Random)
}
