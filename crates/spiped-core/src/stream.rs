//! One direction of a connection: what one read gave becomes whole packets, and back.
//! Source: docs/protocol.md, "Packets".

use std::{fmt, slice};

use crate::{
    DirectionKeys, Error, PACKET_BYTES, PACKET_DATA_BYTES,
    mac::{LANES, PacketMac},
    packet::PacketCipher,
    wipe::{wiping_packet_stack, wiping_stack},
};

/// How many bytes `cleartext_length` bytes of data are once sealed: a multiple of 1,060.
#[must_use]
pub const fn sealed_length(cleartext_length: usize) -> usize {
    cleartext_length.div_ceil(PACKET_DATA_BYTES) * PACKET_BYTES
}

/// The most data that opening `ciphertext_length` bytes can give, whatever rest the opener holds.
#[must_use]
pub const fn max_opened_length(ciphertext_length: usize) -> usize {
    ciphertext_length.div_ceil(PACKET_BYTES) * PACKET_DATA_BYTES
}

/// Makes packets of one direction's data.
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

    /// A sealer whose first packet has `packet_number`: for known-answer tests.
    #[must_use]
    pub fn starting_at(keys: &DirectionKeys, packet_number: u64) -> Self {
        let (cipher, mac) = expand(keys);
        Self { cipher, mac, numbers: PacketNumbers::starting_at(packet_number) }
    }

    /// Seals `cleartext`, at least 1 byte, into whole packets; all but the last carry 1,024 bytes.
    ///
    /// `out` needs [`sealed_length`] bytes of room. Returns the number of bytes written.
    ///
    /// # Errors
    /// [`Error::Buffer`] when `cleartext` is empty or `out` too small, [`Error::PacketNumbersUsedUp`] when
    /// there is not a number for each packet. Nothing is sealed then, and no number used.
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

/// Gets one direction's data back out of its packets, which may arrive in pieces of any size.
pub struct Opener {
    packets: PacketOpener,
    /// The beginning of a packet whose end has not arrived.
    rest: [u8; PACKET_BYTES],
    rest_bytes: usize,
    /// Why this direction is over: nothing can be believed after a packet that was not right.
    failure: Option<Error>,
}

impl Opener {
    /// An opener whose first packet has number 0.
    #[must_use]
    pub fn new(keys: &DirectionKeys) -> Self {
        Self::starting_at(keys, 0)
    }

    /// An opener whose first packet has `packet_number`: for known-answer tests.
    #[must_use]
    pub fn starting_at(keys: &DirectionKeys, packet_number: u64) -> Self {
        let (cipher, mac) = expand(keys);
        Self {
            packets: PacketOpener { cipher, mac, numbers: PacketNumbers::starting_at(packet_number) },
            rest: [0; PACKET_BYTES],
            rest_bytes: 0,
            failure: None,
        }
    }

    /// How many bytes of an incomplete packet are held, 0 to 1,059. An end of the stream while there are any
    /// is not an orderly one.
    #[must_use]
    pub fn pending_bytes(&self) -> usize {
        self.rest_bytes
    }

    /// Opens the packets that `ciphertext` completes and keeps the beginning of the next.
    ///
    /// `out` needs room for 1,024 bytes for each of these packets; [`max_opened_length`] is always enough.
    /// Returns the number of bytes written, 0 while no packet is complete.
    ///
    /// # Errors
    /// [`Error::Buffer`] when `out` is too small: nothing has happened then. [`Error::PacketMac`],
    /// [`Error::PacketLength`] and [`Error::PacketNumbersUsedUp`] end the direction, and every later call
    /// fails in the same way; what `out` holds then is not to be used.
    pub fn open(&mut self, ciphertext: &[u8], out: &mut [u8]) -> Result<usize, Error> {
        if let Some(failure) = self.failure {
            return Err(failure);
        }
        let whole_packets = (self.rest_bytes + ciphertext.len()) / PACKET_BYTES;
        if out.len() < whole_packets * PACKET_DATA_BYTES {
            return Err(Error::Buffer);
        }
        let opened = if whole_packets == 0 {
            self.extend_rest(ciphertext);
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
        if self.rest_bytes > 0 {
            ciphertext = self.extend_rest(ciphertext);
            self.rest_bytes = 0;
            written += self.packets.open_run(slice::from_ref(&self.rest), out)?;
        }
        let (packets, beginning) = ciphertext.as_chunks::<PACKET_BYTES>();
        for run in packets.chunks(LANES) {
            written += self.packets.open_run(run, &mut out[written..])?;
        }
        self.extend_rest(beginning);
        Ok(written)
    }

    /// Moves as much of `ciphertext` into the rest as fits and returns what is left.
    fn extend_rest<'a>(&mut self, ciphertext: &'a [u8]) -> &'a [u8] {
        let room = &mut self.rest[self.rest_bytes..];
        let (taken, left) = ciphertext.split_at(room.len().min(ciphertext.len()));
        room[..taken.len()].copy_from_slice(taken);
        self.rest_bytes += taken.len();
        left
    }
}

/// The round keys and MAC states of one direction. Both lie on the heap, and nothing of them elsewhere.
fn expand(keys: &DirectionKeys) -> (PacketCipher, PacketMac) {
    wiping_stack(|| (PacketCipher::new(keys.encryption.expose()), PacketMac::new(keys.mac.expose())))
}

/// What opens whole packets.
struct PacketOpener {
    cipher: PacketCipher,
    mac: PacketMac,
    numbers: PacketNumbers,
}

impl PacketOpener {
    /// Checks the MACs of a run, decrypts the packets before the first that is wrong, and uses a packet
    /// number for each of these only.
    fn open_run(&mut self, packets: &[[u8; PACKET_BYTES]], out: &mut [u8]) -> Result<usize, Error> {
        let first_number = self.numbers.first_of(packets.len())?;
        let right = self.mac.verify(packets, first_number);
        let mut written = 0;
        for (packet, number) in packets[..right].iter().zip(first_number..=u64::MAX) {
            written += self.cipher.decrypt(number, packet, &mut out[written..])?;
            self.numbers.advance(1);
        }
        if right == packets.len() { Ok(written) } else { Err(Error::PacketMac) }
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
            .field("rest_bytes", &self.rest_bytes)
            .field("failure", &self.failure)
            .finish_non_exhaustive()
    }
}

/// The packet numbers that one direction has left. None is ever used twice.
#[derive(Debug)]
struct PacketNumbers {
    /// The next number, or 2^64 when all are used.
    next: u128,
}

impl PacketNumbers {
    const END: u128 = 1 << 64;

    fn starting_at(packet_number: u64) -> Self {
        Self { next: packet_number.into() }
    }

    /// The first of `count` numbers in a row; they count as used only with [`Self::advance`].
    fn first_of(&self, count: usize) -> Result<u64, Error> {
        if self.next + count as u128 > Self::END {
            return Err(Error::PacketNumbersUsedUp);
        }
        // With a count of 0 there may be no number left, and none is used.
        Ok(u64::try_from(self.next).unwrap_or(u64::MAX))
    }

    fn advance(&mut self, count: usize) {
        self.next += count as u128;
    }
}
