//! Sockets, relays and whole tunnels for tests.
#![allow(dead_code, clippy::unwrap_used)]

use std::{
    io::{Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    os::{fd::OwnedFd, unix::net::UnixStream},
    sync::mpsc::{Receiver, channel},
    thread,
    time::{Duration, Instant},
};

use socket2::Socket;
use spiped_core::{DirectionKeys, Opener, Sealer};
use spiped_relay::{Budget, Ended, Framing, Handle, Pair, Relay, Settings};

/// How long a test waits for something that takes far less time.
pub(crate) const LIMIT: Duration = Duration::from_secs(30);

/// Waits until `condition` holds; `what` names it.
pub(crate) fn until(what: &str, condition: impl Fn() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < LIMIT, "waited in vain: {what}");
        thread::sleep(Duration::from_micros(100));
    }
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    Tcp,
    Unix,
}

pub(crate) const KINDS: [Kind; 2] = [Kind::Tcp, Kind::Unix];

/// Two connected sockets.
pub(crate) fn connected(kind: Kind) -> (Socket, Socket) {
    let (one, other): (Socket, Socket) = match kind {
        Kind::Unix => {
            let (one, other) = UnixStream::pair().unwrap();
            (one.into(), other.into())
        }
        Kind::Tcp => {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let one = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            one.set_nodelay(true).unwrap();
            let (other, _) = listener.accept().unwrap();
            other.set_nodelay(true).unwrap();
            (one.into(), other.into())
        }
    };
    for socket in [&one, &other] {
        socket.set_read_timeout(Some(LIMIT)).unwrap();
        socket.set_write_timeout(Some(LIMIT)).unwrap();
    }
    (one, other)
}

pub(crate) fn relay(threads: usize, budget: &Budget) -> Relay {
    Relay::start(&Settings { threads, coalescing: true, budget: budget.clone() }).unwrap()
}

fn keys(number: u8) -> DirectionKeys {
    DirectionKeys::from_bytes(&[number; 32], &[number + 100; 32])
}

pub(crate) fn sealer(number: u8) -> Sealer {
    Sealer::new(&keys(number))
}

pub(crate) fn opener(number: u8) -> Opener {
    Opener::new(&keys(number))
}

/// A connection in a relay: one end of a tunnel.
pub(crate) struct Relayed {
    pub handle: Handle,
    ended: Receiver<Ended>,
}

impl Relayed {
    pub(crate) fn ended(&self) -> Ended {
        self.ended.recv_timeout(LIMIT).expect("the connection ends")
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.ended.try_recv().is_ok()
    }
}

/// Adds a client's end: cleartext at the source, packets at the target.
pub(crate) fn add_client(relay: &Relay, source: Socket, target: Socket) -> Relayed {
    add(relay, source.into(), target.into(), Framing::Seal(sealer(1)), Framing::Open(Box::new(opener(2))))
}

/// Adds a server's end: packets at the source, cleartext at the target.
pub(crate) fn add_server(relay: &Relay, source: Socket, target: Socket) -> Relayed {
    add(relay, source.into(), target.into(), Framing::Open(Box::new(opener(1))), Framing::Seal(sealer(2)))
}

fn add(relay: &Relay, source: OwnedFd, target: OwnedFd, forward: Framing, reverse: Framing) -> Relayed {
    let (sender, ended) = channel();
    let handle = relay.add(Pair { source, target, forward, reverse }, move |end| {
        let _ = sender.send(end);
    });
    Relayed { handle, ended }
}

/// An application and a service, with both ends of a tunnel between them.
pub(crate) struct Tunnel {
    pub program: Socket,
    pub service: Socket,
    pub near: Relayed,
    pub far: Relayed,
}

pub(crate) fn tunnel(relay: &Relay, kind: Kind) -> Tunnel {
    let (program, near_source) = connected(kind);
    let (near_target, far_source) = connected(Kind::Tcp);
    let (far_target, service) = connected(kind);
    let near = add_client(relay, near_source, near_target);
    let far = add_server(relay, far_source, far_target);
    Tunnel { program, service, near, far }
}

/// Pseudorandom bytes.
pub(crate) fn pattern(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    (0..length)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state as u8
        })
        .collect()
}

/// Writes `bytes` in pieces and ends the stream, on a new thread.
pub(crate) fn send_all(socket: &Socket, bytes: Vec<u8>, piece: usize) -> thread::JoinHandle<()> {
    let mut socket = socket.try_clone().unwrap();
    thread::spawn(move || {
        for part in bytes.chunks(piece) {
            socket.write_all(part).unwrap();
        }
        socket.shutdown(Shutdown::Write).unwrap();
    })
}

/// Reads to the end of the stream.
pub(crate) fn read_all(mut socket: &Socket) -> Vec<u8> {
    let mut bytes = Vec::new();
    socket.read_to_end(&mut bytes).unwrap();
    bytes
}

pub(crate) fn write(mut socket: &Socket, bytes: &[u8]) {
    socket.write_all(bytes).unwrap();
}

pub(crate) fn read(mut socket: &Socket, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    socket.read_exact(&mut bytes).unwrap();
    bytes
}

/// Closes the socket with a reset.
pub(crate) fn reset(socket: Socket) {
    socket.set_linger(Some(Duration::ZERO)).unwrap();
}
