//! Whatever both sides do, in any order: buffered bytes stay below their limit, and every descriptor and thread is
//! freed. Runs alone in its process, since it counts them.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)]

mod support;

use std::{
    fs,
    io::Write,
    net::Shutdown,
    thread,
    time::{Duration, Instant},
};

use proptest::{collection::vec, prelude::*, test_runner::TestRunner};
use spiped_relay::{Budget, End, Relay, Settings};
use support::{KINDS, Kind, LIMIT, Tunnel, reset, tunnel};

const READ_BYTES: usize = 67_840;

#[derive(Clone, Copy, Debug)]
enum Act {
    Write { bytes: usize },
    Finish,
    Close,
    Reset,
    CancelNear,
    CancelFar,
    Pause,
}

#[derive(Clone, Copy, Debug)]
struct Step {
    tunnel: usize,
    by_service: bool,
    act: Act,
}

fn step() -> impl Strategy<Value = Step> {
    let act = prop_oneof![
        4 => prop_oneof![1..2_000_usize, 60_000..900_000_usize].prop_map(|bytes| Act::Write { bytes }),
        1 => Just(Act::Finish),
        1 => Just(Act::Close),
        1 => Just(Act::Reset),
        1 => Just(Act::CancelNear),
        1 => Just(Act::CancelFar),
        1 => Just(Act::Pause),
    ];
    (0..3_usize, any::<bool>(), act).prop_map(|(tunnel, by_service, act)| Step { tunnel, by_service, act })
}

fn count(folder: &str) -> usize {
    fs::read_dir(folder).unwrap().count()
}

fn resources() -> (usize, usize) {
    (count("/proc/self/fd"), count("/proc/self/task"))
}

/// Does all of it; nobody reads.
fn run(kinds: [Kind; 3], threads: usize, limit_bytes: usize, steps: &[Step]) {
    let budget = Budget::new(limit_bytes);
    let relay = Relay::start(&Settings { threads, coalescing: true, budget: budget.clone() }).unwrap();
    let tunnels = kinds.map(|kind| tunnel(&relay, kind));
    let bound = limit_bytes + threads * READ_BYTES + 12 * 1_060;
    let mut sockets: Vec<_> = tunnels
        .iter()
        .map(|Tunnel { program, service, .. }| [program, service].map(|socket| Some(socket.try_clone().unwrap())))
        .collect();
    let mut ends = Vec::new();
    for Tunnel { program, service, near, far } in tunnels {
        drop((program, service));
        ends.push([near, far]);
    }
    for Step { tunnel, by_service, act } in steps {
        let socket = &mut sockets[*tunnel][usize::from(*by_service)];
        match (act, &socket) {
            (Act::Write { bytes }, Some(open)) => {
                open.set_nonblocking(true).unwrap();
                // Fails where it has ended.
                let _ = (&mut &*open).write(&vec![7; *bytes]);
            }
            (Act::Finish, Some(open)) => drop(open.shutdown(Shutdown::Write)),
            (Act::Close, _) => drop(socket.take()),
            (Act::Reset, Some(_)) => reset(socket.take().unwrap()),
            (Act::CancelNear, _) => ends[*tunnel][0].handle.cancel(),
            (Act::CancelFar, _) => ends[*tunnel][1].handle.cancel(),
            (Act::Pause, _) => thread::sleep(Duration::from_millis(1)),
            _ => {}
        }
        assert!(budget.buffered_bytes() <= bound, "{} bytes are held, of {bound}", budget.buffered_bytes());
    }
    // Half of them is left to the relay's own end.
    if steps.len().is_multiple_of(2) {
        ends.iter().flatten().for_each(|end| end.handle.cancel());
    }
    drop(relay);
    for end in ends.iter().flatten() {
        let end = end.ended().end;
        assert!(!matches!(end, End::Failed(_)), "{end:?}");
    }
}

#[test]
fn no_order_of_writes_ends_cancels_and_pauses_leaks_or_holds_too_much() {
    let before = resources();
    let strategy = (
        [0, 1, 2].map(|_| prop::sample::select(KINDS.to_vec())),
        1..3_usize,
        prop_oneof![Just(0_usize), 1..300_000_usize],
        vec(step(), 0..40),
    );
    let mut runner = TestRunner::new(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(100) });
    runner
        .run(&strategy, |(kinds, threads, limit_bytes, steps)| {
            run(kinds, threads, limit_bytes, &steps);
            let begun = Instant::now();
            // Threads end after their last connection.
            while resources() != before {
                prop_assert!(begun.elapsed() < LIMIT, "{:?} are left of {before:?}", resources());
                thread::sleep(Duration::from_micros(100));
            }
            Ok(())
        })
        .unwrap();
}
