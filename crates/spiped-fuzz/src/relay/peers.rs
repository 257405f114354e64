//! The two peers of a connection: one that speaks cleartext, one that speaks packets. Each knows what the other may
//! see.

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

/// Linux takes no less.
const SMALL_BUFFER: usize = 4_608;
/// Enough for two reads of a peer.
const MEMORY: usize = 65_536;

/// Opens what stays open.
pub(super) fn prepare() {
    listener();
}

fn listener() -> &'static TcpListener {
    static LISTENER: OnceLock<TcpListener> = OnceLock::new();
    LISTENER.get_or_init(|| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("listens"))
}

/// The peer's socket, and the relay's.
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

/// A peer's end of a pair.
#[derive(Debug)]
pub(super) struct End {
    socket: Option<Socket>,
    pub(super) is_tcp: bool,
    /// It has ended its stream.
    pub(super) finished: bool,
    /// It has closed its socket.
    pub(super) gone: bool,
    /// And its system has said so by a reset.
    pub(super) reset: bool,
    /// It has seen the end of the other's stream.
    pub(super) saw_end: bool,
}

impl End {
    pub(super) fn new(kind: Kind) -> (Self, Socket) {
        let (peer, relayed) = pair(kind);
        let is_tcp = kind == Kind::Tcp;
        let end = Self { socket: Some(peer), is_tcp, finished: false, gone: false, reset: false, saw_end: false };
        (end, relayed)
    }

    /// How much of it the system takes.
    fn write(&mut self, bytes: &[u8]) -> usize {
        let Some(mut socket) = self.socket.as_ref().filter(|_| !self.finished) else { return 0 };
        match socket.write(bytes) {
            Ok(length) => length,
            Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
            Err(error) => panic!("a write fails before the connection has ended: {error}"),
        }
    }

    fn read(&mut self, most: usize) -> Vec<u8> {
        let Some(mut socket) = self.socket.as_ref().filter(|_| !self.saw_end && most > 0) else { return Vec::new() };
        let mut memory = vec![0; most.min(MEMORY)];
        match socket.read(&mut memory) {
            Ok(0) => self.saw_end = true,
            Ok(length) => {
                memory.truncate(length);
                return memory;
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => panic!("a read fails before the connection has ended: {error}"),
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
            // There are no resets of UNIX sockets.
            self.finished = true;
        }
    }

    pub(super) fn is_there(&self) -> bool {
        self.socket.is_some()
    }

    /// What its owner has done with the relay's socket may be an error from now on.
    pub(super) fn leave(&mut self) {
        self.socket = None;
    }

    pub(super) fn wait_at_most(&self, limit: Duration) -> io::Result<()> {
        let Some(socket) = &self.socket else { return Ok(()) };
        socket.set_nonblocking(false)?;
        socket.set_read_timeout(Some(limit))
    }
}

/// Bytes of which each 1,024 differ from the others.
fn pattern(seed: u8, from: usize, length: usize) -> Vec<u8> {
    (from..from + length).map(|index| ((index * 31 + index / 251) as u8) ^ seed).collect()
}

/// A program or a service.
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

    /// Whether anything came, which is what the other peer has sent.
    pub(super) fn read(&mut self, most: usize, sent: &Packets) -> bool {
        let had_end = self.end.saw_end;
        let bytes = self.end.read(most);
        let expected = sent.cleartext.get(self.read..).and_then(|rest| rest.get(..bytes.len()));
        assert!(expected == Some(&bytes), "{} bytes at {} are not what was sent", bytes.len(), self.read);
        self.read += bytes.len();
        if self.end.saw_end {
            assert!(sent.ends_in_order() && self.read == sent.cleartext.len(), "an end that is none");
        }
        !bytes.is_empty() || had_end != self.end.saw_end
    }
}

/// A peer that seals and opens as the reference does, unless it tampers.
#[derive(Debug)]
pub(super) struct Packets {
    pub(super) end: End,
    keys: [Keys; 2],
    /// Data of the packets made so far, and how many these are.
    made: usize,
    number: u64,
    tampers: VecDeque<Tamper>,
    outbox: VecDeque<u8>,
    /// Of what the system took: the beginning of a packet, and the number of those before it.
    pub(super) beginning: Vec<u8>,
    taken: u64,
    /// What the packets that it took carry, up to the first that is wrong, and what is wrong with it.
    pub(super) cleartext: Vec<u8>,
    pub(super) wrong: Option<Error>,
    /// What came: cleartext, the beginning of a packet, the number of those before it.
    pub(super) opened: usize,
    came: Vec<u8>,
    came_packets: u64,
}

impl Packets {
    const SEED: u8 = 0xa5;

    /// `keys`: of what it sends, and of what it receives.
    pub(super) fn new(end: End, keys: [Keys; 2]) -> Self {
        Self {
            end,
            keys,
            made: 0,
            number: 0,
            tampers: VecDeque::new(),
            outbox: VecDeque::new(),
            beginning: Vec::new(),
            taken: 0,
            cleartext: Vec::new(),
            wrong: None,
            opened: 0,
            came: Vec::new(),
            came_packets: 0,
        }
    }

    pub(super) fn ends_in_order(&self) -> bool {
        self.end.finished && self.beginning.is_empty() && self.wrong.is_none()
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
            self.beginning.push(byte);
            if self.beginning.len() == PACKET {
                let packet = std::mem::take(&mut self.beginning);
                if self.wrong.is_none() {
                    match self.keys[0].open(self.taken, &packet) {
                        Ok(data) => self.cleartext.extend(data),
                        Err(error) => self.wrong = Some(error),
                    }
                }
                self.taken += 1;
            }
        }
    }

    fn next_packet(&mut self, claimed_length: Option<u32>) -> Vec<u8> {
        // Of every length, full ones most.
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

    /// Whether anything came, which opens to what the other peer has sent.
    pub(super) fn read(&mut self, most: usize, sent: &Cleartext) -> bool {
        let had_end = self.end.saw_end;
        let bytes = self.end.read(most);
        self.came.extend_from_slice(&bytes);
        let whole = self.came.len() / PACKET * PACKET;
        for packet in self.came.drain(..whole).collect::<Vec<_>>().chunks(PACKET) {
            let data = self.keys[1].open(self.came_packets, packet).expect("a packet is right");
            assert!(data == pattern(Cleartext::SEED, self.opened, data.len()), "it carries something else");
            self.opened += data.len();
            self.came_packets += 1;
        }
        assert!(self.opened <= sent.written, "more came than was sent");
        if self.end.saw_end {
            let in_order = sent.end.finished && self.came.is_empty() && self.opened == sent.written;
            assert!(in_order, "an end that is none");
        }
        !bytes.is_empty() || had_end != self.end.saw_end
    }
}
