//! The two peers of a connection: one sends and receives cleartext, the other packets. Each checks that what it receives
//! is what the other sent.

use std::{
    collections::VecDeque,
    io::{self, ErrorKind, Read, Write},
    net::{Ipv4Addr, Shutdown, TcpListener, TcpStream},
    os::unix::net::UnixStream,
    sync::OnceLock,
    time::Duration,
};

use socket2::Socket;
use spiped_core::Error;

use super::{Kind, Tamper};
use crate::reference::{DATA, Keys, PACKET};

/// The smallest send buffer that Linux allows.
const SMALL_BUFFER: usize = 4_608;
/// The most that a peer reads at once, in bytes.
const READ_BUFFER: usize = 65_536;

/// Opens the listening socket, which stays open, before descriptors are counted.
pub(super) fn prepare() {
    listener();
}

fn listener() -> &'static TcpListener {
    static LISTENER: OnceLock<TcpListener> = OnceLock::new();
    LISTENER.get_or_init(|| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("listens"))
}

/// A connected pair: the peer's socket and the relay's.
fn pair(kind: Kind) -> (Socket, Socket) {
    let (peer, relayed): (Socket, Socket) = if kind == Kind::Tcp {
        let peer = TcpStream::connect(listener().local_addr().expect("an address")).expect("connects");
        peer.set_nodelay(true).expect("a socket");
        let (relayed, _) = listener().accept().expect("accepts");
        relayed.set_nodelay(true).expect("a socket");
        (peer.into(), relayed.into())
    } else {
        let (peer, relayed) = UnixStream::pair().expect("a pair of sockets");
        (peer.into(), relayed.into())
    };
    if !matches!(kind, Kind::Tcp | Kind::Large | Kind::LargeToo) {
        for socket in [&peer, &relayed] {
            socket.set_send_buffer_size(SMALL_BUFFER).expect("a socket");
        }
    }
    peer.set_nonblocking(true).expect("a socket");
    (peer, relayed)
}

/// The peer's end of a pair.
#[derive(Debug)]
pub(super) struct End {
    socket: Option<Socket>,
    pub(super) is_tcp: bool,
    /// The peer has ended its stream.
    pub(super) finished: bool,
    /// The peer has closed or reset its socket.
    pub(super) gone: bool,
    /// The peer has reset the connection.
    pub(super) reset: bool,
    /// The peer has received the end of the other's stream.
    pub(super) saw_end: bool,
}

impl End {
    pub(super) fn new(kind: Kind) -> (Self, Socket) {
        let (peer, relayed) = pair(kind);
        let is_tcp = kind == Kind::Tcp;
        let end = Self { socket: Some(peer), is_tcp, finished: false, gone: false, reset: false, saw_end: false };
        (end, relayed)
    }

    /// Returns the number of bytes that the system accepted.
    fn write(&mut self, bytes: &[u8]) -> usize {
        let Some(mut socket) = self.socket.as_ref().filter(|_| !self.finished) else { return 0 };
        match socket.write(bytes) {
            Ok(length) => length,
            Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
            Err(error) => panic!("a write failed before the connection ended: {error}"),
        }
    }

    fn read(&mut self, max_length: usize) -> Vec<u8> {
        let Some(mut socket) = self.socket.as_ref().filter(|_| !self.saw_end && max_length > 0) else {
            return Vec::new();
        };
        let mut memory = vec![0; max_length.min(READ_BUFFER)];
        match socket.read(&mut memory) {
            Ok(0) => self.saw_end = true,
            Ok(length) => {
                memory.truncate(length);
                return memory;
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => panic!("a read failed before the connection ended: {error}"),
        }
        Vec::new()
    }

    pub(super) fn finish(&mut self) {
        if let Some(socket) = self.socket.as_ref().filter(|_| !self.finished) {
            socket.shutdown(Shutdown::Write).expect("its other side is open");
            self.finished = true;
        }
    }

    pub(super) fn close(&mut self) {
        if self.socket.take().is_some() {
            (self.finished, self.gone) = (true, true);
        }
    }

    pub(super) fn reset(&mut self) {
        let Some(socket) = self.socket.take() else { return };
        self.gone = true;
        if self.is_tcp {
            socket.set_linger(Some(Duration::ZERO)).expect("a socket");
            self.reset = true;
        } else {
            // UNIX sockets cannot be reset.
            self.finished = true;
        }
    }

    pub(super) fn is_open(&self) -> bool {
        self.socket.is_some()
    }

    /// Drops the socket once the relay's end is closed, since its use may fail from then on.
    pub(super) fn discard(&mut self) {
        self.socket = None;
    }

    pub(super) fn read_blocking_for(&self, limit: Duration) -> io::Result<()> {
        let Some(socket) = &self.socket else { return Ok(()) };
        socket.set_nonblocking(false)?;
        socket.set_read_timeout(Some(limit))
    }
}

/// Bytes in which no two blocks of 1,024 are the same.
fn pattern(seed: u8, from: usize, length: usize) -> Vec<u8> {
    (from..from + length).map(|index| ((index * 31 + index / 251) as u8) ^ seed).collect()
}

/// The peer with cleartext: an application or a service.
#[derive(Debug)]
pub(super) struct Cleartext {
    pub(super) end: End,
    pub(super) written: usize,
    pub(super) read: usize,
}

impl Cleartext {
    const SEED: u8 = 0x5a;

    pub(super) fn write(&mut self, length: usize) {
        self.written += self.end.write(&pattern(Self::SEED, self.written, length));
    }

