//! What a worker does when its time comes: turns of directions, reads after a delay, and checks for dead peers.

use std::{
    io, mem,
    panic::{AssertUnwindSafe, catch_unwind},
    time::Instant,
};

use socket2::SockRef;

use super::{Slot, Worker, panic_message};
use crate::{
    connection::{End, Side, Way},
    dead_peer::Liveness,
    direction::{Next, TurnContext},
};

impl Worker {
    pub(super) fn enqueue(&mut self, key: usize, way: Way) {
        let Some(slot) = self.slots.get_mut(key) else { return };
        let queued = &mut slot.queued[way as usize];
        if !*queued {
            *queued = true;
            self.queue.push_back((key, way));
        }
    }

    pub(super) fn resume_waiting(&mut self) {
        if self.waits.is_empty() {
            return;
        }
        let now = Instant::now();
        while let Some(&(until, id, way)) = self.waits.front()
            && until <= now
        {
            self.waits.pop_front();
            let Some(&key) = self.keys.get(&id) else { continue };
            let direction = self.slots[key].connection.direction(way);
            // The delay may have been cancelled, and another one started.
            if direction.waits_until() == Some(until) {
                direction.stop_waiting();
                self.enqueue(key, way);
            }
        }
    }

    /// Ends connections with dead peers.
    pub(super) fn check_liveness(&mut self) {
        let now = Instant::now();
        if self.next_liveness_check.is_none_or(|next| next > now) {
            return;
        }
        let mut gone = Vec::new();
        let mut any_waiting = false;
        for (key, Slot { connection, sent, detectors, .. }) in &mut self.slots {
            for side in [Side::Source, Side::Target] {
                if !mem::take(&mut sent[side as usize]) {
                    continue;
                }
                match detectors[side as usize].check(&SockRef::from(connection.socket(side)), now) {
                    Liveness::Idle => {}
                    Liveness::Waiting => {
                        sent[side as usize] = true;
                        any_waiting = true;
                    }
                    Liveness::Dead => gone.push((key, side)),
                }
            }
        }
        self.next_liveness_check = any_waiting.then(|| now + self.liveness_interval);
        gone.dedup_by_key(|&mut (key, _)| key);
        for (key, side) in gone {
            self.end(key, End::Broken { side, error: io::Error::from_raw_os_error(libc::ETIMEDOUT) });
        }
    }

    pub(super) fn turn(&mut self, key: usize, way: Way) {
        let Some(slot) = self.slots.get_mut(key) else { return };
        slot.queued[way as usize] = false;
        let others = self.queue.len();
        let (scratch, budget, fairness) = (&mut self.scratch, &self.budget, &*self.fairness);
        let now = Instant::now();
        let mut context = TurnContext { scratch, budget, fairness, others, now };
        let answer = slot.connection.direction(way.other()).waits_until().is_some();
        // A bug ends this connection only. Its state is dropped, and the shared buffers are overwritten.
        let turn = catch_unwind(AssertUnwindSafe(|| {
            #[cfg(feature = "panics")]
            crate::panic_if_asked("relay turn");
            slot.connection.turn(way, &mut context)
        }));
        let id = slot.id;
        match turn {
            Ok(Ok(turn)) => {
                if slot.connection.direction(way).take_sent() {
                    slot.sent[way.receiver() as usize] = true;
                    self.next_liveness_check.get_or_insert(now + self.liveness_interval);
                }
                match turn.next {
                    Next::Turn => self.enqueue(key, way),
                    Next::Until(until) => self.waits.push_back((until, id, way)),
                    Next::Readiness => {}
                    Next::Nothing if self.slots[key].connection.is_ended() => return self.end(key, End::Orderly),
                    Next::Nothing => {}
                }
                if turn.moved && answer {
                    self.enqueue(key, way.other());
                }
            }
            Ok(Err(end)) => self.end(key, end),
            Err(panic) => self.end(key, End::Failed(panic_message(&*panic))),
        }
    }
}
