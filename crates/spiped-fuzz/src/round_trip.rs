//! Target: seals any data in any number of calls. The packets must match the reference's byte for byte, and must open to
//! the same data in pieces of any size.

use crate::reference::{DATA, Data, Keys, Length, PACKET, cut};
use arbitrary::Arbitrary;
use spiped_core::{Error, Opener, Sealer, max_opened_length, sealed_length};

/// The most data per call: that of a large read, and one more packet.
const MAX_CALL_BYTES: usize = 64 * DATA + 1;

/// The input; see the module documentation.
#[derive(Arbitrary, Debug)]
pub struct Input {
    keys: Keys,
    first_number: u64,
    calls: Vec<Data>,
    splits: Vec<Length>,
}

/// Runs the target.
///
/// # Panics
/// If the core behaves differently from the reference.
pub fn run(input: &Input) {
    let mut sealer = Sealer::starting_at(&input.keys.for_core(), input.first_number);
    let (mut cleartext, mut sealed) = (Vec::new(), Vec::new());
    for call in &input.calls {
        let data = call.up_to(MAX_CALL_BYTES);
        let expected = seal_by_reference(input, sealed.len() / PACKET, &data);
        assert_eq!(seal(&mut sealer, &data), expected);
        if let Ok(packets) = expected {
            cleartext.extend(data);
            sealed.extend(packets);
        }
    }

    let mut opener = Opener::starting_at(&input.keys.for_core(), input.first_number);
    let mut opened = Vec::new();
    for piece in cut(&sealed, &input.splits) {
        let mut out = vec![0; max_opened_length(piece.len())];
        let written = opener.open(piece, &mut out).expect("is unchanged");
        opened.extend_from_slice(&out[..written]);
    }
    assert_eq!(opened, cleartext);
    assert_eq!(opener.pending_bytes(), 0);
}

fn seal(sealer: &mut Sealer, data: &[u8]) -> Result<Vec<u8>, Error> {
    const BEYOND: usize = 64;
    let sealed_bytes = sealed_length(data.len());
    let mut out = vec![0xee; sealed_bytes + BEYOND];
    let written = sealer.seal(data, &mut out)?;
    assert_eq!(written, sealed_bytes);
    assert_eq!(out[written..], [0xee; BEYOND], "written beyond what was sealed");
    out.truncate(written);
    Ok(out)
}

fn seal_by_reference(input: &Input, packets_before: usize, data: &[u8]) -> Result<Vec<u8>, Error> {
    if data.is_empty() {
        return Err(Error::Buffer);
    }
    let first = u128::from(input.first_number) + packets_before as u128;
    let packets = (first..).zip(data.chunks(DATA)).map(|(number, data)| {
        let number = u64::try_from(number).map_err(|_| Error::PacketNumbersUsedUp)?;
        Ok(input.keys.packet(number, data, data.len() as u32))
    });
    Ok(packets.collect::<Result<Vec<_>, _>>()?.concat())
}
