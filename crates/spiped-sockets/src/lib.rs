//! Sockets from the moment they are accepted or dialled until somebody carries their data: what a handshake needs of
//! them, without a stream, a buffer or a timer for each.
//!
//! Nothing here waits. Whoever has [`Sockets`] waits until their one descriptor is readable, asks what has happened, and
//! decides what comes next: accepting each client, sending, expecting a number of bytes, giving a socket away.
#![cfg(unix)]

use std::{
    collections::HashMap,
    io::{self, ErrorKind, Read},
    os::fd::{AsRawFd, OwnedFd, RawFd},
    time::Duration,
};

use mio::{Events, Interest, Poll, Token, unix::SourceFd};
use socket2::{SockAddr, Socket, TcpKeepalive, Type};

/// The most bytes that can be expected at a time.
pub const MOST_EXPECTED: usize = 512;

/// Events that are asked for at a time.
pub const EVENTS: usize = 256;

/// What a number stands for; never used again while anybody could still mean the one before.
pub type Id = u32;

/// What is set on a socket.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// How the system finds out that the other side is gone; `None` leaves that to chance.
    pub keep_alive: Option<KeepAlive>,
    /// Whether the other side sees a reset when the socket is closed, by whomever.
    pub resets_on_close: bool,
}

/// Probes of a silent connection.
#[derive(Clone, Copy, Debug)]
pub struct KeepAlive {
    /// Silence before the first.
    pub idle: Duration,
    /// Time between them.
    pub interval: Duration,
    /// How many remain unanswered before the connection is given up.
    pub probes: u32,
}

/// What has happened to a socket.
#[derive(Debug)]
pub enum Event<'a> {
    /// Clients wait to be accepted.
    Acceptable,
    /// It is connected.
    Connected,
    /// The bytes that were expected.
    Arrived(&'a [u8]),
    /// The other side has ended its stream after that many of the bytes that were expected.
    Ended(usize),
    /// It cannot be connected, or it is broken.
    Failed(io::Error),
}

enum Entry {
    Listening { socket: Socket, owner: Owner, options: Options, hands_on: HandsOn },
    Connecting { socket: Socket, resets_on_close: bool },
    Open(Open),
}

/// Whether what is accepted has the options of the socket that listens.
#[derive(Clone, Copy, PartialEq)]
enum HandsOn {
    /// It may have anything: others accept from the same socket, so that nothing is set there.
    Never,
    /// Some may still be waiting who came before the options were set.
    NotYet,
    Now,
}

/// Whose a socket that listens is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Owner {
    /// Nobody else accepts from it.
    Us,
    /// A service manager keeps it, for whoever comes after us or beside us: it stays as it is.
    ServiceManager,
}

struct Open {
    socket: Socket,
    is_watched: bool,
    resets_on_close: bool,
    /// How many bytes are expected, and those of them that have come; empty where none are.
    expected: usize,
    arrived: Vec<u8>,
}

impl Open {
    fn new(socket: Socket, is_watched: bool, resets_on_close: bool) -> Self {
        Self { socket, is_watched, resets_on_close, expected: 0, arrived: Vec::new() }
    }
}

/// See the head of this file.
pub struct Sockets {
    poll: Poll,
    events: Events,
    entries: HashMap<Id, Entry>,
    last_id: Id,
}

impl Sockets {
    /// None yet.
    ///
    /// # Errors
    /// Where the system gives nothing to wait with.
    pub fn new() -> io::Result<Self> {
        Ok(Self { poll: Poll::new()?, events: Events::with_capacity(EVENTS), entries: HashMap::new(), last_id: 0 })
    }

    /// Whether there are no sockets.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Watches a socket that listens. What is accepted from it gets these options.
    ///
    /// # Errors
    /// Where it cannot be watched.
    pub fn listen(&mut self, descriptor: OwnedFd, owner: Owner, options: Options) -> io::Result<Id> {
        let socket = Socket::from(descriptor);
        socket.set_nonblocking(true)?;
        if INHERITS && owner == Owner::Us && is_tcp(&socket) {
            set(&socket, options)?;
        }
        let id = self.free_id();
        self.poll.registry().register(&mut SourceFd(&socket.as_raw_fd()), token(id), Interest::READABLE)?;
        let hands_on = match owner {
            Owner::Us if INHERITS => HandsOn::NotYet,
            Owner::Us | Owner::ServiceManager => HandsOn::Never,
        };
        self.entries.insert(id, Entry::Listening { socket, owner, options, hands_on });
        Ok(id)
    }

