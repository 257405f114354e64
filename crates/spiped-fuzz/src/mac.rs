//! The fastest way to MACs that this processor has against ring's: any number of packets, anywhere in memory.
//! One wrong bit is found, wherever it is.

use std::ops::Range;

use crate::reference::{DATA, Keys, PACKET};
use arbitrary::Arbitrary;
use spiped_core::{Error, Opener, Sealer, max_opened_length, sealed_length};

/// Where a packet's MAC is.
const MAC: Range<usize> = PACKET - 32..PACKET;

/// See the head of this file.
#[derive(Arbitrary, Debug)]
pub struct Input {
    keys: Keys,
    first_number: u64,
    packets: u8,
    /// Of the packets in memory, from a multiple of 64.
    alignment: u8,
    byte: u8,
    flipped_packet: u8,
    flipped_byte: Place,
    flipped_bit: u8,
}

#[derive(Arbitrary, Debug)]
enum Place {
    Encrypted(u16),
    Mac(u8),
}

/// Panics where the core is not as it should be.
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
        Place::Encrypted(byte) => usize::from(byte) % MAC.start,
        Place::Mac(byte) => MAC.start + usize::from(byte) % MAC.len(),
    };
    packets[before * PACKET + byte] ^= 1 << (input.flipped_bit % 8);
    assert_eq!(opener().open(packets, &mut out), Err(Error::PacketMac));
    // The packets before it are right.
    assert_eq!(opener().open(&packets[..before * PACKET], &mut out), Ok(before * DATA));
}
