//! The socket of a peer, which writes, reads, ends and resets without blocking.

use std::{
    io::{self, ErrorKind, Read, Write},
    net::{Ipv4Addr, Shutdown, TcpListener, TcpStream},
    os::unix::net::UnixStream,
    sync::OnceLock,
    time::Duration,
};

use socket2::Socket;

use super::Kind;

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

/// The peer's socket of a pair.
#[derive(Debug)]
pub(super) struct PeerSocket {
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

impl PeerSocket {
    pub(super) fn new(kind: Kind) -> (Self, Socket) {
        let (peer, relayed) = pair(kind);
        let is_tcp = kind == Kind::Tcp;
        let end = Self { socket: Some(peer), is_tcp, finished: false, gone: false, reset: false, saw_end: false };
        (end, relayed)
    }

    /// Returns the number of bytes that the system accepted.
    pub(super) fn write(&mut self, bytes: &[u8]) -> usize {
        let Some(mut socket) = self.socket.as_ref().filter(|_| !self.finished) else { return 0 };
        match socket.write(bytes) {
            Ok(length) => length,
            Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
            Err(error) => panic!("a write failed before the connection ended: {error}"),
        }
    }

    pub(super) fn read(&mut self, max_length: usize) -> Vec<u8> {
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
