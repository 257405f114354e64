//! Sealing and opening: sizes, splits, failures and packet numbers.

mod support;

use proptest::prelude::*;
use spiped_core::{Error, Opener, PACKET_BYTES, Sealer, max_opened_length, sealed_length};
use support::{data, open, seal, some_keys};

const SIZES: [usize; 9] = [0, 1, 1023, 1024, 1025, 2048, 65_535, 65_536, 65_537];
const SPLITS: [usize; 5] = [1, 7, 1059, 1060, 1061];

#[test]
fn data_of_every_size_opens_from_every_split() {
    for size in SIZES.into_iter().filter(|size| *size > 0) {
        let sealed = seal(&mut Sealer::new(&some_keys()), &data(size)).expect("is sealed");
        assert_eq!(sealed.len(), size.div_ceil(1024) * 1060);
        for split in SPLITS.into_iter().chain([sealed.len()]) {
            let mut opener = Opener::new(&some_keys());
            let opened = open(&mut opener, sealed.chunks(split)).expect("opens");
            assert!(opened == data(size), "{size} bytes, {split} at a time");
            assert_eq!(opener.pending_bytes(), 0);
        }
    }
}

#[test]
fn sealing_no_data_is_an_error() {
    assert_eq!(Sealer::new(&some_keys()).seal(&[], &mut [0; 4096]), Err(Error::Buffer));
}

#[test]
fn opening_no_bytes_returns_no_data() {
    assert_eq!(Opener::new(&some_keys()).open(&[], &mut []), Ok(0));
}

#[test]
fn an_opener_buffers_an_incomplete_packet() {
    let sealed = seal(&mut Sealer::new(&some_keys()), &data(3000)).expect("is sealed");
    let mut opener = Opener::new(&some_keys());
    for (index, byte) in sealed.iter().enumerate() {
        assert_eq!(opener.pending_bytes(), index % PACKET_BYTES);
        let complete = (index + 1) % PACKET_BYTES == 0;
        let written = opener.open(&[*byte], &mut [0; 1024]).expect("opens");
        assert_eq!(written > 0, complete);
    }
}

#[test]
fn an_output_one_byte_too_small_changes_nothing() {
    for size in SIZES.into_iter().filter(|size| *size > 0) {
        let mut sealer = Sealer::new(&some_keys());
        let mut short = vec![0xee; sealed_length(size) - 1];
        assert_eq!(sealer.seal(&data(size), &mut short), Err(Error::Buffer));
        assert!(short.iter().all(|byte| *byte == 0xee));
        let sealed = seal(&mut sealer, &data(size)).expect("is sealed");
        assert_eq!(Ok(sealed.clone()), seal(&mut Sealer::new(&some_keys()), &data(size)), "{size}: uses no number");

        let mut opener = Opener::new(&some_keys());
        opener.open(&sealed[..7], &mut []).expect("is buffered");
        let mut short = vec![0xee; size.div_ceil(1024) * 1024 - 1];
        assert_eq!(opener.open(&sealed[7..], &mut short), Err(Error::Buffer));
        assert!(short.iter().all(|byte| *byte == 0xee));
        assert!(open(&mut opener, [&sealed[7..]]) == Ok(data(size)), "{size}: takes nothing");
    }
}

#[test]
fn nothing_is_written_beyond_the_returned_length() {
    let mut out = vec![0xee; sealed_length(1500) + 100];
    let written = Sealer::new(&some_keys()).seal(&data(1500), &mut out).expect("is sealed");
    assert_eq!(written, 2 * PACKET_BYTES);
    assert!(out[written..].iter().all(|byte| *byte == 0xee));

    let sealed = out[..written].to_vec();
    let mut out = vec![0xee; 3000];
    let written = Opener::new(&some_keys()).open(&sealed, &mut out).expect("opens");
    assert_eq!(written, 1500);
    assert!(out[written..].iter().all(|byte| *byte == 0xee));
}

#[test]
fn a_packet_with_a_wrong_mac_is_not_decrypted() {
    let mut sealed = seal(&mut Sealer::new(&some_keys()), &data(1024)).expect("is sealed");
    sealed[PACKET_BYTES - 1] ^= 1;
    let mut out = [0xee; 1024];
    assert_eq!(Opener::new(&some_keys()).open(&sealed, &mut out), Err(Error::PacketMac));
    assert_eq!(out, [0xee; 1024]);
}

#[test]
fn nothing_opens_after_an_invalid_packet() {
    let sealed = seal(&mut Sealer::new(&some_keys()), &data(3072)).expect("is sealed");
    let mut damaged = sealed.clone();
    damaged[PACKET_BYTES] ^= 1;

    let mut opener = Opener::new(&some_keys());
    assert_eq!(open(&mut opener, [&damaged[..PACKET_BYTES]]), Ok(data(1024)));
    assert_eq!(open(&mut opener, [&damaged[PACKET_BYTES..]]), Err(Error::PacketMac));
    // Not even the undamaged packet.
    assert_eq!(open(&mut opener, [&sealed[PACKET_BYTES..]]), Err(Error::PacketMac));
    assert_eq!(opener.open(&[], &mut []), Err(Error::PacketMac));
    assert_eq!(opener.pending_bytes(), 0);
}

