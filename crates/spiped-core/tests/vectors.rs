//! The known answers of `test/vectors`: whole, byte by byte, and with one bit flipped. Longer than most files, since each
//! kind of vector has its tests here.

mod support;

use ring::digest;
use spiped_core::{
    DirectionKeys, Error, KeyPair, Opener, Sealer, SessionKeys,
    handshake::{ForwardSecrecy, client, server},
};
use support::{
    ONE, assert_same_keys, bytes_of, dh_mac_keys, maced, open, packet_keys, seal, shared_key,
    vectors::{self, Dh, Expect, Kdf, Packet, Side, Transcript},
};

#[test]
fn an_unknown_field_is_an_error() {
    fn refuses<T: serde::de::DeserializeOwned>(name: &str) {
        let with_one_more = vectors::text(name).replacen("\"name\":", "\"surprise\": 1, \"name\":", 1);
        let error = vectors::parse::<T>(&with_one_more).err().unwrap_or_else(|| panic!("{name}: accepts it"));
        assert!(error.to_string().contains("surprise"), "{name}: {error}");
    }
    refuses::<Kdf>("kdf");
    refuses::<Dh>("dh");
    refuses::<Packet>("packet");
    refuses::<Transcript>("transcript");
}

#[test]
fn every_key_derivation_yields_the_known_keys() {
    for vector in vectors::kdf() {
        let (nonce_c, nonce_s) = (vector.nonce_c.array(), vector.nonce_s.array());
        let (mac_key_c, mac_key_s) = (vector.dh_mac_key_c.array(), vector.dh_mac_key_s.array());
        // K is not exposed, but everything below depends on it.
        assert_eq!(digest::digest(&digest::SHA256, &vector.key_file.0).as_ref(), vector.secret.0, "{}", vector.name);
        // Without forward secrecy on either side, the keys depend only on K and the nonces.
        assert_eq!(vector.y_sc.0, ONE, "{}", vector.name);

        let client = client::NonceSent::new(shared_key(&vector.key_file.0), ForwardSecrecy::Off, nonce_c);
        let (client, from_client) =
            client.receive_nonce(&nonce_s).maced_public(KeyPair::without_forward_secrecy()).expect("goes with off");
        assert_eq!(from_client, maced(&mac_key_c, &ONE), "{}", vector.name);

        let server = server::NonceSent::new(shared_key(&vector.key_file.0), ForwardSecrecy::Off, nonce_s);
        let (server, from_server) = server
            .receive_nonce(&nonce_c)
            .verify(&from_client)
            .expect("is right")
            .maced_public(KeyPair::without_forward_secrecy())
            .expect("goes with off");
        assert_eq!(from_server, maced(&mac_key_s, &ONE), "{}", vector.name);

        let forward = DirectionKeys::from_bytes(&vector.e_c.array(), &vector.h_c.array());
        let reverse = DirectionKeys::from_bytes(&vector.e_s.array(), &vector.h_s.array());
        let of_client = client.verify(&from_server).expect("is right").derive_keys();
        assert_same_keys(&of_client.seal, &forward);
        assert_same_keys(&of_client.open, &reverse);
        let of_server = server.derive_keys();
        assert_same_keys(&of_server.seal, &reverse);
        assert_same_keys(&of_server.open, &forward);
    }
}

#[test]
fn every_key_has_the_known_id() {
    for vector in vectors::kdf() {
        assert_eq!(shared_key(&vector.key_file.0).id(), vector.key_id.array(), "{}", vector.name);
    }
}

#[test]
fn a_key_file_in_pieces_gives_the_same_key() {
    for vector in vectors::kdf() {
        let mut hasher = spiped_core::KeyHasher::new();
        for byte in &vector.key_file.0 {
            hasher.update(&[*byte]);
        }
        let client = client::NonceSent::new(hasher.finish(), ForwardSecrecy::Off, vector.nonce_c.array());
        let (_, from_client) = client
            .receive_nonce(&vector.nonce_s.array())
            .maced_public(KeyPair::without_forward_secrecy())
            .expect("goes with off");
        assert_eq!(from_client, maced(&vector.dh_mac_key_c.array(), &ONE), "{}", vector.name);
    }
}

