//! Every way in which a connection can end. Each returns the sockets.
#![cfg(unix)]
#![allow(clippy::unwrap_used)]

mod support;

use std::{net::Shutdown, sync::mpsc::channel, thread};

use socket2::Socket;
use spiped_core::Error;
use spiped_relay::{Budget, End, Framing, Pair, Relay, Side};
use support::{
    KINDS, Kind, LIMIT, add_client, add_server, connected, read, read_all, relay, reset, sealer, tunnel, until, write,
};

fn budget() -> Budget {
    Budget::new(32 << 20)
}

/// A server's end: the peer that sends packets, the service, and the relayed connection.
fn server(relay: &Relay) -> (Socket, Socket, support::Relayed) {
    let (peer, source) = connected(Kind::Tcp);
    let (target, service) = connected(Kind::Tcp);
    (peer, service, add_server(relay, source, target))
}

fn packets(data: &[u8]) -> Vec<u8> {
    let mut packets = vec![0; spiped_core::sealed_length(data.len())];
    sealer(1).seal(data, &mut packets).unwrap();
    packets
}

#[test]
fn a_stream_that_ends_inside_a_packet_is_truncated_wherever_it_ends() {
    let relay = relay(1, &budget());
    let whole = packets(&[5; 2_000]);
    for cut in [1, 2, 1_059, 1_061, 2_119] {
        let (peer, service, one) = server(&relay);
        write(&peer, &whole[..cut]);
        peer.shutdown(Shutdown::Write).unwrap();
        let ended = one.ended();
        assert!(matches!(ended.end, End::Truncated { pending_bytes } if pending_bytes == cut % 1_060), "{ended:?}");
        // The end was not passed on: the owner still has the socket and resets it.
        assert!(cut < 1_060 || read(&service, 1_024) == [5; 1_024]);
        reset(ended.target.into());
        assert!(service.recv(&mut [std::mem::MaybeUninit::uninit(); 1]).is_err());
    }
}

#[test]
fn a_changed_packet_ends_the_connection_and_none_of_it_is_delivered() {
    let relay = relay(1, &budget());
    for bit in [0, 8 * 1_027, 8 * 1_059 + 7] {
        let (peer, service, one) = server(&relay);
        let mut changed = packets(&[5; 1_000]);
        changed[bit / 8] ^= 1 << (bit % 8);
        write(&peer, &changed);
        assert!(matches!(one.ended().end, End::Rejected(Error::PacketMac)));
        assert_eq!(one.handle.counters().forward(), 0);
        drop(service);
    }
}

#[test]
fn a_reset_is_reported_with_the_side_that_reset() {
    let relay = relay(1, &budget());
    for side in [Side::Source, Side::Target] {
        let tunnel = tunnel(&relay, Kind::Tcp);
        write(&tunnel.program, b"x");
        read(&tunnel.service, 1);
        let (ended, other) = match side {
            Side::Source => {
                reset(tunnel.program);
                (tunnel.near.ended(), &tunnel.far)
            }
            Side::Target => {
                reset(tunnel.service);
                (tunnel.far.ended(), &tunnel.near)
            }
        };
        assert!(matches!(&ended.end, End::Broken { side: broken, .. } if *broken == side), "{ended:?}");
        assert!(!other.has_ended(), "only its owner ends it");
    }
}

#[test]
fn a_reset_after_data_or_after_the_end_of_the_stream_is_not_an_orderly_end() {
    for (budget, after_end) in [(budget(), false), (budget(), true), (Budget::new(0), false), (Budget::new(0), true)] {
        let relay = relay(2, &budget);
        for _ in 0..100 {
            let (program, source) = connected(Kind::Tcp);
            let (target, _peer) = connected(Kind::Tcp);
            write(&program, &[1; 3_000]);
            if after_end {
                program.shutdown(Shutdown::Write).unwrap();
            }
            reset(program);
            let one = add_client(&relay, source, target);
            let ended = one.ended();
            assert!(matches!(ended.end, End::Broken { side: Side::Source, .. }), "{ended:?}");
            // Other systems may discard it.
            if cfg!(target_os = "linux") {
                assert_eq!(one.handle.counters().forward(), 3_000, "what came before the reset is forwarded");
            }
        }
    }
}

#[test]
fn a_reset_after_the_end_of_the_stream_was_passed_on_is_noticed() {
    let relay = relay(1, &budget());
    let (program, source) = connected(Kind::Tcp);
    let (target, peer) = connected(Kind::Tcp);
    let one = add_client(&relay, source, target);
    program.shutdown(Shutdown::Write).unwrap();
    assert_eq!(read_all(&peer), b"");
    assert!(!one.has_ended());
    reset(program);
    let ended = one.ended();
    assert!(matches!(ended.end, End::Broken { side: Side::Source, .. }), "{ended:?}");
}

#[test]
fn a_reset_is_noticed_while_the_receiver_is_full() {
    for (kind, budget) in [(Kind::Tcp, budget()), (Kind::Unix, budget()), (Kind::Unix, Budget::new(0))] {
        let relay = relay(1, &budget);
        let (program, source) = connected(Kind::Tcp);
        let (target, _full) = connected(kind);
        let one = add_client(&relay, source, target);
        program.set_nonblocking(true).unwrap();
        let mut idle = 0;
        while idle < 50 {
            match program.send(&[0; 65_536]) {
                Ok(_) => idle = 0,
                Err(_) => {
                    idle += 1;
                    thread::sleep(std::time::Duration::from_millis(2));
                }
            }
        }
        reset(program);
        let ended = one.ended();
        assert!(matches!(ended.end, End::Broken { side: Side::Source, .. }), "{ended:?}");
    }
}

#[test]
fn a_reset_after_more_data_than_the_receiver_has_room_for_is_noticed() {
    for kind in KINDS {
        let relay = relay(1, &budget());
        let (program, source) = connected(Kind::Tcp);
        let (target, _full) = connected(kind);
        target.set_send_buffer_size(1).unwrap();
        let one = add_client(&relay, source, target);
        write(&program, b"x");
        until("a byte is forwarded", || one.handle.counters().forward() > 0);
        // Blocks the relay's thread, so that it sees the data and the reset at the same time.
        let (near, far) = connected(Kind::Unix);
        let (unblock, blocked) = channel::<()>();
        let (started, is_blocked) = channel();
        let (source, target) = (near.into(), far.into());
        let (forward, reverse) = (Framing::Seal(sealer(1)), Framing::Seal(sealer(1)));
        let other = relay.add(Pair { source, target, forward, reverse }, move |_| {
            started.send(()).unwrap();
            let _ = blocked.recv();
        });
        other.cancel();
        is_blocked.recv_timeout(LIMIT).unwrap();
        program.set_nonblocking(true).unwrap();
        while program.send(&[0; 65_536]).is_ok() {}
        reset(program);
        drop(unblock);
        let ended = one.ended();
        assert!(matches!(ended.end, End::Broken { side: Side::Source, .. }), "{ended:?}");
    }
}

#[test]
fn cancelling_a_connection_or_dropping_the_relay_returns_the_sockets() {
    let relay = relay(2, &budget());
    let first = tunnel(&relay, Kind::Unix);
    first.near.handle.cancel();
    // Kept, so that its sockets stay open and the far end does not end because of them.
    let near = first.near.ended();
    assert!(matches!(near.end, End::Cancelled));
    first.near.handle.cancel();
    write(&first.service, b"the far end is still open");
    drop(relay);
    assert!(matches!(first.far.ended().end, End::Cancelled));
}
