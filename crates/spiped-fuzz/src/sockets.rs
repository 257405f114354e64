//! Target: sockets during a handshake, whose peers send any bytes in any pieces and end, close or reset at any time, while
//! any number of bytes, or none, is expected. Expected bytes must be reported once and in full, nothing after them may be
//! read, an end must be reported with the number of bytes before it, and a descriptor that is taken must have the rest.

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

/// More clients cover nothing new.
const MAX_CLIENTS: usize = 4;
/// Longer than the loopback takes to deliver, even under load.
const LIMIT: Duration = Duration::from_secs(10);

/// The input; see the module documentation.
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

/// One client: its socket, and the state for checking events.
#[derive(Debug)]
struct Client {
    peer: Option<Socket>,
    is_tcp: bool,
    id: Id,
    /// Its socket is still registered with `Sockets`.
    is_open: bool,
    /// The bytes it has sent, and how many of them were reported or discarded.
    sent: Vec<u8>,
    consumed: usize,
    expected: usize,
    finished: bool,
    /// It has closed or reset its socket.
    gone: bool,
    failed: bool,
    /// The number of bytes sent to it.
    answer_bytes: usize,
}

/// Runs the target.
///
/// # Panics
/// If the sockets violate one of the properties above.
pub fn run(input: &Input) {
    let before = open_descriptors();
    run_all(input);
    assert_eq!(open_descriptors(), before, "descriptors leaked");
}

