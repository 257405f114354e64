//! Target: compares the fastest MAC implementation for this processor with ring's, for any number of packets at any
//! alignment. One flipped bit must be found wherever it is.

use std::ops::Range;

use crate::reference::{DATA, Keys, PACKET};
use arbitrary::Arbitrary;
use spiped_core::{Error, Opener, Sealer, max_opened_length, sealed_length};

/// The position of the MAC in a packet.
const MAC: Range<usize> = PACKET - 32..PACKET;

/// The input; see the module documentation.
#[derive(Arbitrary, Debug)]
pub struct Input {
    keys: Keys,
    first_number: u64,
    packets: u8,
    /// Offset of the packets in memory from a multiple of 64 bytes.
    alignment: u8,
    byte: u8,
    flipped_packet: u8,
    flipped_byte: Position,
    flipped_bit: u8,
}

#[derive(Arbitrary, Debug)]
enum Position {
    Encrypted(u16),
    Mac(u8),
}

/// Runs the target.
///
/// # Panics
/// If the core behaves differently from the reference.
pub fn run(input: &Input) {
    let data = vec![input.byte; usize::from(input.packets % 70).max(1) * DATA];
    let mut memory = vec![0; sealed_length(data.len()) + 128];
    let to_alignment = memory.as_ptr().align_offset(64) + usize::from(input.alignment % 64);
    let packets = &mut memory[to_alignment..][..sealed_length(data.len())];
    let mut sealer = Sealer::starting_at(&input.keys.for_core(), input.first_number);
    if sealer.seal(&data, packets) == Err(Error::PacketNumbersUsedUp) {
        return;
    }
    for (number, packet) in (input.first_number..=u64::MAX).zip(packets.chunks(PACKET)) {
        let (encrypted, mac) = packet.split_at(MAC.start);
        assert_eq!(mac, input.keys.packet_mac(number, encrypted).as_ref());
    }

    let mut out = vec![0; max_opened_length(packets.len())];
    let opener = || Opener::starting_at(&input.keys.for_core(), input.first_number);
    assert_eq!(opener().open(packets, &mut out), Ok(data.len()));
    let before = usize::from(input.flipped_packet) % (packets.len() / PACKET);
    let byte = match input.flipped_byte {
        Position::Encrypted(byte) => usize::from(byte) % MAC.start,
        Position::Mac(byte) => MAC.start + usize::from(byte) % MAC.len(),
    };
    packets[before * PACKET + byte] ^= 1 << (input.flipped_bit % 8);
    assert_eq!(opener().open(packets, &mut out), Err(Error::PacketMac));
    // The packets before it are valid.
    assert_eq!(opener().open(&packets[..before * PACKET], &mut out), Ok(before * DATA));
}
