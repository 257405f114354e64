//! Random bytes from the system. The only place where this crate asks for any.

use ring::rand::{SecureRandom, SystemRandom};

use crate::{Error, NONCE_BYTES};

/// A fresh `nonce_C` or `nonce_S`.
///
/// # Errors
/// [`Error::Random`] when the system gives none.
pub fn random_nonce() -> Result<[u8; NONCE_BYTES], Error> {
    let mut nonce = [0; NONCE_BYTES];
    fill_random(&mut nonce)?;
    Ok(nonce)
}

/// Fills `out` with random bytes.
pub(crate) fn fill_random(out: &mut [u8]) -> Result<(), Error> {
    SystemRandom::new().fill(out).map_err(|_| Error::Random)
}