#[test]
fn one_flipped_bit_of_a_key_file_or_a_nonce_changes_the_keys() {
    for vector in vectors::kdf() {
        let (nonce_c, nonce_s) = (vector.nonce_c.array(), vector.nonce_s.array());
        let first_public = |key_file: &[u8], nonce_c: [u8; 32], nonce_s: [u8; 32]| {
            let client = client::NonceSent::new(shared_key(key_file), ForwardSecrecy::Off, nonce_c);
            client.receive_nonce(&nonce_s).maced_public(KeyPair::without_forward_secrecy()).expect("goes with off").1
        };
        let expected = first_public(&vector.key_file.0, nonce_c, nonce_s);
        for bit in 0..256 {
            assert_ne!(expected, first_public(&vector.key_file.0, flipped(&nonce_c, bit), nonce_s));
            assert_ne!(expected, first_public(&vector.key_file.0, nonce_c, flipped(&nonce_s, bit)));
        }
        for bit in 0..vector.key_file.0.len() * 8 {
            let mut key_file = vector.key_file.0.clone();
            key_file[bit / 8] ^= 1 << (bit % 8);
            assert_ne!(expected, first_public(&key_file, nonce_c, nonce_s));
        }
    }
}

#[test]
fn both_sides_compute_the_known_shared_value() {
    for vector in vectors::dh() {
        let (Some(x), Some(y), Some(y_sc)) = (&vector.x, &vector.y, &vector.y_sc) else {
            continue;
        };
        let (key_file, nonce_c, nonce_s) = (b"any", bytes_of(1), bytes_of(2));
        let (mac_key_c, mac_key_s) = dh_mac_keys(key_file, &nonce_c, &nonce_s);
        let (forward, reverse) = packet_keys(key_file, &nonce_c, &nonce_s, &y_sc.array());

        let client = client::NonceSent::new(shared_key(key_file), ForwardSecrecy::Require, nonce_c);
        let (client, from_client) =
            client.receive_nonce(&nonce_s).maced_public(KeyPair::from_exponent(&x.array())).expect("goes with require");
        assert_eq!(from_client, maced(&mac_key_c, &y.array()), "{}", vector.name);
        let keys = client.verify(&maced(&mac_key_s, &vector.peer_y.array())).expect("is right").derive_keys();
        assert_same_keys(&keys.seal, &forward);
        assert_same_keys(&keys.open, &reverse);

        let server = server::NonceSent::new(shared_key(key_file), ForwardSecrecy::Require, nonce_s);
        let (server, from_server) = server
            .receive_nonce(&nonce_c)
            .verify(&maced(&mac_key_c, &vector.peer_y.array()))
            .expect("is right")
            .maced_public(KeyPair::from_exponent(&x.array()))
            .expect("goes with require");
        assert_eq!(from_server, maced(&mac_key_s, &y.array()), "{}", vector.name);
        let keys = server.derive_keys();
        assert_same_keys(&keys.seal, &reverse);
        assert_same_keys(&keys.open, &forward);
    }
}

#[test]
fn every_public_value_of_a_server_has_the_known_outcome() {
    for vector in vectors::dh() {
        let (Some(mac_key_s), Some(peer_mac)) = (&vector.dh_mac_key_s, &vector.peer_mac) else {
            continue;
        };
        let kdf = vectors::kdf().into_iter().find(|kdf| kdf.dh_mac_key_s == *mac_key_s).expect("a key file for it");
        let received: [u8; 288] = [vector.peer_y.0.as_slice(), &peer_mac.0].concat().try_into().expect("288 bytes");

        let outcome = |forward_secrecy, received: &[u8; 288]| {
            let client = client::NonceSent::new(shared_key(&kdf.key_file.0), forward_secrecy, kdf.nonce_c.array());
            let key_pair = match forward_secrecy {
                ForwardSecrecy::Off => KeyPair::without_forward_secrecy(),
                ForwardSecrecy::Allow | ForwardSecrecy::Require => KeyPair::from_exponent(&bytes_of(3)),
            };
            let (client, _) = client.receive_nonce(&kdf.nonce_s.array()).maced_public(key_pair).expect("fits");
            client.verify(received).map(|_| ())
        };
        let (usually, required) = match vector.expect {
            Expect::Success => (Ok(()), Ok(())),
            Expect::SuccessUnlessForwardSecrecyIsRequired => (Ok(()), Err(Error::ForwardSecrecyRequired)),
            Expect::DhOutOfRange => (Err(Error::DhOutOfRange), Err(Error::DhOutOfRange)),
            Expect::BadMac => (Err(Error::WrongMac), Err(Error::WrongMac)),
            Expect::BadLength => panic!("{}: not an outcome of a handshake", vector.name),
        };
        assert_eq!(outcome(ForwardSecrecy::Off, &received), usually, "{}", vector.name);
        assert_eq!(outcome(ForwardSecrecy::Allow, &received), usually, "{}", vector.name);
        assert_eq!(outcome(ForwardSecrecy::Require, &received), required, "{}", vector.name);

        for bit in 0..received.len() * 8 {
            let flipped = flipped(&received, bit);
            let repaired = vector.expect == Expect::BadMac && outcome(ForwardSecrecy::Off, &flipped).is_ok();
            assert!(
                repaired || outcome(ForwardSecrecy::Off, &flipped) == Err(Error::WrongMac),
                "{}, bit {bit}",
                vector.name
            );
        }
    }
}

