//! What holds for any data, any pieces and any packet that is not right.
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

/// Lengths of pieces, taken one after the other and then from the first again.
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
            let mut memory = vec![0; *length];
            match socket.read(&mut memory).unwrap() {
                0 => break,
                read => bytes.extend_from_slice(&memory[..read]),
            }
        }
        bytes
    })
}

#[derive(Clone, Copy, Debug)]
enum Wrong {
    Changed { bit: usize },
    Dropped,
    Repeated,
    Swapped,
}

fn wrong() -> impl Strategy<Value = Wrong> {
    let changed = (0..8 * PACKET_BYTES).prop_map(|bit| Wrong::Changed { bit });
    prop_oneof![changed, Just(Wrong::Dropped), Just(Wrong::Repeated), Just(Wrong::Swapped)]
}

/// The packets with one that is wrong, and how many are right before it.
fn with_wrong(data: &[u8], wrong: Wrong, at: prop::sample::Index) -> (Vec<u8>, usize) {
    let mut sealed = vec![0; sealed_length(data.len())];
    sealer(1).seal(data, &mut sealed).unwrap();
    let mut packets: Vec<Vec<u8>> = sealed.chunks(PACKET_BYTES).map(<[u8]>::to_vec).collect();
    // What comes after shows that one is missing.
    let at = at.index(packets.len() - 1);
    match wrong {
        Wrong::Changed { bit } => packets[at][bit / 8] ^= 1 << (bit % 8),
        Wrong::Dropped => drop(packets.remove(at)),
        Wrong::Repeated => packets.insert(at + 1, packets[at].clone()),
        Wrong::Swapped => packets.swap(at, at + 1),
    }
    (packets.concat(), at + usize::from(matches!(wrong, Wrong::Repeated)))
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
        // Writing byte by byte is what it is about, and not writing 200,000 times.
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
    fn a_changed_dropped_repeated_or_swapped_packet_delivers_nothing_wrong_and_ends_it(
        kind in kind(),
        size in 1_025..90_000_usize,
        wrong in wrong(),
        at in any::<prop::sample::Index>(),
        pieces in pieces(),
    ) {
        let relay = relay(1, true, 1 << 20);
        let (peer, source) = connected(Kind::Tcp);
        let (target, service) = connected(kind);
        let one = add_server(&relay, source, target);
        let data = pattern(size, 3);
        let (packets, right) = with_wrong(&data, wrong, at);
        let pieces = if pieces.iter().all(|length| *length < 1_000) { vec![1_059] } else { pieces };
        let writing = {
            let peer = peer.try_clone().unwrap();
            thread::spawn(move || {
                let mut left = packets.as_slice();
                for length in pieces.iter().cycle() {
                    let (piece, rest) = left.split_at((*length).min(left.len()));
                    // Once it has ended, nobody reads what is left.
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
        // Its owner resets them; what was delivered is there.
        service.set_read_timeout(Some(LIMIT)).unwrap();
        let delivered = one.handle.counters().forward() as usize;
        prop_assert!(delivered <= right * 1_024);
        prop_assert!(support::read(&service, delivered) == data[..delivered]);
        service.set_nonblocking(true).unwrap();
        prop_assert!((&service).read(&mut [0; 1]).is_err(), "neither more nor an end");
        drop(ended);
        writing.join().unwrap();
    }
}