#[test]
fn an_invalid_packet_is_found_anywhere_in_a_read() {
    let sealed = seal(&mut Sealer::new(&some_keys()), &data(7 * 1024)).expect("is sealed");
    for packet in 0..7 {
        for first_piece in [0, 1, 1059] {
            let mut damaged = sealed.clone();
            damaged[packet * PACKET_BYTES + 500] ^= 0x10;
            let mut opener = Opener::new(&some_keys());
            let outcome = open(&mut opener, [&damaged[..first_piece], &damaged[first_piece..]]);
            assert_eq!(outcome, Err(Error::PacketMac), "packet {packet} after {first_piece} bytes");
            assert!(opener.pending_bytes() < PACKET_BYTES);
        }
    }
}

#[test]
fn repeated_missing_and_reordered_packets_do_not_open() {
    let sealed = seal(&mut Sealer::new(&some_keys()), &data(3072)).expect("is sealed");
    let packets: Vec<&[u8]> = sealed.chunks(PACKET_BYTES).collect();
    for order in [vec![0, 0], vec![1], vec![0, 2], vec![1, 0, 2], vec![0, 2, 1]] {
        let stream: Vec<u8> = order.iter().flat_map(|index| packets[*index].iter().copied()).collect();
        let outcome = open(&mut Opener::new(&some_keys()), [stream.as_slice()]);
        assert_eq!(outcome, Err(Error::PacketMac), "{order:?}");
    }
}

#[test]
fn a_sealer_fails_after_the_last_packet_number() {
    let mut sealer = Sealer::starting_at(&some_keys(), u64::MAX - 1);
    // Two numbers are left; a failed call for three packets uses none.
    assert_eq!(seal(&mut sealer, &data(2049)), Err(Error::PacketNumbersUsedUp));
    let sealed = seal(&mut sealer, &data(2048)).expect("the last two packets");
    assert_eq!(seal(&mut sealer, &data(1)), Err(Error::PacketNumbersUsedUp));
    assert_eq!(seal(&mut sealer, &data(1)), Err(Error::PacketNumbersUsedUp));

    let mut opener = Opener::starting_at(&some_keys(), u64::MAX - 1);
    assert_eq!(open(&mut opener, [sealed.as_slice()]), Ok(data(2048)));
}

#[test]
fn an_opener_fails_after_the_last_packet_number() {
    let sealed = seal(&mut Sealer::starting_at(&some_keys(), u64::MAX), &data(1)).expect("the last packet");
    let after_all = seal(&mut Sealer::starting_at(&some_keys(), 0), &data(1)).expect("another first packet");
    for pieces in [vec![[sealed.clone(), after_all.clone()].concat()], vec![sealed, after_all]] {
        let mut opener = Opener::starting_at(&some_keys(), u64::MAX);
        let outcome = open(&mut opener, pieces.iter().map(Vec::as_slice));
        assert_eq!(outcome, Err(Error::PacketNumbersUsedUp));
        assert_eq!(opener.open(&[], &mut []), Err(Error::PacketNumbersUsedUp));
    }
}

#[test]
fn length_functions_are_exact() {
    for size in SIZES {
        assert_eq!(sealed_length(size), size.div_ceil(1024) * 1060);
        let most = (0..PACKET_BYTES).map(|pending| (pending + size) / 1060 * 1024).max();
        assert_eq!(Some(max_opened_length(size)), most);
    }
}

proptest! {
    #[test]
    fn data_sealed_in_any_pieces_opens_from_any_splits(
        pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..3000), 1..8),
        splits in prop::collection::vec(0_usize..4000, 0..30),
    ) {
        let mut sealer = Sealer::new(&some_keys());
        let mut sealed = Vec::new();
        for piece in &pieces {
            sealed.extend(seal(&mut sealer, piece)?);
        }
        let opened = open(&mut Opener::new(&some_keys()), cut(&sealed, &splits))?;
        prop_assert!(opened == pieces.concat());
    }

    #[test]
    fn a_damaged_stream_opens_to_nothing_but_the_data_before_the_damage(
        size in 1_usize..6000,
        splits in prop::collection::vec(0_usize..2500, 0..10),
        position in any::<prop::sample::Index>(),
        damage in 1_u8..,
    ) {
        let mut sealed = seal(&mut Sealer::new(&some_keys()), &data(size))?;
        let position = position.index(sealed.len());
        sealed[position] ^= damage;

        let mut opener = Opener::new(&some_keys());
        let mut opened = Vec::new();
        let outcome = cut(&sealed, &splits).try_for_each(|piece| {
            opened.extend(open(&mut opener, [piece])?);
            Ok(())
        });
        prop_assert_eq!(outcome, Err(Error::PacketMac));
        prop_assert!(data(size).starts_with(&opened));
        prop_assert!(opened.len() <= position / PACKET_BYTES * 1024);
    }

    #[test]
    fn arbitrary_bytes_never_open(
        bytes in prop::collection::vec(any::<u8>(), PACKET_BYTES..3 * PACKET_BYTES),
    ) {
        prop_assert_eq!(open(&mut Opener::new(&some_keys()), [bytes.as_slice()]), Err(Error::PacketMac));
    }
}

/// `bytes` in pieces of the given lengths, then the remainder.
fn cut<'a>(bytes: &'a [u8], lengths: &[usize]) -> impl Iterator<Item = &'a [u8]> {
    let mut left = bytes;
    let mut pieces = Vec::new();
    for length in lengths {
        let (piece, rest) = left.split_at((*length).min(left.len()));
        pieces.push(piece);
        left = rest;
    }
    pieces.push(left);
    pieces.into_iter()
}
