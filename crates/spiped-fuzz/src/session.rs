//! Target: two honest ends and an attacker between them who may change any byte. A changed nonce or public value must
//! fail the handshake, and a changed packet must end its direction. Otherwise both ends must derive the reference's keys,
//! and the data of both directions must arrive, in pieces of any size.

use arbitrary::Arbitrary;
use spiped_core::{
    DirectionKeys, Error, Opener, Sealer, SessionKeys,
    handshake::{client, server},
    max_opened_length, sealed_length,
};

use crate::{
    derivations::{Mode, packet_keys, shared_key},
    reference::{DATA, Data, Keys, Length, PACKET, cut},
};

/// The most data per call.
const MAX_CALL_BYTES: usize = 8 * DATA + 1;

/// The input; see the module documentation.
#[derive(Arbitrary, Debug)]
pub struct Input {
    key_file: Vec<u8>,
    /// The server's key file; the client's if `None`.
    other_key_file: Option<Vec<u8>>,
    client: Side,
    server: Side,
    changes: [Option<Change>; 4],
    forward: Flow,
    reverse: Flow,
}

#[derive(Arbitrary, Debug)]
struct Side {
    mode: Mode,
    nonce: [u8; 32],
    x: [u8; 32],
}

#[derive(Arbitrary, Debug)]
struct Change {
    at: u16,
    bits: u8,
}

#[derive(Arbitrary, Debug)]
struct Flow {
    calls: Vec<Data>,
    splits: Vec<Length>,
    change: Option<Change>,
}

impl Change {
    /// Applies the change and returns whether it made a difference.
    fn apply(&self, bytes: &mut [u8]) -> bool {
        if let Some(at) = usize::from(self.at).checked_rem(bytes.len()) {
            bytes[at] ^= self.bits;
        }
        self.bits != 0 && !bytes.is_empty()
    }
}

/// Runs the target.
///
/// # Panics
/// If the core behaves differently from the reference.
pub fn run(input: &Input) {
    let Some((client, server)) = handshake(input) else { return };
    let (forward, reverse) = expected_keys(input);
    flow(&input.forward, &client.seal, &server.open, &forward);
    flow(&input.reverse, &server.seal, &client.open, &reverse);
}

/// Runs the handshake. Returns the keys of client and server, or `None` if it must fail and did.
fn handshake(input: &Input) -> Option<(SessionKeys, SessionKeys)> {
    let same_key = input.other_key_file.as_ref().is_none_or(|other| *other == input.key_file);
    let of_server = input.other_key_file.as_ref().unwrap_or(&input.key_file);
    let [nonce_c_changes, y_c_changes, nonce_s_changes, y_s_changes] = &input.changes;
    let change = |change: &Option<Change>, bytes: &mut [u8]| change.as_ref().is_some_and(|change| change.apply(bytes));

    let key = shared_key(&input.key_file);
    let client = client::NonceSent::new(key, input.client.mode.for_core(), input.client.nonce);
    let server = server::NonceSent::new(shared_key(of_server), input.server.mode.for_core(), input.server.nonce);
    let (mut nonce_c, mut nonce_s) = (*client.nonce(), *server.nonce());
    let mut must_fail = !same_key | change(nonce_c_changes, &mut nonce_c);
    must_fail |= change(nonce_s_changes, &mut nonce_s);
    let key_pair = |side: &Side| side.mode.key_pair(side.x);
    let client = client.receive_nonce(&nonce_s).maced_public(key_pair(&input.client));
    let (client, mut from_client) = client.expect("matches the mode");
    assert_eq!(from_client[..256], input.client.mode.public(input.client.x));
    must_fail |= change(y_c_changes, &mut from_client);

    let server = server.receive_nonce(&nonce_c).verify(&from_client);
    if must_fail {
        assert_eq!(server.err(), Some(Error::WrongMac));
        return None;
    }
    let disagree = |one: &Side, other: &Side| matches!((one.mode, other.mode), (Mode::Require, Mode::Off));
    if disagree(&input.server, &input.client) {
        assert_eq!(server.err(), Some(Error::ForwardSecrecyRequired));
        return None;
    }
    let server = server.expect("is valid").maced_public(key_pair(&input.server));
    let (server, mut from_server) = server.expect("matches the mode");
    let changed = change(y_s_changes, &mut from_server);
    let client = client.verify(&from_server);
    if changed {
        assert_eq!(client.err(), Some(Error::WrongMac));
        return None;
    }
    if disagree(&input.client, &input.server) {
        assert_eq!(client.err(), Some(Error::ForwardSecrecyRequired));
        return None;
    }
    Some((client.expect("is valid").derive_keys(), server.derive_keys()))
}

/// (client → server, server → client)
fn expected_keys(input: &Input) -> (Keys, Keys) {
    let Input { key_file, client, server, .. } = input;
    let y_sc = client.mode.shared_value(client.x, &server.mode.public(server.x));
    packet_keys(key_file, &client.nonce, &server.nonce, &y_sc)
}

/// Seals and opens the data of one direction.
fn flow(flow: &Flow, seal: &DirectionKeys, open: &DirectionKeys, expected: &Keys) {
    let (mut sealer, mut opener) = (Sealer::new(seal), Opener::new(open));
    let (mut cleartext, mut packets, mut number) = (Vec::new(), Vec::new(), 0);
    for call in &flow.calls {
        let data = call.up_to(MAX_CALL_BYTES);
        if data.is_empty() {
            continue;
        }
        let mut out = vec![0; sealed_length(data.len())];
        assert_eq!(sealer.seal(&data, &mut out), Ok(out.len()));
        for (packet, data) in out.chunks(PACKET).zip(data.chunks(DATA)) {
            assert_eq!(packet, expected.packet(number, data, data.len() as u32));
            number += 1;
        }
        cleartext.extend(data);
        packets.extend(out);
    }
    let changed = flow.change.as_ref().is_some_and(|change| change.apply(&mut packets));

    let mut opened = Vec::new();
    let mut outcome = Ok(());
    for piece in cut(&packets, &flow.splits) {
        let mut out = vec![0; max_opened_length(piece.len())];
        match opener.open(piece, &mut out) {
            Ok(length) => opened.extend_from_slice(&out[..length]),
            Err(error) => outcome = outcome.and(Err(error)),
        }
    }
    if changed {
        assert_eq!(outcome, Err(Error::PacketMac));
        assert!(opened.len() < cleartext.len() && cleartext.starts_with(&opened));
    } else {
        assert_eq!(outcome, Ok(()));
        assert!(opened == cleartext);
        assert_eq!(opener.pending_bytes(), 0);
    }
}
