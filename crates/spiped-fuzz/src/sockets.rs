//! Target: sockets during a handshake, whose peers send any bytes in any pieces and end, close or reset at any time, while
//! any number of bytes, or none, is expected. Expected bytes must be reported once and in full, nothing after them may be
//! read, an end must be reported with the number of bytes before it, and a descriptor that is taken must have the rest.

mod client;

use std::{
    net::{Ipv4Addr, SocketAddr},
    os::fd::OwnedFd,
    process,
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use arbitrary::{Arbitrary, Result, Unstructured};
use socket2::{SockAddr, Socket, Type};
use spiped_sockets::{Event, MAX_EXPECTED_BYTES, Options, Owner, Sockets};

use crate::relay::open_descriptors;
use client::Client;

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
