//! The memory buffered for stalled readers is bounded, and descriptors and memory are released. A single test, since it
//! counts the process's descriptors.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)]

mod support;

use std::{fs, thread, time::Duration};

use socket2::Socket;
use spiped_relay::{Budget, End};
use support::{Kind, add_client, connected, read_all, relay, send_all, tunnel};

/// Writes until the socket has been full for 50 ms, or for 2 s while `is_full` is false, since the relay may just be
/// slow.
fn fill(socket: &Socket, is_full: impl Fn() -> bool) {
    socket.set_nonblocking(true).unwrap();
    let mut idle = 0;
    while idle < 25 || (idle < 1_000 && !is_full()) {
        if socket.send(&[7; 65_536]).is_ok() {
            idle = 0;
        } else {
            idle += 1;
            thread::sleep(Duration::from_millis(2));
        }
    }
    socket.set_nonblocking(false).unwrap();
}

fn open_descriptors() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}

fn stalled_readers_buffer_one_read_each_and_the_budget_in_total() {
    const LIMIT_BYTES: usize = 8_000;
    let budget = Budget::new(LIMIT_BYTES);
    let relay = relay(1, &budget);
    let mut stalled = Vec::new();
    for number in 1..=20 {
        let (program, source) = connected(Kind::Tcp);
        let (target, full) = connected(Kind::Tcp);
        let one = add_client(&relay, source, target);
        let buffered_before = budget.buffered_bytes();
        fill(&program, || budget.buffered_bytes() >= LIMIT_BYTES || budget.buffered_bytes() > buffered_before);
        assert!(budget.buffered_bytes() <= number * 67_840, "{} bytes for {number}", budget.buffered_bytes());
        stalled.push((program, full, one));
    }
    assert!(budget.buffered_bytes() >= LIMIT_BYTES, "the budget is reached: {}", budget.buffered_bytes());
    assert!(budget.buffered_bytes() <= LIMIT_BYTES + 67_840 + 20 * 1_060, "{} bytes", budget.buffered_bytes());
    // Other connections are not affected.
    let tunnel = tunnel(&relay, Kind::Tcp);
    let sending = send_all(&tunnel.program, support::pattern(3_000_000, 1), 100_000);
    assert!(read_all(&tunnel.service) == support::pattern(3_000_000, 1));
    sending.join().unwrap();
    for (_, _, one) in &stalled {
        one.handle.cancel();
        one.ended();
    }
    drop(tunnel);
    assert_eq!(budget.buffered_bytes(), 0);
}

fn no_order_of_ends_leaks_a_descriptor() {
    let budget = Budget::new(1 << 20);
    let relay = relay(2, &budget);
    let before = open_descriptors();
    for round in 0..300 {
        let tunnel = tunnel(&relay, if round % 2 == 0 { Kind::Tcp } else { Kind::Unix });
        match round % 6 {
            0 => tunnel.near.handle.cancel(),
            1 => drop(tunnel.program.shutdown(std::net::Shutdown::Both)),
            2 => support::reset(tunnel.service.try_clone().unwrap()),
            3 => {
                tunnel.far.handle.cancel();
                tunnel.near.handle.cancel();
                tunnel.far.handle.cancel();
            }
            4 => {
                support::write(&tunnel.program, &[1; 5_000]);
                tunnel.near.handle.cancel();
            }
            _ => {}
        }
        let support::Tunnel { program, service, near, far } = tunnel;
        drop((program, service));
        near.handle.cancel();
        far.handle.cancel();
        let (near, far) = (near.ended(), far.ended());
        assert!(!matches!(near.end, End::Failed(_)) && !matches!(far.end, End::Failed(_)));
    }
    assert_eq!(open_descriptors(), before);
}

#[test]
fn bounds() {
    let before = open_descriptors();
    stalled_readers_buffer_one_read_each_and_the_budget_in_total();
    // The threads close their poll instances when they exit.
    support::until("the relay's descriptors are closed", || open_descriptors() <= before);
    no_order_of_ends_leaks_a_descriptor();
}