#[test]
fn every_packet_has_the_known_outcome_whole_and_byte_by_byte() {
    for vector in vectors::packet() {
        let expected = match vector.expect {
            Expect::Success => Ok(vector.cleartext.as_ref().expect("success has a cleartext").0.clone()),
            Expect::BadMac => Err(Error::PacketMac),
            Expect::BadLength => Err(Error::PacketLength),
            other => panic!("{}: {other:?} is not an outcome of a packet", vector.name),
        };
        assert_eq!(open(&mut opener(&vector), [vector.packet.0.as_slice()]), expected, "{}", vector.name);
        assert_eq!(open(&mut opener(&vector), vector.packet.0.chunks(1)), expected, "{}, byte by byte", vector.name);
    }
}

#[test]
fn every_known_cleartext_seals_to_the_known_packet() {
    for vector in vectors::packet() {
        let Some(cleartext) = &vector.cleartext else { continue };
        let mut sealer = Sealer::starting_at(&keys(&vector), number(&vector));
        let sealed = seal(&mut sealer, &cleartext.0).expect("is sealed");
        // A peer may send any padding; spiped sends zeros.
        assert_eq!(sealed == vector.packet.0, vector.name != "padding_not_zero", "{}", vector.name);
    }
}

#[test]
fn no_packet_opens_with_one_bit_flipped() {
    for vector in vectors::packet().iter().filter(|vector| vector.expect == Expect::Success) {
        for bit in 0..vector.packet.0.len() * 8 {
            let packet = flipped::<1060>(&vector.packet.array(), bit);
            let outcome = open(&mut opener(vector), [packet.as_slice()]);
            assert_eq!(outcome, Err(Error::PacketMac), "{}, bit {bit}", vector.name);
        }
    }
}

#[test]
fn no_packet_opens_under_another_number() {
    for vector in vectors::packet().iter().filter(|vector| vector.expect == Expect::Success) {
        for bit in 0..64 {
            let mut opener = Opener::starting_at(&keys(vector), number(vector) ^ 1 << bit);
            assert_eq!(open(&mut opener, [vector.packet.0.as_slice()]), Err(Error::PacketMac), "{}", vector.name);
        }
    }
}

#[test]
fn every_recorded_connection_can_be_opened_and_reproduced() {
    for vector in vectors::transcript() {
        let (sent, keys) = replay(&vector).expect("the recorded handshake is right");
        let (ours, peers) = ours_and_peers(&vector);
        assert_eq!(sent.as_slice(), ours.dh.0, "{}", vector.name);

        // The peer's packets, whole and byte by byte.
        let stream: Vec<u8> = peers.packets.iter().flat_map(|packet| packet.0.iter().copied()).collect();
        for piece_bytes in [stream.len(), 1] {
            let opened = open(&mut Opener::new(&keys.open), stream.chunks(piece_bytes)).expect("opens");
            assert_eq!(opened, vector.cleartext_both_ways.0, "{}, {piece_bytes} bytes at a time", vector.name);
        }

        // This side's packets, with the recorded boundaries.
        let (mut reader, mut sealer) = (Opener::new(&keys.seal), Sealer::new(&keys.seal));
        for packet in &ours.packets {
            let data = open(&mut reader, [packet.0.as_slice()]).expect("opens");
            assert_eq!(seal(&mut sealer, &data).expect("is sealed"), packet.0, "{}", vector.name);
        }

        // Both directions' keys come from the recorded y_SC.
        let (nonce_c, nonce_s) = (vector.client_sends.nonce.array(), vector.server_sends.nonce.array());
        let (forward, reverse) = packet_keys(&vector.key_file.0, &nonce_c, &nonce_s, &vector.y_sc.array());
        let (seals, opens) = if vector.x_is == Side::Client { (forward, reverse) } else { (reverse, forward) };
        assert_same_keys(&keys.seal, &seals);
        assert_same_keys(&keys.open, &opens);
    }
}

