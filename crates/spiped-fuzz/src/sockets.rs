//! Sockets during a handshake, whose peers send any bytes in any pieces, end, close or reset at any time, while any
//! number of bytes is expected, or none: what was expected is told once and whole, nothing behind it is read, an end is
//! told with what came before it, and the descriptor that is given away has the rest.

use std::{
    io::{ErrorKind, Read},
    net::{Ipv4Addr, Shutdown, SocketAddr},
    os::fd::OwnedFd,
    process,
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use arbitrary::{Arbitrary, Result, Unstructured};
use libc::MSG_NOSIGNAL;
use socket2::{SockAddr, Socket, Type};
use spiped_sockets::{Event, Id, MAX_EXPECTED_BYTES, Options, Owner, Sockets};

use crate::relay::open_descriptors;

/// More are no other case.
const MOST: usize = 4;
/// A system under load delivers over its loopback sooner.
const LIMIT: Duration = Duration::from_secs(10);

/// See the head of this file.
#[derive(Arbitrary, Debug)]
pub struct Input {
    resets_on_close: bool,
    clients: u8,
    schedule: Schedule,
}

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

#[derive(Arbitrary, Debug)]
enum Action {
    Write { length: u16 },
    Expect { length: u16 },
    Send { length: u8 },
    Finish,
    Close,
    Reset,
    Poll,
    Take,
    CloseOurs { resets: bool },
}

/// One client: its own socket, and what must come of what it does.
#[derive(Debug)]
struct Client {
    peer: Option<Socket>,
    is_tcp: bool,
    id: Id,
    /// Still among the sockets.
    is_here: bool,
    /// What it has sent, and how much of that was told, or given up.
    sent: Vec<u8>,
    told: usize,
    expected: usize,
    finished: bool,
    /// It has closed or reset its socket.
    gone: bool,
    failed: bool,
    /// Bytes that were sent to it.
    answers: usize,
}

/// Panics where the sockets are not as they should be.
pub fn run(input: &Input) {
    let before = open_descriptors();
    run_all(input);
    assert_eq!(open_descriptors(), before, "descriptors are left");
}

fn run_all(input: &Input) {
    let mut sockets = Sockets::new().expect("something to wait with");
    let mut clients = connected(&mut sockets, input);
    for (which, action) in &input.schedule.0 {
        let which = usize::from(*which) % clients.len();
        let client = &mut clients[which];
        match action {
            Action::Write { length } => client.write(usize::from(*length) % (2 * MAX_EXPECTED_BYTES)),
            Action::Expect { length } => client.expect(&mut sockets, usize::from(*length) % (MAX_EXPECTED_BYTES + 2)),
            Action::Send { length } => client.answer(&mut sockets, usize::from(*length)),
            Action::Finish => client.finish(),
            Action::Close => client.close(false),
            Action::Reset => client.close(true),
            Action::Poll => poll(&mut sockets, &mut clients),
            Action::Take => client.take(&mut sockets),
            Action::CloseOurs { resets } => client.close_ours(&mut sockets, *resets),
        }
    }
    poll(&mut sockets, &mut clients);
    for client in &mut clients {
        client.take(&mut sockets);
    }
}

/// As many clients as there are to be, all of them accepted.
fn connected(sockets: &mut Sockets, input: &Input) -> Vec<Client> {
    let options = Options { keep_alive: None, resets_on_close: input.resets_on_close };
    // TCP's are slower, and there are no more of them than the system can forget.
    let is_tcp = input.clients % 16 == 15;
    let (listener, address) = listener(is_tcp);
    let listening = sockets.listen(listener, Owner::Us, options).expect("is watched");
    let mut clients = Vec::new();
    for _ in 0..=usize::from(input.clients / 16) % MOST {
        let peer = Socket::new(address.domain(), Type::STREAM, None).expect("a socket");
        peer.connect(&address).expect("connects");
        peer.set_nonblocking(true).expect("a socket");
        let begun = Instant::now();
        let mut acceptable = false;
        while !acceptable {
            assert!(begun.elapsed() < LIMIT, "a client waits, and nobody is told");
            sockets
                .poll(|id, event| acceptable = id == listening && matches!(event, Event::Acceptable))
                .expect("polls");
        }
        let (id, _) = sockets.accept(listening).expect("accepts").expect("a client");
        assert!(sockets.accept(listening).expect("accepts").is_none());
        clients.push(Client::new(peer, is_tcp, id));
    }
    sockets.close(listening, false);
    clients
}

fn listener(is_tcp: bool) -> (OwnedFd, SockAddr) {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let address = if is_tcp {
        SockAddr::from(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))
    } else {
        // In the abstract name space, where nothing is left behind.
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        SockAddr::unix(format!("\0spiped-fuzz-{}-{number}", process::id())).expect("an address")
    };
    let listener = Socket::new(address.domain(), Type::STREAM, None).expect("a socket");
    listener.bind(&address).expect("binds");
    listener.listen(16).expect("listens");
    let address = listener.local_addr().expect("an address");
    (listener.into(), address)
}

