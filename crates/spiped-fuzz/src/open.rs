//! Target: any stream from a peer, in pieces of any size. It must open to the same data as with the reference up to the
//! first invalid packet, and to nothing after that.

use crate::reference::{DATA, Data, Keys, Length, PACKET, cut};
use arbitrary::Arbitrary;
use spiped_core::{Error, Opener, max_opened_length};

/// The input; see the module documentation.
#[derive(Arbitrary, Debug)]
pub struct Input {
    keys: Keys,
    first_number: u64,
    parts: Vec<Part>,
    splits: Vec<Length>,
    /// Bytes of room in the output buffers beyond the required size.
    spare_room: u8,
}

#[derive(Arbitrary, Debug)]
enum Part {
    Packet(Data),
    PacketOfLength { data: Data, length: u32 },
    Damaged { data: Data, at: u16, bits: u8 },
    OfAnotherNumber { data: Data, number: u64 },
    Bytes(Data),
}

/// Runs the target.
///
/// # Panics
/// If the core behaves differently from the reference.
pub fn run(input: &Input) {
    let stream = stream(input);
    let (cleartexts, failure) = open_by_reference(input, &stream);
    let mut opener = Opener::starting_at(&input.keys.for_core(), input.first_number);
    let mut taken = 0;
    for piece in cut(&stream, &input.splits) {
        let first = taken / PACKET;
        taken += piece.len();
        let complete = taken / PACKET;

        open_without_room(&mut opener, piece, complete - first);
        let mut out = vec![0xee; (complete - first) * DATA + usize::from(input.spare_room)];
        assert!((complete - first) * DATA <= max_opened_length(piece.len()));
        let opened = opener.open(piece, &mut out);
        if complete > cleartexts.len() {
            let mut failure = failure.expect("the reference stopped there");
            // Running out of packet numbers may be reported before an invalid packet earlier in the same piece.
            if u128::from(input.first_number) + complete as u128 > 1 << 64 && opened == Err(Error::PacketNumbersUsedUp)
            {
                failure = Error::PacketNumbersUsedUp;
            }
            assert_eq!(opened, Err(failure));
            assert_eq!(opener.open(piece, &mut out), Err(failure), "the failure must be permanent");
            assert_eq!(opener.open(&[], &mut []), Err(failure), "the failure must be permanent");
            return;
        }
        let expected = cleartexts[first..complete].concat();
        assert_eq!(opened, Ok(expected.len()));
        assert_eq!(out[..expected.len()], expected);
        assert!(out[expected.len()..].iter().all(|byte| *byte == 0xee), "written beyond what was opened");
        assert_eq!(opener.pending_bytes(), taken % PACKET);
    }
    assert_eq!(failure, None);
}

/// The bytes that the peer sends.
fn stream(input: &Input) -> Vec<u8> {
    let mut stream = Vec::new();
    for part in &input.parts {
        // The number of the packet that begins here, if only whole packets precede it.
        let number = input.first_number.wrapping_add((stream.len() / PACKET) as u64);
        let packet = |number, data: &Data| {
            let data = data.up_to(DATA);
            input.keys.packet(number, &data, data.len() as u32)
        };
        stream.extend(match part {
            Part::Packet(data) => packet(number, data),
            Part::PacketOfLength { data, length } => input.keys.packet(number, &data.up_to(DATA), *length),
            Part::Damaged { data, at, bits } => {
                let mut packet = packet(number, data);
                packet[usize::from(*at) % PACKET] ^= bits;
                packet
            }
            Part::OfAnotherNumber { data, number } => packet(*number, data),
            Part::Bytes(bytes) => bytes.up_to(2 * PACKET),
        });
    }
    stream
}

/// The data of each packet before the first invalid one, and the error of that one.
fn open_by_reference(input: &Input, stream: &[u8]) -> (Vec<Vec<u8>>, Option<Error>) {
    let mut cleartexts = Vec::new();
    for (index, packet) in (0_u64..).zip(stream.chunks_exact(PACKET)) {
        let opened = match input.first_number.checked_add(index) {
            Some(number) => input.keys.open(number, packet),
            None => Err(Error::PacketNumbersUsedUp),
        };
        match opened {
            Ok(cleartext) => cleartexts.push(cleartext),
            Err(failure) => return (cleartexts, Some(failure)),
        }
    }
    (cleartexts, None)
}

/// Asserts that opening into a buffer one byte too small fails and writes nothing.
fn open_without_room(opener: &mut Opener, piece: &[u8], packets: usize) {
    if packets > 0 {
        let mut short = vec![0xee; packets * DATA - 1];
        assert_eq!(opener.open(piece, &mut short), Err(Error::Buffer));
        assert!(short.iter().all(|byte| *byte == 0xee));
    }
}
