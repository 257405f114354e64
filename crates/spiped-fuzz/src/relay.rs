//! Connections in a relay whose peers do anything at any time: they write any number of bytes, read or do not, end
//! their stream, close or reset it, send packets that are changed, dropped, repeated or swapped; and their owner
//! cancels them.
//!
//! Each byte that arrives is the right one, an orderly end is seen if and only if everything before it came, the reason
//! that is reported is one that there is, whoever reads gets everything, what is held stays below its bound, nothing
//! goes round and round, and no descriptor is left.

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

/// What a read gives and is held whole where its receiver has no room, and what a read of a packet gives.
const READ: usize = 64 * 1_060;
const PACKET_READ: usize = 1_060;
/// More connections are no other case.
const MOST: usize = 3;
/// A relay with nothing to wait for is quiet long before.
const MOST_STEPS: usize = 100_000;
/// A system under load delivers over its loopback sooner.
pub(crate) const LIMIT: Duration = Duration::from_secs(10);

/// See the head of this file.
#[derive(Arbitrary, Debug)]
pub struct Input {
    coalescing: bool,
    limit_bytes: u16,
    first: Setup,
    others: Vec<Setup>,
    finale: Finale,
    schedule: Schedule,
}

/// Which connection, and what happens to it; as many as there are bytes for.
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

/// A pair of sockets. TCP's are slower, and there are no more of them than the system can forget.
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

/// What becomes of the next packet.
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

/// Panics where the relay is not as it should be.
pub fn run(input: &Input) {
    peers::prepare();
    let before = open_descriptors();
    run_all(input);
    assert_eq!(open_descriptors(), before, "descriptors are left");
}

fn run_all(input: &Input) {
    let limit_bytes = usize::from(input.limit_bytes);
    let budget = Budget::new(limit_bytes);
    let mut relay = Stepped::new(input.coalescing, &budget).expect("something to wait with");
    let setups = [input.first].into_iter().chain(input.others.iter().copied()).take(MOST);
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
                notice_resets(&mut relay, &mut trials);
            }
        }
        assert!(budget.buffered_bytes() <= bound, "{} bytes are held", budget.buffered_bytes());
        trials.iter_mut().for_each(Trial::look);
    }

    // Whoever reads gets all of it.
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
        assert!(trial.has_ended(), "it has not ended: {trial:?}");
    }
    assert_eq!(budget.buffered_bytes(), 0, "what has ended holds memory");
}

/// Until nothing is left to do.
fn settle(relay: &mut Stepped) {
    for _ in 0..MOST_STEPS {
        match relay.step() {
            Then::Step => {}
            Then::StepAt(time) => thread::sleep(time.saturating_duration_since(Instant::now())),
            Then::Nothing => return,
        }
    }
    panic!("it goes round and round");
}

/// A reset ends its connection at once, whether anybody reads or not.
fn notice_resets(relay: &mut Stepped, trials: &mut [Trial]) {
    let begun = Instant::now();
    loop {
        trials.iter_mut().for_each(Trial::look);
        let Some(trial) = trials.iter().find(|trial| trial.is_reset() && !trial.has_ended()) else { return };
        assert!(begun.elapsed() < LIMIT, "a reset goes unnoticed: {trial:?}");
        thread::yield_now();
        settle(relay);
    }
}

/// Peers read until nothing more comes.
fn drain(relay: &mut Stepped, trials: &mut [Trial]) {
    loop {
        settle(relay);
        let mut moved = false;
        for trial in &mut *trials {
            trial.look();
            moved |= trial.read_all();
        }
        if !moved {
            let waits = |trial: &Trial| trial.waits_for_the_network();
            if !trials.iter().any(waits) {
                return;
            }
            thread::yield_now();
        }
    }
}

pub(crate) fn open_descriptors() -> usize {
    fs::read_dir("/proc/self/fd").map_or(0, Iterator::count)
}