    /// Accepts a client, if one waits, and gives its address. Nothing watches it yet. Where none is left, the next one
    /// is an event.
    ///
    /// # Errors
    /// The system's; a client that has gone again is none.
    pub fn accept(&mut self, listener: Id) -> io::Result<Option<(Id, SockAddr)>> {
        let Some(Entry::Listening { socket, owner, options, hands_on }) = self.entries.get_mut(&listener) else {
            return Err(unknown());
        };
        let (client, address) = loop {
            if *owner == Owner::ServiceManager {
                // The flag is everybody's who has the socket, and systemd takes it away when it starts another program.
                socket.set_nonblocking(true)?;
            }
            match socket.accept() {
                Ok(accepted) => break accepted,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    // Nobody is left who came before the options were set.
                    if *hands_on == HandsOn::NotYet {
                        *hands_on = HandsOn::Now;
                    }
                    return Ok(None);
                }
                Err(error) if has_gone(&error) => {}
                Err(error) => return Err(error),
            }
        };
        let (options, hands_on) = (*options, *hands_on);
        client.set_nonblocking(true)?;
        if hands_on != HandsOn::Now && !address.is_unix() {
            // One that was reset meanwhile takes no option, and whoever reads from it learns of that.
            let _ = set(&client, options);
        }
        if hands_on == HandsOn::Never && !address.is_unix() && !options.resets_on_close {
            let _ = client.set_linger(None);
        }
        let id = self.free_id();
        self.entries.insert(id, Entry::Open(Open::new(client, false, options.resets_on_close && !address.is_unix())));
        Ok(Some((id, address)))
    }

    /// Has waiting clients reported once more, where not all were accepted.
    ///
    /// # Errors
    /// Where it cannot be watched.
    pub fn ask_again(&mut self, listener: Id) -> io::Result<()> {
        let Some(Entry::Listening { socket, .. }) = self.entries.get(&listener) else { return Err(unknown()) };
        self.poll.registry().reregister(&mut SourceFd(&socket.as_raw_fd()), token(listener), Interest::READABLE)
    }

    /// Begins to connect; how it ends is an event.
    ///
    /// # Errors
    /// What the system says at once.
    pub fn connect(&mut self, address: &SockAddr, options: Options) -> io::Result<Id> {
        let socket = Socket::new(address.domain(), Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        if !address.is_unix() {
            set(&socket, options)?;
        }
        match socket.connect(address) {
            // Of a UNIX socket, `WouldBlock` means that its backlog is full, and nothing has begun.
            Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => return Err(error),
            _ => {}
        }
        let id = self.free_id();
        self.poll.registry().register(&mut SourceFd(&socket.as_raw_fd()), token(id), Interest::WRITABLE)?;
        self.entries.insert(id, Entry::Connecting { socket, resets_on_close: options.resets_on_close });
        Ok(id)
    }

    /// Sends all of it.
    ///
    /// # Errors
    /// The system's; `WouldBlock` where the socket does not take all, which a new one does.
    pub fn send(&mut self, id: Id, bytes: &[u8]) -> io::Result<()> {
        let open = self.open(id)?;
        match open.socket.send_with_flags(bytes, NO_SIGNAL)? {
            sent if sent == bytes.len() => Ok(()),
            _ => Err(ErrorKind::WouldBlock.into()),
        }
    }

    /// Expects this many bytes, at least 1. Nothing behind them is read.
    ///
    /// # Errors
    /// Where the socket cannot be watched.
    pub fn expect(&mut self, id: Id, length: usize) -> io::Result<()> {
        if length == 0 || length > MOST_EXPECTED {
            return Err(ErrorKind::InvalidInput.into());
        }
        let Some(Entry::Open(open)) = self.entries.get_mut(&id) else { return Err(unknown()) };
        open.expected = length;
        open.arrived.clear();
        let descriptor = open.socket.as_raw_fd();
        let (registry, mut source) = (self.poll.registry(), SourceFd(&descriptor));
        // Watching it anew reports what has come already.
        if open.is_watched {
            registry.reregister(&mut source, token(id), Interest::READABLE)
        } else {
            open.is_watched = true;
            registry.register(&mut source, token(id), Interest::READABLE)
        }
    }

    /// What has come of the bytes that are expected, or were when the stream ended or the socket failed.
    #[must_use]
    pub fn arrived(&self, id: Id) -> &[u8] {
        match self.entries.get(&id) {
            Some(Entry::Open(open)) => &open.arrived,
            _ => &[],
        }
    }

    /// Says what the other side sees when the socket is closed, by whomever.
    ///
    /// # Errors
    /// The system's.
    pub fn reset_on_close(&mut self, id: Id, resets: bool) -> io::Result<()> {
        let open = self.open(id)?;
        if open.resets_on_close != resets {
            open.socket.set_linger(resets.then_some(Duration::ZERO))?;
            open.resets_on_close = resets;
        }
        Ok(())
    }

    /// Gives a socket away.
    ///
    /// # Errors
    /// Where there is none.
    pub fn take(&mut self, id: Id) -> io::Result<OwnedFd> {
        match self.entries.remove(&id) {
            Some(Entry::Open(open)) => {
                if open.is_watched {
                    self.poll.registry().deregister(&mut SourceFd(&open.socket.as_raw_fd()))?;
                }
                Ok(open.socket.into())
            }
            Some(other) => {
                self.entries.insert(id, other);
                Err(unknown())
            }
            None => Err(unknown()),
        }
    }

    /// The number of a socket's descriptor, for questions to the system.
    #[must_use]
    pub fn descriptor(&self, id: Id) -> Option<RawFd> {
        match self.entries.get(&id)? {
            Entry::Listening { socket, .. } | Entry::Connecting { socket, .. } => Some(socket.as_raw_fd()),
            Entry::Open(open) => Some(open.socket.as_raw_fd()),
        }
    }

    /// Closes a socket, one that listens too; one that is not there is closed already.
    pub fn close(&mut self, id: Id, resets: bool) {
        // A socket that was reset takes no option.
        let _ = self.reset_on_close(id, resets);
        if let Some(Entry::Listening { socket, .. }) = self.entries.remove(&id) {
            // Where somebody else has it open too, the system would go on watching it.
            let _ = self.poll.registry().deregister(&mut SourceFd(&socket.as_raw_fd()));
        }
    }

    /// Tells what has happened, without waiting for it.
    ///
    /// # Errors
    /// The system's.
    pub fn poll(&mut self, mut told: impl FnMut(Id, Event<'_>)) -> io::Result<()> {
        let Self { poll, events, entries, .. } = self;
        match poll.poll(events, Some(Duration::ZERO)) {
            Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error),
            _ => {}
        }
        for event in events.iter() {
            let id = event.token().0 as Id;
            match entries.remove(&id) {
                Some(Entry::Connecting { socket, resets_on_close }) => match connected(&socket) {
                    Ok(true) => {
                        entries.insert(id, Entry::Open(Open::new(socket, true, resets_on_close)));
                        told(id, Event::Connected);
                    }
                    Ok(false) => {
                        entries.insert(id, Entry::Connecting { socket, resets_on_close });
                    }
                    Err(error) => told(id, Event::Failed(error)),
                },
                Some(Entry::Open(mut open)) => {
                    receive(&mut open, |event| told(id, event));
                    entries.insert(id, Entry::Open(open));
                }
                Some(listening @ Entry::Listening { .. }) => {
                    entries.insert(id, listening);
                    told(id, Event::Acceptable);
                }
                None => {}
            }
        }
        events.clear();
        Ok(())
    }

    fn open(&mut self, id: Id) -> io::Result<&mut Open> {
        match self.entries.get_mut(&id) {
            Some(Entry::Open(open)) => Ok(open),
            _ => Err(unknown()),
        }
    }

    fn free_id(&mut self) -> Id {
        loop {
            self.last_id = self.last_id.wrapping_add(1);
            if !self.entries.contains_key(&self.last_id) {
                return self.last_id;
            }
        }
    }
}

