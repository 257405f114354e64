//! One direction of a connection: data of any length to whole packets, and back.
//! Source: docs/protocol.md, "Packets".

use std::{fmt, slice};

use crate::{
    DirectionKeys, Error, PACKET_BYTES, PACKET_DATA_BYTES,
    mac::{LANES, PacketMac},
    packet::PacketCipher,
    wipe::{wiping_packet_stack, wiping_stack},
};

/// The number of bytes that `cleartext_length` bytes of data take when sealed: a multiple of 1,060.
#[must_use]
pub const fn sealed_length(cleartext_length: usize) -> usize {
    cleartext_length.div_ceil(PACKET_DATA_BYTES) * PACKET_BYTES
}

/// The largest number of bytes that opening `ciphertext_length` bytes can return, however many the opener has buffered:
/// a multiple of 1,024.
#[must_use]
pub const fn max_opened_length(ciphertext_length: usize) -> usize {
    ciphertext_length.div_ceil(PACKET_BYTES) * PACKET_DATA_BYTES
}

/// Seals one direction's data into packets.
pub struct Sealer {
    cipher: PacketCipher,
    mac: PacketMac,
    numbers: PacketNumbers,
}

impl Sealer {
    /// A sealer whose first packet has number 0.
    #[must_use]
    pub fn new(keys: &DirectionKeys) -> Self {
        Self::starting_at(keys, 0)
    }

    /// A sealer whose first packet has `packet_number`, for known-answer tests.
    #[must_use]
    pub fn starting_at(keys: &DirectionKeys, packet_number: u64) -> Self {
        let (cipher, mac) = expand(keys);
        Self { cipher, mac, numbers: PacketNumbers::starting_at(packet_number) }
    }

    /// Seals `cleartext`, at least 1 byte, into whole packets; all but the last carry 1,024 bytes.
    ///
    /// `out` must have room for [`sealed_length`] bytes. Returns the number of bytes written.
    ///
    /// # Errors
    /// [`Error::Buffer`] if `cleartext` is empty or `out` is too small; [`Error::PacketNumbersUsedUp`] if there are not
    /// enough packet numbers left. In both cases nothing is sealed and no packet number is used.
    pub fn seal(&mut self, cleartext: &[u8], out: &mut [u8]) -> Result<usize, Error> {
        let sealed_bytes = sealed_length(cleartext.len());
        if cleartext.is_empty() {
            return Err(Error::Buffer);
        }
        let out = out.get_mut(..sealed_bytes).ok_or(Error::Buffer)?;
        let (packets, _) = out.as_chunks_mut::<PACKET_BYTES>();
        let first_number = self.numbers.first_of(packets.len())?;
        self.numbers.advance(packets.len());
        wiping_packet_stack(|| self.seal_whole(cleartext, packets, first_number));
        Ok(sealed_bytes)
    }

    fn seal_whole(&self, cleartext: &[u8], packets: &mut [[u8; PACKET_BYTES]], first_number: u64) {
        let runs = packets.chunks_mut(LANES).zip(cleartext.chunks(LANES * PACKET_DATA_BYTES));
        for ((packets, cleartext), first_of_run) in runs.zip((first_number..=u64::MAX).step_by(LANES)) {
            let data = cleartext.chunks(PACKET_DATA_BYTES);
            for ((packet, data), number) in packets.iter_mut().zip(data).zip(first_of_run..=u64::MAX) {
                self.cipher.encrypt(number, data, packet);
            }
            self.mac.sign(packets, first_of_run);
        }
    }
}

/// Opens one direction's packets, which may arrive in pieces of any size, to its data.
pub struct Opener {
    packets: PacketOpener,
    /// The beginning of a packet whose end has not arrived; `pending_bytes` long.
    pending: [u8; PACKET_BYTES],
    pending_bytes: usize,
    /// The error that ended this direction. Nothing after an invalid packet can be trusted.
    failure: Option<Error>,
}

impl Opener {
    /// An opener whose first packet has number 0.
    #[must_use]
    pub fn new(keys: &DirectionKeys) -> Self {
        Self::starting_at(keys, 0)
    }

    /// An opener whose first packet has `packet_number`, for known-answer tests.
    #[must_use]
    pub fn starting_at(keys: &DirectionKeys, packet_number: u64) -> Self {
        let (cipher, mac) = expand(keys);
        Self {
            packets: PacketOpener { cipher, mac, numbers: PacketNumbers::starting_at(packet_number) },
            pending: [0; PACKET_BYTES],
            pending_bytes: 0,
            failure: None,
        }
    }

    /// The number of buffered bytes of an incomplete packet, 0 to 1,059. If the stream ends while there are any, it was
    /// truncated.
    #[must_use]
    pub fn pending_bytes(&self) -> usize {
        self.pending_bytes
    }

