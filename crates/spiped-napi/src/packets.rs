//! Seals and opens packets synchronously, from buffer to buffer, one call per read.

use napi::bindgen_prelude::{BigInt, Uint8ArraySlice};
use napi_derive::napi;

use crate::{
    buffers::{exactly, separate},
    errors::{Code, Result, core_error, step_error},
};

/// Turns one direction's data into packets.
#[napi]
pub struct Sealer(Option<spiped_core::Sealer>);

#[napi]
impl Sealer {
    pub(crate) fn new(sealer: spiped_core::Sealer) -> Self {
        Self(Some(sealer))
    }

    /// A sealer with the given keys, 32 bytes each, and the number of its first packet. For known-answer tests.
    #[napi(factory)]
    pub fn from_keys(encryption_key: Uint8ArraySlice, mac_key: Uint8ArraySlice, packet_number: BigInt) -> Result<Self> {
        let keys = direction_keys(&encryption_key, &mac_key)?;
        Ok(Self::new(spiped_core::Sealer::starting_at(&keys, parse_packet_number(&packet_number)?)))
    }

    /// Seals at least 1 byte into whole packets. `out` needs room for `sealedLength(cleartext.length)` bytes and must
    /// not overlap `cleartext`. Returns the number of bytes written, a multiple of 1,060.
    #[napi]
    pub fn seal(&mut self, cleartext: Uint8ArraySlice, mut out: Uint8ArraySlice) -> Result<i64> {
        let sealer = self.0.as_mut().ok_or_else(step_error)?;
        let (cleartext, out) = separate(&cleartext, &mut out)?;
        sealer.seal(cleartext, out).map(|written| written as i64).map_err(core_error)
    }

    /// Wipes the keys.
    #[napi]
    pub fn destroy(&mut self) {
        self.0 = None;
    }
}

/// Turns one direction's packets back into data.
#[napi]
pub struct Opener(Option<spiped_core::Opener>);

#[napi]
impl Opener {
    pub(crate) fn new(opener: spiped_core::Opener) -> Self {
        Self(Some(opener))
    }

    /// An opener with the given keys, 32 bytes each, and the number of its first packet. For known-answer tests.
    #[napi(factory)]
    pub fn from_keys(encryption_key: Uint8ArraySlice, mac_key: Uint8ArraySlice, packet_number: BigInt) -> Result<Self> {
        let keys = direction_keys(&encryption_key, &mac_key)?;
        Ok(Self::new(spiped_core::Opener::starting_at(&keys, parse_packet_number(&packet_number)?)))
    }

    /// Opens the packets that `ciphertext` completes and buffers the start of the next one. `out` needs room for
    /// `maxOpenedLength(ciphertext.length)` bytes and must not overlap `ciphertext`. Returns the number of bytes
    /// written. Throws `SPIPED_PACKET_MAC`, `SPIPED_PACKET_LENGTH` or `SPIPED_PACKET_NUMBERS_USED_UP`, from then on
    /// always.
    #[napi]
    pub fn open(&mut self, ciphertext: Uint8ArraySlice, mut out: Uint8ArraySlice) -> Result<i64> {
        let opener = self.0.as_mut().ok_or_else(step_error)?;
        let (ciphertext, out) = separate(&ciphertext, &mut out)?;
        opener.open(ciphertext, out).map(|written| written as i64).map_err(core_error)
    }

    /// How many bytes of an incomplete packet are buffered, 0 to 1,059.
    #[napi(getter)]
    pub fn pending_bytes(&self) -> Result<i64> {
        let opener = self.0.as_ref().ok_or_else(step_error)?;
        Ok(opener.pending_bytes() as i64)
    }

    /// Wipes the keys.
    #[napi]
    pub fn destroy(&mut self) {
        self.0 = None;
    }
}

/// The size of `cleartextLength` bytes of data once sealed, in bytes: a multiple of 1,060.
#[napi]
pub(crate) fn sealed_length(cleartext_length: u32) -> i64 {
    spiped_core::sealed_length(cleartext_length as usize) as i64
}

/// The most data, in bytes, that opening `ciphertextLength` bytes can give.
#[napi]
pub(crate) fn max_opened_length(ciphertext_length: u32) -> i64 {
    spiped_core::max_opened_length(ciphertext_length as usize) as i64
}

fn parse_packet_number(number: &BigInt) -> Result<u64> {
    match number.get_u64() {
        (false, number, true) => Ok(number),
        _ => Err(napi::Error::new(Code::Buffer, "a packet number is 0 to 2^64 - 1")),
    }
}

/// The keys of one direction from bytes, for known-answer tests.
fn direction_keys(encryption: &[u8], mac: &[u8]) -> Result<spiped_core::DirectionKeys> {
    Ok(spiped_core::DirectionKeys::from_bytes(exactly("an encryption key", encryption)?, exactly("a MAC key", mac)?))
}