#[test]
fn every_recorded_connection_fails_with_one_flipped_bit() {
    for vector in vectors::transcript() {
        // The handshake: the first and last bit of each part that the peer sends.
        for (field, bit) in [(0, 0), (0, 255), (1, 0), (1, 8 * 256 - 1), (1, 8 * 256), (1, 8 * 288 - 1)] {
            let mut damaged = vectors::transcript().into_iter().find(|other| other.name == vector.name).expect("same");
            let peers = match damaged.x_is {
                Side::Client => &mut damaged.server_sends,
                Side::Server => &mut damaged.client_sends,
            };
            let bytes = if field == 0 { &mut peers.nonce.0 } else { &mut peers.dh.0 };
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(replay(&damaged).err(), Some(Error::WrongMac), "{}, field {field}, bit {bit}", vector.name);
        }

        // The packets: every bit of each.
        let (_, keys) = replay(&vector).expect("the recorded handshake is right");
        let (_, peers) = ours_and_peers(&vector);
        for (number, packet) in (0..).zip(&peers.packets) {
            for bit in 0..packet.0.len() * 8 {
                let damaged = flipped::<1060>(&packet.array(), bit);
                let outcome = open(&mut Opener::starting_at(&keys.open, number), [damaged.as_slice()]);
                assert_eq!(outcome, Err(Error::PacketMac), "{}, packet {number}, bit {bit}", vector.name);
            }
        }
    }
}

/// Plays the side that x belongs to. Returns what it sends after the nonces, and its keys.
fn replay(vector: &Transcript) -> Result<([u8; 288], SessionKeys), Error> {
    let key = shared_key(&vector.key_file.0);
    let key_pair = KeyPair::from_exponent(&vector.x.array());
    let forward_secrecy =
        if vector.x.0.iter().all(|byte| *byte == 0) { ForwardSecrecy::Off } else { ForwardSecrecy::Allow };
    let (nonce_c, nonce_s) = (vector.client_sends.nonce.array(), vector.server_sends.nonce.array());
    match vector.x_is {
        Side::Client => {
            let client = client::NonceSent::new(key, forward_secrecy, nonce_c).receive_nonce(&nonce_s);
            let (client, sent) = client.maced_public(key_pair)?;
            Ok((sent, client.verify(&vector.server_sends.dh.array())?.derive_keys()))
        }
        Side::Server => {
            let server = server::NonceSent::new(key, forward_secrecy, nonce_s).receive_nonce(&nonce_c);
            let (server, sent) = server.verify(&vector.client_sends.dh.array())?.maced_public(key_pair)?;
            Ok((sent, server.derive_keys()))
        }
    }
}

fn ours_and_peers(vector: &Transcript) -> (&vectors::Sent, &vectors::Sent) {
    match vector.x_is {
        Side::Client => (&vector.client_sends, &vector.server_sends),
        Side::Server => (&vector.server_sends, &vector.client_sends),
    }
}

fn keys(vector: &Packet) -> DirectionKeys {
    DirectionKeys::from_bytes(&vector.e.array(), &vector.h.array())
}

fn number(vector: &Packet) -> u64 {
    vector.number.parse().expect("a packet number")
}

fn opener(vector: &Packet) -> Opener {
    Opener::starting_at(&keys(vector), number(vector))
}

fn flipped<const N: usize>(bytes: &[u8; N], bit: usize) -> [u8; N] {
    let mut flipped = *bytes;
    flipped[bit / 8] ^= 1 << (bit % 8);
    flipped
}