fn run_all(input: &Input) {
    let mut sockets = Sockets::new().expect("a poller");
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

/// Connects and accepts the input's number of clients.
fn connected(sockets: &mut Sockets, input: &Input) -> Vec<Client> {
    let options = Options { keep_alive: None, resets_on_close: input.resets_on_close };
    // TCP is rare: it is slower, and its ports stay in TIME_WAIT.
    let is_tcp = input.clients % 16 == 15;
    let (listener, address) = listener(is_tcp);
    let listening = sockets.listen(listener, Owner::Us, options).expect("is watched");
    let mut clients = Vec::new();
    for _ in 0..=usize::from(input.clients / 16) % MAX_CLIENTS {
        let peer = Socket::new(address.domain(), Type::STREAM, None).expect("a socket");
        peer.connect(&address).expect("connects");
        peer.set_nonblocking(true).expect("a socket");
        let start = Instant::now();
        let mut acceptable = false;
        while !acceptable {
            assert!(start.elapsed() < LIMIT, "a waiting client was not reported");
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
        // In the abstract namespace, which needs no cleanup.
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        SockAddr::unix(format!("\0spiped-fuzz-{}-{number}", process::id())).expect("an address")
    };
    let listener = Socket::new(address.domain(), Type::STREAM, None).expect("a socket");
    listener.bind(&address).expect("binds");
    listener.listen(16).expect("listens");
    let address = listener.local_addr().expect("an address");
    (listener.into(), address)
}

/// Polls until all due events are reported, and checks them against what each client did.
fn poll(sockets: &mut Sockets, clients: &mut [Client]) {
    let start = Instant::now();
    loop {
        let polled = sockets.poll(|id, event| {
            let client = clients.iter_mut().find(|client| client.id == id).expect("one of them");
            client.check_event(&event);
        });
        polled.expect("polls");
        let Some(client) = clients.iter().find(|client| client.expects_event()) else { break };
        assert!(client.is_tcp && start.elapsed() < LIMIT, "an event was not reported: {client:?}");
    }
    for client in clients.iter().filter(|client| client.is_open && client.expected > 0) {
        let arrived = sockets.arrived(client.id);
        let is_all = arrived.len() == client.sent.len() - client.consumed || client.is_tcp;
        assert!(
            is_all && client.sent[client.consumed..].starts_with(arrived),
            "the wrong bytes have arrived: {client:?}"
        );
    }
}

impl Client {
    fn new(peer: Socket, is_tcp: bool, id: Id) -> Self {
        let (sent, peer) = (Vec::new(), Some(peer));
        Self {
            peer,
            is_tcp,
            id,
            is_open: true,
            sent,
            consumed: 0,
            expected: 0,
            finished: false,
            gone: false,
            failed: false,
            answer_bytes: 0,
        }
    }

    fn write(&mut self, length: usize) {
        let Some(peer) = self.peer.as_ref().filter(|_| !self.finished && self.is_open) else { return };
        let from = self.sent.len();
        let bytes: Vec<u8> = (from..from + length).map(|index| (index * 31 + index / 251) as u8).collect();
        // Fails if the other end is closed.
        let taken = peer.send_with_flags(&bytes, MSG_NOSIGNAL).unwrap_or(0);
        self.sent.extend_from_slice(&bytes[..taken]);
    }

    fn expect(&mut self, sockets: &mut Sockets, length: usize) {
        let arrived_bytes = sockets.arrived(self.id).len();
        let outcome = sockets.expect(self.id, length);
        match length {
            1..=MAX_EXPECTED_BYTES if self.is_open => {
                outcome.expect("is registered");
                // Bytes that had arrived for a previous expectation are discarded.
                self.consumed += if self.expected > 0 { arrived_bytes } else { 0 };
                self.expected = length;
            }
            _ => assert!(outcome.is_err(), "{length} bytes were expected of {self:?}"),
        }
    }

    fn check_event(&mut self, event: &Event<'_>) {
        let rest = &self.sent[self.consumed..];
        assert!(self.is_open && self.expected > 0, "{event:?}, although nothing is expected: {self:?}");
        match event {
            Event::Arrived(bytes) => {
                assert!(bytes.len() == self.expected && rest.starts_with(bytes), "{event:?} of {self:?}");
                self.consumed += bytes.len();
            }
            Event::Ended(arrived) => {
                let is_end = self.finished && *arrived == rest.len() && rest.len() < self.expected;
                assert!(is_end || self.failed, "{event:?} of {self:?}");
                self.consumed += arrived;
            }
            Event::Failed(error) => {
                assert!(self.gone && error.kind() == ErrorKind::ConnectionReset, "{event:?} of {self:?}");
                self.failed = true;
            }
            _ => panic!("{event:?} of a client"),
        }
        self.expected = 0;
    }

    /// Whether an event is due, judging by what the client did.
    fn expects_event(&self) -> bool {
        let is_decided = self.finished || self.gone || self.sent.len() - self.consumed >= self.expected;
        self.is_open && self.expected > 0 && is_decided
    }

    fn answer(&mut self, sockets: &mut Sockets, length: usize) {
        match sockets.send(self.id, &vec![7; length]) {
            Ok(()) => self.answer_bytes += length,
            Err(error) if self.is_open && !self.gone => assert_eq!(error.kind(), ErrorKind::WouldBlock, "{self:?}"),
            // Reported here, the error is not reported again as an event.
            Err(_) => self.failed = true,
        }
    }

    fn finish(&mut self) {
        if let Some(peer) = self.peer.as_ref().filter(|_| self.is_open && !self.finished) {
            // Fails if it has been reset meanwhile.
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

    /// Takes the descriptor and checks that it has the remaining bytes.
    fn take(&mut self, sockets: &mut Sockets) {
        let arrived = if self.expected > 0 { sockets.arrived(self.id).len() } else { 0 };
        let taken = sockets.take(self.id);
        if !self.is_open {
            assert!(taken.is_err(), "the socket is not registered any more: {self:?}");
            return;
        }
        self.is_open = false;
        let mut socket = Socket::from(taken.expect("is registered"));
        let expected = &self.sent[self.consumed + arrived..];
        if self.gone || self.failed {
            return;
        }
        socket.set_nonblocking(false).expect("a socket");
        socket.set_read_timeout(Some(LIMIT)).expect("a socket");
        let mut rest = vec![0; expected.len()];
        socket.read_exact(&mut rest).expect("the rest arrives");
        assert!(rest == expected, "the rest is wrong: {self:?}");
        let mut answers = vec![0; self.answer_bytes];
        let mut peer = self.peer.as_ref().expect("it is not gone");
        peer.set_nonblocking(false).expect("a socket");
        peer.set_read_timeout(Some(LIMIT)).expect("a socket");
        peer.read_exact(&mut answers).expect("the answers arrive");
        assert!(answers.iter().all(|byte| *byte == 7));
        drop(self.peer.take());
    }

    fn close_ours(&mut self, sockets: &mut Sockets, resets: bool) {
        sockets.close(self.id, resets);
        assert!(sockets.descriptor(self.id).is_none());
        self.is_open = false;
    }
}
