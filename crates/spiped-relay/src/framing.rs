//! How the bytes of one direction are transformed.

use spiped_core::{Error, Opener, Sealer, max_opened_length, sealed_length};

/// Seals or opens packets. Its keys are wiped on drop.
pub enum Framing {
    /// Cleartext comes in, packets go out.
    Seal(Sealer),
    /// Packets come in, cleartext goes out. Boxed, since it contains a packet-sized buffer.
    Open(Box<Opener>),
    /// Panics, for tests of how panics are contained.
    #[cfg(test)]
    Panics,
}

impl Framing {
    /// The largest output, in bytes, for `length` bytes of input.
    pub(crate) fn output_length(&self, length: usize) -> usize {
        match self {
            Self::Seal(_) => sealed_length(length),
            Self::Open(_) => max_opened_length(length),
            #[cfg(test)]
            Self::Panics => length,
        }
    }

    /// Seals or opens `input`, at least 1 byte, into `out`; returns the bytes written.
    pub(crate) fn transform(&mut self, input: &[u8], out: &mut [u8]) -> Result<usize, Error> {
        match self {
            Self::Seal(sealer) => sealer.seal(input, out),
            Self::Open(opener) => opener.open(input, out),
            #[cfg(test)]
            Self::Panics => panic!("asked to panic"),
        }
    }

    /// Bytes of an incomplete packet; always 0 when sealing.
    pub(crate) fn pending_bytes(&self) -> usize {
        match self {
            Self::Seal(_) => 0,
            Self::Open(opener) => opener.pending_bytes(),
            #[cfg(test)]
            Self::Panics => 0,
        }
    }

    /// How many bytes are cleartext, given `input` bytes in and `output` bytes out.
    pub(crate) fn cleartext(&self, input: usize, output: usize) -> usize {
        match self {
            Self::Seal(_) => input,
            Self::Open(_) => output,
            #[cfg(test)]
            Self::Panics => output,
        }
    }
}
