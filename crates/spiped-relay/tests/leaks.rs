//! For any sequence of actions of both sides, buffered bytes stay within their limit, and every descriptor and thread is
//! released. A single test, since it counts the process's descriptors and threads.
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
enum Action {
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
    action: Action,
}

fn step() -> impl Strategy<Value = Step> {
    let action = prop_oneof![
        4 => prop_oneof![1..2_000_usize, 60_000..900_000_usize].prop_map(|bytes| Action::Write { bytes }),
        1 => Just(Action::Finish),
        1 => Just(Action::Close),
        1 => Just(Action::Reset),
        1 => Just(Action::CancelNear),
        1 => Just(Action::CancelFar),
        1 => Just(Action::Pause),
    ];
    (0..3_usize, any::<bool>(), action).prop_map(|(tunnel, by_service, action)| Step { tunnel, by_service, action })
}

fn count(folder: &str) -> usize {
    fs::read_dir(folder).unwrap().count()
}

fn resources() -> (usize, usize) {
    (count("/proc/self/fd"), count("/proc/self/task"))
}

/// Runs the steps. No peer reads.
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
    for Step { tunnel, by_service, action } in steps {
        let socket = &mut sockets[*tunnel][usize::from(*by_service)];
        match (action, &socket) {
            (Action::Write { bytes }, Some(open)) => {
                open.set_nonblocking(true).unwrap();
                // Fails if the connection has ended.
                let _ = (&mut &*open).write(&vec![7; *bytes]);
            }
            (Action::Finish, Some(open)) => drop(open.shutdown(Shutdown::Write)),
            (Action::Close, _) => drop(socket.take()),
            (Action::Reset, Some(_)) => reset(socket.take().unwrap()),
            (Action::CancelNear, _) => ends[*tunnel][0].handle.cancel(),
            (Action::CancelFar, _) => ends[*tunnel][1].handle.cancel(),
            (Action::Pause, _) => thread::sleep(Duration::from_millis(1)),
            _ => {}
        }
        assert!(budget.buffered_bytes() <= bound, "{} bytes are buffered, more than {bound}", budget.buffered_bytes());
    }
    // In half of the cases, dropping the relay cancels the connections.
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
fn no_sequence_of_actions_leaks_or_buffers_too_much() {
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
            let start = Instant::now();
            // Threads exit after their last connection has ended.
            while resources() != before {
                prop_assert!(start.elapsed() < LIMIT, "{:?} are left of {before:?}", resources());
                thread::sleep(Duration::from_micros(100));
            }
            Ok(())
        })
        .unwrap();
}
