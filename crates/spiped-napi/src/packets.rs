//! Packets: one call for what one read gave, synchronous, from buffer to buffer.

use napi::bindgen_prelude::{BigInt, Uint8ArraySlice};
use napi_derive::napi;

use crate::{
    buffers::separate,
    errors::{Code, Result, core_error, step_error},
    keys::direction_keys,
};

/// Makes packets of one direction's data.
#[napi]
pub struct Sealer(Option<spiped_core::Sealer>);

#[napi]
impl Sealer {
    pub(crate) fn new(sealer: spiped_core::Sealer) -> Self {
        Self(Some(sealer))
    }

    /// A sealer of given keys, 32 bytes each, and first packet number: for known-answer tests.
    #[napi(factory)]
    pub fn from_keys(encryption_key: Uint8ArraySlice, mac_key: Uint8ArraySlice, packet_number: BigInt) -> Result<Self> {
        let keys = direction_keys(&encryption_key, &mac_key)?;
        Ok(Self::new(spiped_core::Sealer::starting_at(&keys, parse_packet_number(&packet_number)?)))
    }

    /// Seals at least 1 byte into whole packets. `out` needs `sealedLength(plaintext.length)` bytes and must
    /// not overlap `plaintext`. Returns the bytes written, a multiple of 1,060.
    #[napi]
    pub fn seal(&mut self, plaintext: Uint8ArraySlice, mut out: Uint8ArraySlice) -> Result<i64> {
        let sealer = self.0.as_mut().ok_or_else(step_error)?;
        let (plaintext, out) = separate(&plaintext, &mut out)?;
        sealer.seal(plaintext, out).map(|written| written as i64).map_err(core_error)
    }

    /// Wipes the keys.
    #[napi]
    pub fn destroy(&mut self) {
        self.0 = None;
    }
}

/// Gets one direction's data back out of its packets.
#[napi]
pub struct Opener(Option<spiped_core::Opener>);

#[napi]
impl Opener {
    pub(crate) fn new(opener: spiped_core::Opener) -> Self {
        Self(Some(opener))
    }

    /// An opener of given keys, 32 bytes each, and first packet number: for known-answer tests.
    #[napi(factory)]
    pub fn from_keys(encryption_key: Uint8ArraySlice, mac_key: Uint8ArraySlice, packet_number: BigInt) -> Result<Self> {
        let keys = direction_keys(&encryption_key, &mac_key)?;
        Ok(Self::new(spiped_core::Opener::starting_at(&keys, parse_packet_number(&packet_number)?)))
    }

    /// Opens the packets that `ciphertext` completes and keeps the beginning of the next.
    /// `maxOpenedLength(ciphertext.length)` bytes are always enough for `out`, which must not overlap
    /// `ciphertext`. Returns the bytes written.
    #[napi]
    pub fn open(&mut self, ciphertext: Uint8ArraySlice, mut out: Uint8ArraySlice) -> Result<i64> {
        let opener = self.0.as_mut().ok_or_else(step_error)?;
        let (ciphertext, out) = separate(&ciphertext, &mut out)?;
        opener.open(ciphertext, out).map(|written| written as i64).map_err(core_error)
    }

    /// How many bytes of an incomplete packet are held, 0 to 1,059.
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

/// How many bytes `plaintextLength` bytes are once sealed.
#[napi]
pub(crate) fn sealed_length(plaintext_length: u32) -> i64 {
    spiped_core::sealed_length(plaintext_length as usize) as i64
}

/// The most data that opening `ciphertextLength` bytes can give, whatever the opener holds.
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