/// Has everything told, and holds it against what each client did.
fn poll(sockets: &mut Sockets, clients: &mut [Client]) {
    let begun = Instant::now();
    loop {
        let told = sockets.poll(|id, event| {
            let client = clients.iter_mut().find(|client| client.id == id).expect("one of them");
            client.hear(&event);
        });
        told.expect("polls");
        let Some(client) = clients.iter().find(|client| client.must_be_told()) else { break };
        assert!(client.is_tcp && begun.elapsed() < LIMIT, "it is not told: {client:?}");
    }
    for client in clients.iter().filter(|client| client.is_here && client.expected > 0) {
        let arrived = sockets.arrived(client.id);
        let is_all = arrived.len() == client.sent.len() - client.told || client.is_tcp;
        assert!(is_all && client.sent[client.told..].starts_with(arrived), "something else has arrived: {client:?}");
    }
}

impl Client {
    fn new(peer: Socket, is_tcp: bool, id: Id) -> Self {
        let (sent, peer) = (Vec::new(), Some(peer));
        Self {
            peer,
            is_tcp,
            id,
            is_here: true,
            sent,
            told: 0,
            expected: 0,
            finished: false,
            gone: false,
            failed: false,
            answers: 0,
        }
    }

    fn write(&mut self, length: usize) {
        let Some(peer) = self.peer.as_ref().filter(|_| !self.finished && self.is_here) else { return };
        let from = self.sent.len();
        let bytes: Vec<u8> = (from..from + length).map(|index| (index * 31 + index / 251) as u8).collect();
        // A peer whose program is gone again meets an error here.
        let taken = peer.send_with_flags(&bytes, MSG_NOSIGNAL).unwrap_or(0);
        self.sent.extend_from_slice(&bytes[..taken]);
    }

    fn expect(&mut self, sockets: &mut Sockets, length: usize) {
        let given_up = sockets.arrived(self.id).len();
        let outcome = sockets.expect(self.id, length);
        match length {
            1..=MAX_EXPECTED_BYTES if self.is_here => {
                outcome.expect("it is here");
                // What had come of another expectation is not told any more.
                self.told += if self.expected > 0 { given_up } else { 0 };
                self.expected = length;
            }
            _ => assert!(outcome.is_err(), "expects {length} bytes of {self:?}"),
        }
    }

    fn hear(&mut self, event: &Event<'_>) {
        let rest = &self.sent[self.told..];
        assert!(self.is_here && self.expected > 0, "{event:?}, although nothing is expected: {self:?}");
        match event {
            Event::Arrived(bytes) => {
                assert!(bytes.len() == self.expected && rest.starts_with(bytes), "{event:?} of {self:?}");
                self.told += bytes.len();
            }
            Event::Ended(arrived) => {
                let is_end = self.finished && *arrived == rest.len() && rest.len() < self.expected;
                assert!(is_end || self.failed, "{event:?} of {self:?}");
                self.told += arrived;
            }
            Event::Failed(error) => {
                assert!(self.gone && error.kind() == ErrorKind::ConnectionReset, "{event:?} of {self:?}");
                self.failed = true;
            }
            _ => panic!("{event:?} of a client"),
        }
        self.expected = 0;
    }

    /// Whether something must be told by now, as far as its own system is concerned.
    fn must_be_told(&self) -> bool {
        let is_decided = self.finished || self.gone || self.sent.len() - self.told >= self.expected;
        self.is_here && self.expected > 0 && is_decided
    }

    fn answer(&mut self, sockets: &mut Sockets, length: usize) {
        match sockets.send(self.id, &vec![7; length]) {
            Ok(()) => self.answers += length,
            Err(error) if self.is_here && !self.gone => assert_eq!(error.kind(), ErrorKind::WouldBlock, "{self:?}"),
            // Told by this, an error is not told again.
            Err(_) => self.failed = true,
        }
    }

    fn finish(&mut self) {
        if let Some(peer) = self.peer.as_ref().filter(|_| self.is_here && !self.finished) {
            // One that it has been reset meanwhile cannot.
            let _ = peer.shutdown(Shutdown::Write);
            self.finished = true;
        }
    }

    fn close(&mut self, resets: bool) {
        let Some(peer) = self.peer.take() else { return };
        if resets {
            peer.set_linger(Some(Duration::ZERO)).expect("a socket");
        }
        (self.gone, self.finished) = (true, self.finished || !(resets && self.is_tcp));
    }

    /// Whoever gets the descriptor has the rest.
    fn take(&mut self, sockets: &mut Sockets) {
        let arrived = if self.expected > 0 { sockets.arrived(self.id).len() } else { 0 };
        let taken = sockets.take(self.id);
        if !self.is_here {
            assert!(taken.is_err(), "it is there no more: {self:?}");
            return;
        }
        self.is_here = false;
        let mut socket = Socket::from(taken.expect("it is there"));
        let expected = &self.sent[self.told + arrived..];
        if self.gone || self.failed {
            return;
        }
        socket.set_nonblocking(false).expect("a socket");
        socket.set_read_timeout(Some(LIMIT)).expect("a socket");
        let mut rest = vec![0; expected.len()];
        socket.read_exact(&mut rest).expect("the rest comes");
        assert!(rest == expected, "the rest is another: {self:?}");
        let mut answers = vec![0; self.answers];
        let mut peer = self.peer.as_ref().expect("it is not gone");
        peer.set_nonblocking(false).expect("a socket");
        peer.set_read_timeout(Some(LIMIT)).expect("a socket");
        peer.read_exact(&mut answers).expect("the answers come");
        assert!(answers.iter().all(|byte| *byte == 7));
        drop(self.peer.take());
    }

    fn close_ours(&mut self, sockets: &mut Sockets, resets: bool) {
        sockets.close(self.id, resets);
        assert!(sockets.descriptor(self.id).is_none());
        self.is_here = false;
    }
}
