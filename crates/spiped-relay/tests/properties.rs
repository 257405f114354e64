//! Properties that hold for any data, any pieces and any invalid packet.
#![cfg(unix)]
#![allow(clippy::unwrap_used)]

mod support;

use std::{io::Read, net::Shutdown, thread};

use proptest::{collection::vec, prelude::*};
use socket2::Socket;
use spiped_core::{Error, PACKET_BYTES, sealed_length};
use spiped_relay::{Budget, End, Relay, Settings};
use support::{KINDS, Kind, LIMIT, add_server, connected, pattern, sealer, tunnel};

fn kind() -> impl Strategy<Value = Kind> {
    prop::sample::select(KINDS.to_vec())
}

/// Lengths of pieces, to be used cyclically.
fn pieces() -> impl Strategy<Value = Vec<usize>> {
    vec(prop_oneof![1..4_usize, 1_020..1_030_usize, 1_056..1_064_usize, 1..80_000_usize], 1..8)
}

fn relay(threads: usize, coalescing: bool, limit_bytes: usize) -> Relay {
    Relay::start(&Settings { threads, coalescing, budget: Budget::new(limit_bytes) }).unwrap()
}

fn write_in_pieces(socket: &Socket, bytes: Vec<u8>, pieces: Vec<usize>) -> thread::JoinHandle<()> {
    let socket = socket.try_clone().unwrap();
    thread::spawn(move || {
        let mut left = bytes.as_slice();
        for length in pieces.iter().cycle() {
            let (piece, rest) = left.split_at((*length).min(left.len()));
            support::write(&socket, piece);
            left = rest;
            if left.is_empty() {
                break;
            }
        }
        socket.shutdown(Shutdown::Write).unwrap();
    })
}

fn read_in_pieces(socket: &Socket, pieces: Vec<usize>) -> thread::JoinHandle<Vec<u8>> {
    let mut socket = socket.try_clone().unwrap();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        for length in pieces.iter().cycle() {
            let mut buffer = vec![0; *length];
            match socket.read(&mut buffer).unwrap() {
                0 => break,
                read => bytes.extend_from_slice(&buffer[..read]),
            }
        }
        bytes
    })
}

#[derive(Clone, Copy, Debug)]
enum Tamper {
    Changed { bit: usize },
    Dropped,
    Repeated,
    Swapped,
}

fn tamper() -> impl Strategy<Value = Tamper> {
    let changed = (0..8 * PACKET_BYTES).prop_map(|bit| Tamper::Changed { bit });
    prop_oneof![changed, Just(Tamper::Dropped), Just(Tamper::Repeated), Just(Tamper::Swapped)]
}

/// The packets of `data`, one of them invalid, and the number of valid packets before it.
fn with_tampered_packet(data: &[u8], tamper: Tamper, at: prop::sample::Index) -> (Vec<u8>, usize) {
    let mut sealed = vec![0; sealed_length(data.len())];
    sealer(1).seal(data, &mut sealed).unwrap();
    let mut packets: Vec<Vec<u8>> = sealed.chunks(PACKET_BYTES).map(<[u8]>::to_vec).collect();
    // Not the last packet: a later one must show that it is missing.
    let at = at.index(packets.len() - 1);
    match tamper {
        Tamper::Changed { bit } => packets[at][bit / 8] ^= 1 << (bit % 8),
        Tamper::Dropped => drop(packets.remove(at)),
        Tamper::Repeated => packets.insert(at + 1, packets[at].clone()),
        Tamper::Swapped => packets.swap(at, at + 1),
    }
    (packets.concat(), at + usize::from(matches!(tamper, Tamper::Repeated)))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn any_data_in_any_pieces_arrives_unchanged_both_ways(
        kind in kind(),
        sizes in [0..200_000_usize, 0..200_000_usize],
        written in [pieces(), pieces()],
        read in [pieces(), pieces()],
        (threads, coalescing, limit_bytes) in (1..3_usize, any::<bool>(), 0..100_000_usize),
    ) {
        // Writing byte by byte needs little data.
        let sizes = [0, 1].map(|way: usize| match written[way].iter().chain(&read[way]).max() {
            Some(1_000..) => sizes[way],
            _ => sizes[way] % 3_000,
        });
        let relay = relay(threads, coalescing, limit_bytes);
        let tunnel = tunnel(&relay, kind);
        let data = [0, 1].map(|way: usize| pattern(sizes[way], way as u64));
        let [forward, reverse] = written;
        let writing = [
            write_in_pieces(&tunnel.program, data[0].clone(), forward),
            write_in_pieces(&tunnel.service, data[1].clone(), reverse),
        ];
        let [forward, reverse] = read;
        let reading = [read_in_pieces(&tunnel.service, forward), read_in_pieces(&tunnel.program, reverse)];
        for (reader, sent) in reading.into_iter().zip(&data) {
            prop_assert!(reader.join().unwrap() == *sent);
        }
        for writer in writing {
            writer.join().unwrap();
        }
        for one in [&tunnel.near, &tunnel.far] {
            prop_assert!(matches!(one.ended().end, End::Orderly));
            let counters = one.handle.counters();
            prop_assert_eq!((counters.forward(), counters.reverse()), (sizes[0] as u64, sizes[1] as u64));
        }
    }

    #[test]
    fn a_changed_dropped_repeated_or_swapped_packet_ends_the_connection_and_delivers_nothing_wrong(
        kind in kind(),
        size in 1_025..90_000_usize,
        tamper in tamper(),
        at in any::<prop::sample::Index>(),
        pieces in pieces(),
    ) {
        let relay = relay(1, true, 1 << 20);
        let (peer, source) = connected(Kind::Tcp);
        let (target, service) = connected(kind);
        let one = add_server(&relay, source, target);
        let data = pattern(size, 3);
        let (packets, valid) = with_tampered_packet(&data, tamper, at);
        let pieces = if pieces.iter().all(|length| *length < 1_000) { vec![1_059] } else { pieces };
        let writing = {
            let peer = peer.try_clone().unwrap();
            thread::spawn(move || {
                let mut left = packets.as_slice();
                for length in pieces.iter().cycle() {
                    let (piece, rest) = left.split_at((*length).min(left.len()));
                    // Fails once the connection has ended.
                    let _ = peer.send(piece);
                    left = rest;
                    if left.is_empty() {
                        break;
                    }
                }
            })
        };
        let ended = one.ended();
        prop_assert!(matches!(ended.end, End::Rejected(Error::PacketMac)), "{:?}", ended.end);
        // The owner has not closed the sockets, so everything delivered before can be read.
        service.set_read_timeout(Some(LIMIT)).unwrap();
        let delivered = one.handle.counters().forward() as usize;
        prop_assert!(delivered <= valid * 1_024);
        prop_assert!(support::read(&service, delivered) == data[..delivered]);
        service.set_nonblocking(true).unwrap();
        prop_assert!((&service).read(&mut [0; 1]).is_err(), "neither data nor the end of the stream follows");
        drop(ended);
        writing.join().unwrap();
    }
}