    /// Reads, and checks that the data is what the other peer sent. Returns whether anything arrived.
    pub(super) fn read(&mut self, max_length: usize, sent: &Packets) -> bool {
        let had_end = self.end.saw_end;
        let bytes = self.end.read(max_length);
        let expected = sent.cleartext.get(self.read..).and_then(|rest| rest.get(..bytes.len()));
        assert!(expected == Some(&bytes), "{} bytes at {} are not what was sent", bytes.len(), self.read);
        self.read += bytes.len();
        if self.end.saw_end {
            assert!(sent.ended_in_order() && self.read == sent.cleartext.len(), "the stream ended, but not in order");
        }
        !bytes.is_empty() || had_end != self.end.saw_end
    }
}

/// The peer with packets, which seals and opens like the reference except where it tampers.
#[derive(Debug)]
pub(super) struct Packets {
    pub(super) end: End,
    keys: [Keys; 2],
    /// Bytes of data in the packets made so far, and their number.
    made: usize,
    number: u64,
    tampers: VecDeque<Tamper>,
    outbox: VecDeque<u8>,
    /// Of the bytes that the system accepted: an incomplete packet at their end, and the number of packets before it.
    pub(super) incomplete: Vec<u8>,
    sent_packets: u64,
    /// The data of the accepted packets up to the first invalid one, and that one's error.
    pub(super) cleartext: Vec<u8>,
    pub(super) failure: Option<Error>,
    /// Of the received bytes: the bytes of data, an incomplete packet, and the number of packets before it.
    pub(super) opened: usize,
    received: Vec<u8>,
    received_packets: u64,
}

impl Packets {
    const SEED: u8 = 0xa5;

    /// `keys` are those for sending and for receiving.
    pub(super) fn new(end: End, keys: [Keys; 2]) -> Self {
        Self {
            end,
            keys,
            made: 0,
            number: 0,
            tampers: VecDeque::new(),
            outbox: VecDeque::new(),
            incomplete: Vec::new(),
            sent_packets: 0,
            cleartext: Vec::new(),
            failure: None,
            opened: 0,
            received: Vec::new(),
            received_packets: 0,
        }
    }

    pub(super) fn ended_in_order(&self) -> bool {
        self.end.finished && self.incomplete.is_empty() && self.failure.is_none()
    }

    pub(super) fn tamper(&mut self, tamper: Tamper) {
        self.tampers.push_back(tamper);
    }

    pub(super) fn write(&mut self, length: usize) {
        while self.outbox.len() < length {
            self.make();
        }
        let bytes: Vec<u8> = self.outbox.iter().take(length).copied().collect();
        let taken = self.end.write(&bytes);
        for byte in self.outbox.drain(..taken) {
            self.incomplete.push(byte);
            if self.incomplete.len() == PACKET {
                let packet = std::mem::take(&mut self.incomplete);
                if self.failure.is_none() {
                    match self.keys[0].open(self.sent_packets, &packet) {
                        Ok(data) => self.cleartext.extend(data),
                        Err(error) => self.failure = Some(error),
                    }
                }
                self.sent_packets += 1;
            }
        }
    }

    fn next_packet(&mut self, claimed_length: Option<u32>) -> Vec<u8> {
        // Mostly full packets, the others of every length.
        let length = match self.number % 4 {
            0 => 1 + (self.number as usize * 37) % DATA,
            _ => DATA,
        };
        let data = pattern(Self::SEED, self.made, length);
        let packet = self.keys[0].packet(self.number, &data, claimed_length.unwrap_or(length as u32));
        self.made += length;
        self.number += 1;
        packet
    }

    fn make(&mut self) {
        let packets = match self.tampers.pop_front() {
            None => self.next_packet(None),
            Some(Tamper::Flip { at, bits }) => {
                let mut packet = self.next_packet(None);
                packet[usize::from(at) % PACKET] ^= bits;
                packet
            }
            Some(Tamper::Drop) => {
                self.next_packet(None);
                self.next_packet(None)
            }
            Some(Tamper::Repeat) => self.next_packet(None).repeat(2),
            Some(Tamper::Swap) => {
                let [first, second] = [self.next_packet(None), self.next_packet(None)];
                [second, first].concat()
            }
            Some(Tamper::Cut { at }) => {
                let mut packet = self.next_packet(None);
                packet.remove(usize::from(at) % PACKET);
                packet
            }
            Some(Tamper::Length(length)) => self.next_packet(Some(length)),
        };
        self.outbox.extend(packets);
    }

    /// Reads, and checks that the packets open to what the other peer sent. Returns whether anything arrived.
    pub(super) fn read(&mut self, max_length: usize, sent: &Cleartext) -> bool {
        let had_end = self.end.saw_end;
        let bytes = self.end.read(max_length);
        self.received.extend_from_slice(&bytes);
        let whole = self.received.len() / PACKET * PACKET;
        for packet in self.received.drain(..whole).collect::<Vec<_>>().chunks(PACKET) {
            let data = self.keys[1].open(self.received_packets, packet).expect("a valid packet");
            assert!(data == pattern(Cleartext::SEED, self.opened, data.len()), "the packet carries the wrong data");
            self.opened += data.len();
            self.received_packets += 1;
        }
        assert!(self.opened <= sent.written, "more arrived than was sent");
        if self.end.saw_end {
            let in_order = sent.end.finished && self.received.is_empty() && self.opened == sent.written;
            assert!(in_order, "the stream ended, but not in order");
        }
        !bytes.is_empty() || had_end != self.end.saw_end
    }
}
