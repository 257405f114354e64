//! One connection with its two peers: what they do, and what must come of it.

use std::{
    io::ErrorKind,
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use spiped_core::{Opener, Sealer};
use spiped_relay::{End, Ended, Framing, Handle, Pair, Side, Stepped};

use super::{
    LIMIT, PEERS, Peer, Role, Setup, Tamper,
    peers::{self, Cleartext, Packets},
};
use crate::reference::Keys;

#[derive(Debug)]
pub(super) struct Trial {
    role: Role,
    cleartext: Cleartext,
    packets: Packets,
    handle: Handle,
    cancelled: bool,
    ended: Arc<Mutex<Option<Ended>>>,
    end: Option<End>,
    begun_to_wait: Instant,
}

impl Trial {
    pub(super) fn new(relay: &mut Stepped, setup: Setup) -> Self {
        let keys = [Keys::of(1), Keys::of(2)];
        let (from_packets, to_packets) = (&keys[0], &keys[1]);
        let seal = Framing::Seal(Sealer::new(&to_packets.for_core()));
        let open = Framing::Open(Box::new(Opener::new(&from_packets.for_core())));
        let (kind_of_cleartext, kind_of_packets) = match setup.role {
            Role::Client => (setup.source, setup.target),
            Role::Server => (setup.target, setup.source),
        };
        let (cleartext, relayed_cleartext) = peers::End::new(kind_of_cleartext);
        let (packets, relayed_packets) = peers::End::new(kind_of_packets);
        let (relayed_cleartext, relayed_packets) = (relayed_cleartext.into(), relayed_packets.into());
        let pair = match setup.role {
            Role::Client => Pair { source: relayed_cleartext, target: relayed_packets, forward: seal, reverse: open },
            Role::Server => Pair { source: relayed_packets, target: relayed_cleartext, forward: open, reverse: seal },
        };
        let ended = Arc::<Mutex<Option<Ended>>>::default();
        let tell = Arc::clone(&ended);
        let handle = relay.add(pair, move |ended| {
            let before = tell.lock().unwrap_or_else(PoisonError::into_inner).replace(ended);
            assert!(before.is_none(), "it ends twice");
        });
        Self {
            role: setup.role,
            cleartext: Cleartext { end: cleartext, written: 0, read: 0 },
            packets: Packets::new(packets, keys),
            handle,
            cancelled: false,
            ended,
            end: None,
            begun_to_wait: Instant::now(),
        }
    }

    pub(super) fn write(&mut self, peer: Peer, length: usize) {
        match peer {
            Peer::Cleartext => self.cleartext.write(length),
            Peer::Packets => self.packets.write(length),
        }
    }

    pub(super) fn read(&mut self, peer: Peer, most: usize) -> bool {
        let moved = match peer {
            Peer::Cleartext => self.cleartext.read(most, &self.packets),
            Peer::Packets => self.packets.read(most, &self.cleartext),
        };
        if moved {
            self.begun_to_wait = Instant::now();
        }
        moved
    }

    /// Whether anything came.
    pub(super) fn read_all(&mut self) -> bool {
        let mut moved = false;
        for peer in PEERS {
            while self.read(peer, usize::MAX) {
                moved = true;
            }
        }
        moved
    }

    fn end_of(&mut self, peer: Peer) -> &mut peers::End {
        match peer {
            Peer::Cleartext => &mut self.cleartext.end,
            Peer::Packets => &mut self.packets.end,
        }
    }

    pub(super) fn finish(&mut self, peer: Peer) {
        self.end_of(peer).finish();
    }

    pub(super) fn close(&mut self, peer: Peer) {
        self.end_of(peer).close();
    }

    pub(super) fn reset(&mut self, peer: Peer) {
        self.end_of(peer).reset();
    }

    pub(super) fn tamper(&mut self, tamper: Tamper) {
        self.packets.tamper(tamper);
    }

    pub(super) fn cancel(&mut self) {
        if self.end.is_none() {
            self.handle.cancel();
            self.cancelled = true;
        }
    }

    pub(super) fn has_ended(&self) -> bool {
        self.end.is_some()
    }

    /// Looks at what has been counted, and whether it has ended.
    pub(super) fn look(&mut self) {
        let counters = self.handle.counters();
        let (out, back) = match self.role {
            Role::Client => (counters.forward(), counters.reverse()),
            Role::Server => (counters.reverse(), counters.forward()),
        };
        assert!((self.packets.opened..=self.cleartext.written).contains(&(out as usize)), "{out} bytes counted");
        assert!((self.cleartext.read..=self.packets.cleartext.len()).contains(&(back as usize)), "{back} counted");

        let Some(Ended { end, source, target }) = self.ended.lock().unwrap_or_else(PoisonError::into_inner).take()
        else {
            return;
        };
        assert!(self.has_reason(&end), "{end:?} of {self:?}");
        if matches!(end, End::Orderly) {
            assert_eq!(out as usize, self.cleartext.written);
            assert_eq!(back as usize, self.packets.cleartext.len());
            // Closed in order, everything is still delivered.
            drop((source, target));
            self.cleartext.end.wait_at_most(LIMIT).expect("a socket");
            self.packets.end.wait_at_most(LIMIT).expect("a socket");
            self.read_all();
            let delivered = self.is_delivered();
            assert!(delivered, "not everything came before an orderly end: {self:?}");
        } else {
            // While its owner has the sockets, nobody sees an end that is none.
            self.read_all();
            drop((source, target));
        }
        self.end = Some(end);
        self.cleartext.end.leave();
        self.packets.end.leave();
    }

    fn side(&self, side: Side) -> &peers::End {
        match (self.role, side) {
            (Role::Client, Side::Source) | (Role::Server, Side::Target) => &self.cleartext.end,
            (Role::Client, Side::Target) | (Role::Server, Side::Source) => &self.packets.end,
        }
    }

    /// Whether anything has happened that may end it so.
    fn has_reason(&self, end: &End) -> bool {
        let packets = &self.packets;
        match end {
            End::Orderly => self.cleartext.end.finished && packets.ends_in_order(),
            End::Truncated { pending_bytes } => {
                let pending = packets.beginning.len();
                packets.end.finished && packets.wrong.is_none() && pending > 0 && *pending_bytes == pending
            }
            End::Rejected(error) => packets.wrong == Some(*error),
            End::Broken { side, error } => {
                let is_of_peer = matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe);
                is_of_peer && self.side(*side).gone
            }
            End::Cancelled => self.cancelled,
            End::Failed(_) => false,
        }
    }

    /// Whether all that was sent has come to whoever is there.
    fn is_delivered(&self) -> bool {
        let (cleartext, packets) = (&self.cleartext, &self.packets);
        let to_packets = packets.opened == cleartext.written && packets.end.saw_end == cleartext.end.finished;
        let to_cleartext = cleartext.read == packets.cleartext.len() && cleartext.end.saw_end == packets.end.finished;
        (!packets.end.is_there() || to_packets) && (!cleartext.end.is_there() || to_cleartext)
    }

    pub(super) fn is_reset(&self) -> bool {
        self.cleartext.end.reset || self.packets.end.reset
    }

    /// Whether there is something that must end it.
    fn must_end(&self) -> bool {
        let (cleartext, packets) = (&self.cleartext, &self.packets);
        let is_truncated = packets.end.finished && !packets.beginning.is_empty();
        let is_over = cleartext.end.finished && packets.end.finished;
        self.cancelled || packets.wrong.is_some() || is_truncated || is_over || self.is_reset()
    }

    /// What must be so once nothing more happens.
    pub(super) fn check_quiet(&self) {
        if self.end.is_none() {
            assert!(!self.must_end(), "it must end: {self:?}");
            assert!(self.is_delivered(), "not everything came: {self:?}");
        }
    }

    /// Whether TCP, which takes its time, may still deliver something.
    pub(super) fn waits_for_the_network(&self) -> bool {
        let is_tcp = self.cleartext.end.is_tcp || self.packets.end.is_tcp;
        let is_quiet = self.end.is_some() || (!self.must_end() && self.is_delivered());
        is_tcp && !is_quiet && self.begun_to_wait.elapsed() < LIMIT
    }
}
