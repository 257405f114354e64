//! Whole tunnels: all data arrives, and the end of a stream arrives after it.
#![cfg(unix)]
#![allow(clippy::unwrap_used)]

mod support;

use std::net::Shutdown;

use spiped_relay::{Budget, End};
use support::{KINDS, Kind, pattern, read, read_all, relay, send_all, tunnel, write};

const SIZES: [usize; 10] = [0, 1, 1_023, 1_024, 1_025, 2_048, 65_535, 65_536, 65_537, 5_000_000];

fn budget() -> Budget {
    Budget::new(32 << 20)
}

#[test]
fn data_of_every_size_arrives_both_ways_at_once_in_pieces_of_any_size() {
    let relay = relay(2, &budget());
    for kind in KINDS {
        for (seed, size) in SIZES.into_iter().enumerate() {
            for piece in [1_061, 64, 300_000] {
                let tunnel = tunnel(&relay, kind);
                let (forward, reverse) = (pattern(size, seed as u64), pattern(size, seed as u64 + 99));
                let sending = [
                    send_all(&tunnel.program, forward.clone(), piece),
                    send_all(&tunnel.service, reverse.clone(), piece),
                ];
                let reading = {
                    let service = tunnel.service.try_clone().unwrap();
                    std::thread::spawn(move || read_all(&service))
                };
                assert!(read_all(&tunnel.program) == reverse, "{size} bytes back in pieces of {piece}, {kind:?}");
                assert!(reading.join().unwrap() == forward, "{size} bytes forward in pieces of {piece}, {kind:?}");
                for one in sending {
                    one.join().unwrap();
                }
                for end in [&tunnel.near, &tunnel.far] {
                    assert!(matches!(end.ended().end, End::Orderly));
                    let counters = end.handle.counters();
                    assert_eq!((counters.forward(), counters.reverse()), (size as u64, size as u64));
                }
            }
        }
    }
}

#[test]
fn each_direction_ends_independently_in_either_order() {
    let relay = relay(1, &budget());
    for kind in KINDS {
        for program_first in [true, false] {
            let tunnel = tunnel(&relay, kind);
            let (first, second) = match program_first {
                true => (&tunnel.program, &tunnel.service),
                false => (&tunnel.service, &tunnel.program),
            };
            write(first, b"last words");
            first.shutdown(Shutdown::Write).unwrap();
            assert_eq!(read_all(second), b"last words");
            // The other direction continues.
            for round in 0..10_u8 {
                write(second, &[round; 100]);
                assert_eq!(read(first, 100), [round; 100]);
            }
            assert!(!tunnel.near.has_ended() && !tunnel.far.has_ended());
            second.shutdown(Shutdown::Write).unwrap();
            assert_eq!(read_all(first), b"");
            assert!(matches!(tunnel.near.ended().end, End::Orderly));
            assert!(matches!(tunnel.far.ended().end, End::Orderly));
        }
    }
}

#[test]
fn counters_are_current_while_bytes_flow() {
    let relay = relay(1, &budget());
    let tunnel = tunnel(&relay, Kind::Tcp);
    for round in 1..=20_u64 {
        write(&tunnel.program, &[1; 700]);
        read(&tunnel.service, 700);
        write(&tunnel.service, &[2; 30]);
        read(&tunnel.program, 30);
        for end in [&tunnel.near, &tunnel.far] {
            let counters = end.handle.counters();
            assert_eq!((counters.forward(), counters.reverse()), (700 * round, 30 * round));
        }
    }
}

#[test]
fn bytes_that_arrived_before_the_connection_was_added_are_forwarded() {
    let relay = relay(1, &budget());
    let (program, near_source) = support::connected(Kind::Tcp);
    let (near_target, far_source) = support::connected(Kind::Tcp);
    let (far_target, service) = support::connected(Kind::Tcp);
    write(&program, b"early");
    program.shutdown(Shutdown::Write).unwrap();
    let near = support::add_client(&relay, near_source, near_target);
    assert_eq!(far_source.peek(&mut [std::mem::MaybeUninit::uninit(); 1_060]).unwrap(), 1_060);
    let far = support::add_server(&relay, far_source, far_target);
    assert_eq!(read_all(&service), b"early");
    service.shutdown(Shutdown::Write).unwrap();
    assert_eq!(read_all(&program), b"");
    assert!(matches!(near.ended().end, End::Orderly));
    assert!(matches!(far.ended().end, End::Orderly));
}

#[test]
fn a_receiver_that_was_full_gets_the_rest_when_it_reads_again() {
    let budget = budget();
    let relay = relay(1, &budget);
    let tunnel = tunnel(&relay, Kind::Unix);
    // More than the buffers of all sockets have room for.
    let sending = send_all(&tunnel.program, pattern(16_000_000, 5), 100_000);
    support::until("the receiver is full", || budget.buffered_bytes() > 0);
    assert!(read_all(&tunnel.service) == pattern(16_000_000, 5));
    sending.join().unwrap();
}