    /// Opens the packets that `ciphertext` completes and buffers the beginning of the next.
    ///
    /// `out` must have room for 1,024 bytes for each of these packets; [`max_opened_length`] is always enough. Returns
    /// the number of bytes written, 0 if no packet is complete.
    ///
    /// # Errors
    /// [`Error::Buffer`] if `out` is too small; nothing is consumed then. [`Error::PacketMac`], [`Error::PacketLength`]
    /// and [`Error::PacketNumbersUsedUp`] end this direction: every later call fails with the same error, and the
    /// contents of `out` must not be used.
    pub fn open(&mut self, ciphertext: &[u8], out: &mut [u8]) -> Result<usize, Error> {
        if let Some(failure) = self.failure {
            return Err(failure);
        }
        let whole_packets = (self.pending_bytes + ciphertext.len()) / PACKET_BYTES;
        if out.len() < whole_packets * PACKET_DATA_BYTES {
            return Err(Error::Buffer);
        }
        let opened = if whole_packets == 0 {
            self.extend_pending(ciphertext);
            Ok(0)
        } else {
            wiping_packet_stack(|| self.open_whole(ciphertext, out))
        };
        if let Err(failure) = opened {
            self.failure = Some(failure);
        }
        opened
    }

    /// Opens at least one packet.
    fn open_whole(&mut self, ciphertext: &[u8], out: &mut [u8]) -> Result<usize, Error> {
        let mut written = 0;
        let mut ciphertext = ciphertext;
        if self.pending_bytes > 0 {
            ciphertext = self.extend_pending(ciphertext);
            self.pending_bytes = 0;
            written += self.packets.open_run(slice::from_ref(&self.pending), out)?;
        }
        let (packets, beginning) = ciphertext.as_chunks::<PACKET_BYTES>();
        for run in packets.chunks(LANES) {
            written += self.packets.open_run(run, &mut out[written..])?;
        }
        self.extend_pending(beginning);
        Ok(written)
    }

    /// Copies as much of `ciphertext` into `pending` as fits and returns the remainder.
    fn extend_pending<'a>(&mut self, ciphertext: &'a [u8]) -> &'a [u8] {
        let room = &mut self.pending[self.pending_bytes..];
        let (taken, left) = ciphertext.split_at(room.len().min(ciphertext.len()));
        room[..taken.len()].copy_from_slice(taken);
        self.pending_bytes += taken.len();
        left
    }
}

/// The round keys and MAC states of one direction, both only on the heap.
fn expand(keys: &DirectionKeys) -> (PacketCipher, PacketMac) {
    wiping_stack(|| (PacketCipher::new(keys.encryption.expose()), PacketMac::new(keys.mac.expose())))
}

/// Opens whole packets.
struct PacketOpener {
    cipher: PacketCipher,
    mac: PacketMac,
    numbers: PacketNumbers,
}

impl PacketOpener {
    /// Checks the MACs of a run and decrypts the packets before the first wrong one. Only these use a packet number.
    fn open_run(&mut self, packets: &[[u8; PACKET_BYTES]], out: &mut [u8]) -> Result<usize, Error> {
        let first_number = self.numbers.first_of(packets.len())?;
        let valid = self.mac.verify(packets, first_number);
        let mut written = 0;
        for (packet, number) in packets[..valid].iter().zip(first_number..=u64::MAX) {
            written += self.cipher.decrypt(number, packet, &mut out[written..])?;
            self.numbers.advance(1);
        }
        if valid == packets.len() { Ok(written) } else { Err(Error::PacketMac) }
    }
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sealer").field("numbers", &self.numbers).finish_non_exhaustive()
    }
}

impl fmt::Debug for Opener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opener")
            .field("numbers", &self.packets.numbers)
            .field("pending_bytes", &self.pending_bytes)
            .field("failure", &self.failure)
            .finish_non_exhaustive()
    }
}

/// The unused packet numbers of one direction. None is ever used twice.
#[derive(Debug)]
struct PacketNumbers {
    /// The next number, or 2^64 if all are used.
    next: u128,
}

impl PacketNumbers {
    const END: u128 = 1 << 64;

    fn starting_at(packet_number: u64) -> Self {
        Self { next: packet_number.into() }
    }

    /// The first of `count` consecutive numbers, which remain unused until [`Self::advance`].
    ///
    /// # Errors
    /// [`Error::PacketNumbersUsedUp`] if fewer are left.
    fn first_of(&self, count: usize) -> Result<u64, Error> {
        if self.next + count as u128 > Self::END {
            return Err(Error::PacketNumbersUsedUp);
        }
        // Only fails for a count of 0, which uses no number.
        Ok(u64::try_from(self.next).unwrap_or(u64::MAX))
    }

    fn advance(&mut self, count: usize) {
        self.next += count as u128;
    }
}
