//! The data sent: one block of pseudo-random bytes, repeated, so that comparing costs little more than reading.

use std::io::{self, ErrorKind, Read, Write};
use std::time::Instant;

/// Block size in bytes: a prime, so that no power of two lines up with it, and small enough for the cache.
const BLOCK: usize = 1_048_573;
/// Size in bytes of one write and one read.
const PIECE: usize = 262_144;

/// The block, followed by a copy of its beginning, so that any piece is contiguous.
pub struct Pattern(Vec<u8>);

impl Pattern {
    /// Makes the block; it is always the same.
    pub fn new() -> Self {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut bytes: Vec<u8> = (0..BLOCK)
            .map(|_| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                (state >> 32) as u8
            })
            .collect();
        bytes.extend_from_within(..PIECE);
        Self(bytes)
    }

    fn piece(&self, at: u64, length: usize) -> &[u8] {
        let start = (at % BLOCK as u64) as usize;
        &self.0[start..start + length]
    }

    /// Sends `total` bytes.
    pub fn send(&self, to: &mut impl Write, total: u64) -> io::Result<()> {
        let mut sent = 0;
        while sent < total {
            let length = PIECE.min((total - sent) as usize);
            to.write_all(self.piece(sent, length))?;
            sent += length as u64;
        }
        Ok(())
    }

    /// Sends one more piece after `sent` bytes; returns its length.
    pub fn send_piece(&self, to: &mut impl Write, sent: u64) -> io::Result<u64> {
        to.write_all(self.piece(sent, PIECE))?;
        Ok(PIECE as u64)
    }

    /// Writes what fits at once after `sent` bytes, at most one piece; returns its length.
    pub fn write_some(&self, to: &mut impl Write, sent: u64) -> io::Result<usize> {
        to.write(self.piece(sent, PIECE))
    }

    /// Reads `total` bytes and compares them; returns the time when the last one had been compared.
    pub fn receive(&self, from: &mut impl Read, total: u64) -> io::Result<Instant> {
        let mut buffer = vec![0; PIECE];
        let mut received = 0_u64;
        while received < total {
            let length = PIECE.min((total - received) as usize);
            match self.receive_piece(from, received, &mut buffer[..length])? {
                0 => {
                    return Err(io::Error::new(
                        ErrorKind::UnexpectedEof,
                        format!("{received} of {total} bytes came"),
                    ));
                }
                length => received += length as u64,
            }
        }
        Ok(Instant::now())
    }

    /// Reads and compares until the end of the stream; returns the number of bytes.
    pub fn receive_until_end(&self, from: &mut impl Read) -> io::Result<u64> {
        let mut buffer = vec![0; PIECE];
        let mut received = 0_u64;
        loop {
            match self.receive_piece(from, received, &mut buffer)? {
                0 => return Ok(received),
                length => received += length as u64,
            }
        }
    }

    /// Reads once and compares; returns the length, 0 at the end of the stream.
    fn receive_piece(
        &self,
        from: &mut impl Read,
        received: u64,
        buffer: &mut [u8],
    ) -> io::Result<usize> {
        let length = from.read(buffer)?;
        if buffer[..length] != *self.piece(received, length) {
            return Err(io::Error::new(
                ErrorKind::InvalidData,
                format!("wrong bytes after {received}"),
            ));
        }
        Ok(length)
    }

    /// Fails unless the stream ends here.
    pub fn expect_end(&self, from: &mut impl Read) -> io::Result<()> {
        match from.read(&mut [0])? {
            0 => Ok(()),
            _ => Err(io::Error::new(ErrorKind::InvalidData, "bytes too many")),
        }
    }
}
