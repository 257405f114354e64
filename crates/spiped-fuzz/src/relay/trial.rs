//! One connection with its two peers: applies actions to it and checks the outcome.

use std::{
    io::ErrorKind,
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use spiped_core::{Opener, Sealer};
use spiped_relay::{End, Ended, Framing, Handle, Pair, Side, Stepped};

use super::{
    LIMIT, PEERS, Peer, Role, Setup, Tamper,
    peer_socket::PeerSocket,
    peers::{Cleartext, Packets},
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
    waiting_since: Instant,
}

impl Trial {
    pub(super) fn new(relay: &mut Stepped, setup: Setup) -> Self {
        let keys = [Keys::of(1), Keys::of(2)];
        let (from_packets, to_packets) = (&keys[0], &keys[1]);
        let seal = Framing::Seal(Sealer::new(&to_packets.for_core()));
        let open = Framing::Open(Box::new(Opener::new(&from_packets.for_core())));
        let (cleartext_kind, packets_kind) = match setup.role {
            Role::Client => (setup.source, setup.target),
            Role::Server => (setup.target, setup.source),
        };
        let (cleartext, relayed_cleartext) = PeerSocket::new(cleartext_kind);
        let (packets, relayed_packets) = PeerSocket::new(packets_kind);
        let (relayed_cleartext, relayed_packets) = (relayed_cleartext.into(), relayed_packets.into());
        let pair = match setup.role {
            Role::Client => Pair { source: relayed_cleartext, target: relayed_packets, forward: seal, reverse: open },
            Role::Server => Pair { source: relayed_packets, target: relayed_cleartext, forward: open, reverse: seal },
        };
        let ended = Arc::<Mutex<Option<Ended>>>::default();
        let on_end = Arc::clone(&ended);
        let handle = relay.add(pair, move |ended| {
            let before = on_end.lock().unwrap_or_else(PoisonError::into_inner).replace(ended);
            assert!(before.is_none(), "the connection ended twice");
        });
        Self {
            role: setup.role,
            cleartext: Cleartext { end: cleartext, written: 0, read: 0 },
            packets: Packets::new(packets, keys),
            handle,
            cancelled: false,
            ended,
            end: None,
            waiting_since: Instant::now(),
        }
    }

    pub(super) fn write(&mut self, peer: Peer, length: usize) {
        match peer {
            Peer::Cleartext => self.cleartext.write(length),
            Peer::Packets => self.packets.write(length),
        }
    }

    pub(super) fn read(&mut self, peer: Peer, max_length: usize) -> bool {
        let moved = match peer {
            Peer::Cleartext => self.cleartext.read(max_length, &self.packets),
            Peer::Packets => self.packets.read(max_length, &self.cleartext),
        };
        if moved {
            self.waiting_since = Instant::now();
        }
        moved
    }

    /// Reads from both ends until nothing more arrives. Returns whether anything did.
    pub(super) fn read_all(&mut self) -> bool {
        let mut moved = false;
        for peer in PEERS {
            while self.read(peer, usize::MAX) {
                moved = true;
            }
        }
        moved
    }

    fn end_of(&mut self, peer: Peer) -> &mut PeerSocket {
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

    /// Checks the counters, and the outcome if the connection has ended.
    pub(super) fn check_progress(&mut self) {
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
            // Everything must still be delivered after both sockets are closed.
            drop((source, target));
            self.cleartext.end.read_blocking_for(LIMIT).expect("a socket");
            self.packets.end.read_blocking_for(LIMIT).expect("a socket");
            self.read_all();
            let delivered = self.is_delivered();
            assert!(delivered, "not everything arrived before an orderly end: {self:?}");
        } else {
            // While its owner has the sockets, no peer may see an end of stream.
            self.read_all();
            drop((source, target));
        }
        self.end = Some(end);
        self.cleartext.end.discard();
        self.packets.end.discard();
    }

    fn side(&self, side: Side) -> &PeerSocket {
        match (self.role, side) {
            (Role::Client, Side::Source) | (Role::Server, Side::Target) => &self.cleartext.end,
            (Role::Client, Side::Target) | (Role::Server, Side::Source) => &self.packets.end,
        }
    }

    /// Whether something has happened that justifies this end.
    fn has_reason(&self, end: &End) -> bool {
        let packets = &self.packets;
        match end {
            End::Orderly => self.cleartext.end.finished && packets.ended_in_order(),
            End::Truncated { pending_bytes } => {
                let pending = packets.incomplete.len();
                packets.end.finished && packets.failure.is_none() && pending > 0 && *pending_bytes == pending
            }
            End::Rejected(error) => packets.failure == Some(*error),
            End::Broken { side, error } => {
                let is_of_peer = matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe);
                is_of_peer && self.side(*side).gone
            }
            End::Cancelled => self.cancelled,
            End::Failed(_) => false,
        }
    }

    /// Whether every peer whose socket is open has received everything.
    fn is_delivered(&self) -> bool {
        let (cleartext, packets) = (&self.cleartext, &self.packets);
        let to_packets = packets.opened == cleartext.written && packets.end.saw_end == cleartext.end.finished;
        let to_cleartext = cleartext.read == packets.cleartext.len() && cleartext.end.saw_end == packets.end.finished;
        (!packets.end.is_open() || to_packets) && (!cleartext.end.is_open() || to_cleartext)
    }

    pub(super) fn is_reset(&self) -> bool {
        self.cleartext.end.reset || self.packets.end.reset
    }

    /// Whether something has happened that must end the connection.
    fn must_end(&self) -> bool {
        let (cleartext, packets) = (&self.cleartext, &self.packets);
        let is_truncated = packets.end.finished && !packets.incomplete.is_empty();
        let is_over = cleartext.end.finished && packets.end.finished;
        self.cancelled || packets.failure.is_some() || is_truncated || is_over || self.is_reset()
    }

    /// Checks a connection that no longer makes progress.
    pub(super) fn check_quiet(&self) {
        if self.end.is_none() {
            assert!(!self.must_end(), "the connection must end: {self:?}");
            assert!(self.is_delivered(), "not everything arrived: {self:?}");
        }
    }

    /// Whether TCP, which delivers asynchronously, may still deliver something.
    pub(super) fn waits_for_network(&self) -> bool {
        let is_tcp = self.cleartext.end.is_tcp || self.packets.end.is_tcp;
        let is_quiet = self.end.is_some() || (!self.must_end() && self.is_delivered());
        is_tcp && !is_quiet && self.waiting_since.elapsed() < LIMIT
    }
}