impl AsRawFd for Sockets {
    /// Readable when something has happened.
    fn as_raw_fd(&self) -> RawFd {
        self.poll.as_raw_fd()
    }
}

/// A peer that is gone is an error, whatever this process does about signals.
#[cfg(target_vendor = "apple")]
const NO_SIGNAL: libc::c_int = 0;
#[cfg(not(target_vendor = "apple"))]
const NO_SIGNAL: libc::c_int = libc::MSG_NOSIGNAL;

/// Whether the system gives a client the options that the listening socket has when it comes. Linux does, all of those
/// that are set here; others differ.
const INHERITS: bool = cfg!(target_os = "linux");

fn set(socket: &Socket, options: Options) -> io::Result<()> {
    socket.set_tcp_nodelay(true)?;
    match options.keep_alive {
        Some(KeepAlive { idle, interval, probes }) => {
            let timing = TcpKeepalive::new().with_time(idle).with_interval(interval).with_retries(probes);
            socket.set_tcp_keepalive(&timing)?;
        }
        // A listening socket may come from somebody who wanted it otherwise.
        None => socket.set_keepalive(false)?,
    }
    if options.resets_on_close {
        socket.set_linger(Some(Duration::ZERO))?;
    }
    Ok(())
}

fn is_tcp(socket: &Socket) -> bool {
    socket.local_addr().is_ok_and(|address| !address.is_unix())
}

/// Whether it is connected by now.
fn connected(socket: &Socket) -> io::Result<bool> {
    match socket.take_error()? {
        Some(error) => Err(error),
        // A report that came too early.
        None => Ok(!matches!(socket.peer_addr(), Err(error) if error.kind() == ErrorKind::NotConnected)),
    }
}

fn receive(open: &mut Open, told: impl FnOnce(Event<'_>)) {
    while open.expected > 0 {
        let mut bytes = [0; MOST_EXPECTED];
        let missing = open.expected - open.arrived.len();
        match (&open.socket).read(&mut bytes[..missing]) {
            Ok(0) => {
                open.expected = 0;
                return told(Event::Ended(open.arrived.len()));
            }
            Ok(length) => open.arrived.extend_from_slice(&bytes[..length]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => {
                open.expected = 0;
                return told(Event::Failed(error));
            }
        }
        if open.arrived.len() == open.expected {
            open.expected = 0;
            told(Event::Arrived(&open.arrived));
            return open.arrived.clear();
        }
    }
}

/// Errors that a client leaves in the backlog when it goes again.
fn has_gone(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::ConnectionAborted | ErrorKind::Interrupted)
        || error.raw_os_error() == Some(libc::EPROTO)
}

fn token(id: Id) -> Token {
    Token(id as usize)
}

fn unknown() -> io::Error {
    io::Error::from_raw_os_error(libc::EBADF)
}
