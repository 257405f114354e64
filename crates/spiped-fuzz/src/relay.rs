//! Target: connections in a relay whose peers write any number of bytes, read or stall, end their stream, close or reset
//! it, and send packets that are changed, dropped, repeated or swapped, in any order; their owner may cancel them.
//!
//! It checks that every byte that arrives is correct, that an orderly end is seen if and only if everything before it
//! arrived, that the reported reason for an end did occur, that a peer that reads gets everything, that buffered memory
//! stays within its bound, that the relay never spins, and that no descriptor leaks.

mod peer_socket;
mod peers;
mod trial;

use std::{
    fs, thread,
    time::{Duration, Instant},
};

use arbitrary::{Arbitrary, Result, Unstructured};
use spiped_relay::{Budget, Stepped, Then};

use crate::reference::Length;
use trial::Trial;

/// The most that one read returns, which is buffered if its receiver is full; and the same for reads of a single packet.
const READ: usize = 64 * 1_060;
const PACKET_READ: usize = 1_060;
/// More connections cover nothing new.
const MAX_CONNECTIONS: usize = 3;
/// Far more steps than a relay takes to become idle.
const MAX_STEPS: usize = 100_000;
/// Longer than the loopback takes to deliver, even under load.
pub(crate) const LIMIT: Duration = Duration::from_secs(10);

/// The input; see the module documentation.
#[derive(Arbitrary, Debug)]
pub struct Input {
    coalescing: bool,
    limit_bytes: u16,
    first: Setup,
    others: Vec<Setup>,
    finale: Finale,
    schedule: Schedule,
}

/// Pairs of a connection's index and an action, until the input is used up.
#[derive(Debug)]
struct Schedule(Vec<(u8, Action)>);

impl<'a> Arbitrary<'a> for Schedule {
    fn arbitrary(bytes: &mut Unstructured<'a>) -> Result<Self> {
        let mut schedule = Vec::new();
        while !bytes.is_empty() {
            schedule.push(bytes.arbitrary()?);
        }
        Ok(Self(schedule))
    }
}

#[derive(Arbitrary, Clone, Copy, Debug)]
pub(crate) struct Setup {
    role: Role,
    source: Kind,
    target: Kind,
}

#[derive(Arbitrary, Clone, Copy, Debug, PartialEq)]
pub(crate) enum Role {
    /// Cleartext at the source.
    Client,
    /// Packets at the source.
    Server,
}

/// A pair of sockets. TCP is rare: it is slower, and its ports stay in TIME_WAIT.
#[derive(Arbitrary, Clone, Copy, Debug, PartialEq)]
pub(crate) enum Kind {
    Small,
    Large,
    SmallToo,
    SmallThree,
    LargeToo,
    SmallFour,
    SmallFive,
    Tcp,
}

#[derive(Arbitrary, Clone, Copy, Debug, PartialEq)]
pub(crate) enum Peer {
    Cleartext,
    Packets,
}

pub(crate) const PEERS: [Peer; 2] = [Peer::Cleartext, Peer::Packets];

#[derive(Arbitrary, Debug)]
enum Action {
    Write { peer: Peer, length: Length },
    Read { peer: Peer, length: u16 },
    Finish(Peer),
    Close(Peer),
    Reset(Peer),
    Tamper(Tamper),
    Cancel,
    Step,
    Settle,
}

/// What happens to the next packet.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub(crate) enum Tamper {
    Flip { at: u16, bits: u8 },
    Drop,
    Repeat,
    Swap,
    Cut { at: u16 },
    Length(u32),
}

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Finale {
    Cancel,
    Finish,
    Close,
    Reset,
}

/// Runs the target.
///
/// # Panics
/// If the relay violates one of the properties above.
pub fn run(input: &Input) {
    peer_socket::prepare();
    let before = open_descriptors();
    run_all(input);
    assert_eq!(open_descriptors(), before, "descriptors leaked");
}

fn run_all(input: &Input) {
    let limit_bytes = usize::from(input.limit_bytes);
    let budget = Budget::new(limit_bytes);
    let mut relay = Stepped::new(input.coalescing, &budget).expect("a poller");
    let setups = [input.first].into_iter().chain(input.others.iter().copied()).take(MAX_CONNECTIONS);
    let mut trials: Vec<Trial> = setups.map(|setup| Trial::new(&mut relay, setup)).collect();
    let bound = limit_bytes + READ + 2 * trials.len() * PACKET_READ;

    for (which, action) in &input.schedule.0 {
        let which = usize::from(*which) % trials.len();
        let trial = &mut trials[which];
        match action {
            Action::Write { peer, length } => trial.write(*peer, length.bytes()),
            Action::Read { peer, length } => {
                trial.read(*peer, usize::from(*length));
            }
            Action::Finish(peer) => trial.finish(*peer),
            Action::Close(peer) => trial.close(*peer),
            Action::Reset(peer) => trial.reset(*peer),
            Action::Tamper(tamper) => trial.tamper(*tamper),
            Action::Cancel => trial.cancel(),
            Action::Step => {
                relay.step();
            }
            Action::Settle => {
                settle(&mut relay);
                await_resets(&mut relay, &mut trials);
            }
        }
        assert!(budget.buffered_bytes() <= bound, "{} bytes are buffered", budget.buffered_bytes());
        trials.iter_mut().for_each(Trial::check_progress);
    }

    // Peers that read get everything.
    drain(&mut relay, &mut trials);
    trials.iter().for_each(Trial::check_quiet);
    for trial in &mut trials {
        match input.finale {
            Finale::Cancel => trial.cancel(),
            Finale::Finish => PEERS.into_iter().for_each(|peer| trial.finish(peer)),
            Finale::Close => PEERS.into_iter().for_each(|peer| trial.close(peer)),
            Finale::Reset => PEERS.into_iter().for_each(|peer| trial.reset(peer)),
        }
    }
    drain(&mut relay, &mut trials);
    for trial in &mut trials {
        trial.check_quiet();
        assert!(trial.has_ended(), "the connection has not ended: {trial:?}");
    }
    assert_eq!(budget.buffered_bytes(), 0, "ended connections still buffer data");
}

/// Steps the relay until it has nothing to do.
fn settle(relay: &mut Stepped) {
    for _ in 0..MAX_STEPS {
        match relay.step() {
            Then::Step => {}
            Then::StepAt(time) => thread::sleep(time.saturating_duration_since(Instant::now())),
            Then::Nothing => return,
        }
    }
    panic!("the relay spins");
}

/// Steps the relay until every reset has ended its connection, which must happen even if no peer reads.
fn await_resets(relay: &mut Stepped, trials: &mut [Trial]) {
    let start = Instant::now();
    loop {
        trials.iter_mut().for_each(Trial::check_progress);
        let Some(trial) = trials.iter().find(|trial| trial.is_reset() && !trial.has_ended()) else { return };
        assert!(start.elapsed() < LIMIT, "a reset was not noticed: {trial:?}");
        thread::yield_now();
        settle(relay);
    }
}

/// Steps the relay and lets peers read until nothing more arrives.
fn drain(relay: &mut Stepped, trials: &mut [Trial]) {
    loop {
        settle(relay);
        let mut moved = false;
        for trial in &mut *trials {
            trial.check_progress();
            moved |= trial.read_all();
        }
        if !moved {
            if !trials.iter().any(Trial::waits_for_network) {
                return;
            }
            thread::yield_now();
        }
    }
}

pub(crate) fn open_descriptors() -> usize {
    fs::read_dir("/proc/self/fd").map_or(0, Iterator::count)
}
