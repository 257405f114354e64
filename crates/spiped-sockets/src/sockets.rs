//! The sockets, polled together, and what can be done with them.

use std::{
    collections::HashMap,
    io::{self, ErrorKind},
    os::fd::{AsRawFd, OwnedFd, RawFd},
    time::Duration,
};

use mio::{Events, Interest, Poll, Token, unix::SourceFd};
use socket2::{SockAddr, Socket, Type};

use crate::{
    EVENTS, Event, Id, MAX_EXPECTED_BYTES, Owner,
    entry::{Entry, Inheritance, Open, connected, is_client_gone, receive},
    options::{Options, is_tcp, set},
    platform::{INHERITS, NO_SIGNAL},
};

/// A set of sockets, polled together.
pub struct Sockets {
    poll: Poll,
    events: Events,
    entries: HashMap<Id, Entry>,
    last_id: Id,
}

impl Sockets {
    /// An empty set.
    ///
    /// # Errors
    /// The system's error if it cannot create a poll instance.
    pub fn new() -> io::Result<Self> {
        Ok(Self { poll: Poll::new()?, events: Events::with_capacity(EVENTS), entries: HashMap::new(), last_id: 0 })
    }

    /// Whether there are no sockets.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Takes over a listening socket. Sockets accepted from it get `options`.
    ///
    /// # Errors
    /// The system's.
    pub fn listen(&mut self, descriptor: OwnedFd, owner: Owner, options: Options) -> io::Result<Id> {
        let socket = Socket::from(descriptor);
        socket.set_nonblocking(true)?;
        if INHERITS && owner == Owner::Us && is_tcp(&socket) {
            set(&socket, options)?;
        }
        let id = self.free_id();
        self.poll.registry().register(&mut SourceFd(&socket.as_raw_fd()), token(id), Interest::READABLE)?;
        let inheritance = match owner {
            Owner::Us if INHERITS => Inheritance::NotYet,
            Owner::Us | Owner::ServiceManager => Inheritance::Never,
        };
        self.entries.insert(id, Entry::Listening { socket, owner, options, inheritance });
        Ok(id)
    }

    /// Accepts a client and returns its address, or `None` if none is waiting; then the next one causes an event. The
    /// client has no events until [`Self::expect`].
    ///
    /// # Errors
    /// The system's. Clients that have left again are skipped.
    pub fn accept(&mut self, listener: Id) -> io::Result<Option<(Id, SockAddr)>> {
        let Some(Entry::Listening { socket, owner, options, inheritance }) = self.entries.get_mut(&listener) else {
            return Err(unknown());
        };
        let (client, address) = loop {
            if *owner == Owner::ServiceManager {
                // The flag is shared with every process that has the socket, and systemd clears it when it starts one.
                socket.set_nonblocking(true)?;
            }
            match socket.accept() {
                Ok(accepted) => break accepted,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    // No client is left that connected before the options were set.
                    if *inheritance == Inheritance::NotYet {
                        *inheritance = Inheritance::Now;
                    }
                    return Ok(None);
                }
                Err(error) if is_client_gone(&error) => {}
                Err(error) => return Err(error),
            }
        };
        let (options, inheritance) = (*options, *inheritance);
        client.set_nonblocking(true)?;
        if inheritance != Inheritance::Now && !address.is_unix() {
            // Fails on a connection that was reset, which the next read reports.
            let _ = set(&client, options);
        }
        if inheritance == Inheritance::Never && !address.is_unix() && !options.resets_on_close {
            let _ = client.set_linger(None);
        }
        let id = self.free_id();
        self.entries.insert(id, Entry::Open(Open::new(client, false, options.resets_on_close && !address.is_unix())));
        Ok(Some((id, address)))
    }

    /// Causes another event if clients are still waiting.
    ///
    /// # Errors
    /// The system's.
    pub fn rearm(&mut self, listener: Id) -> io::Result<()> {
        let Some(Entry::Listening { socket, .. }) = self.entries.get(&listener) else { return Err(unknown()) };
        self.poll.registry().reregister(&mut SourceFd(&socket.as_raw_fd()), token(listener), Interest::READABLE)
    }

    /// Starts to connect. An event reports the outcome.
    ///
    /// # Errors
    /// The system's, if connecting fails at once.
    pub fn connect(&mut self, address: &SockAddr, options: Options) -> io::Result<Id> {
        let socket = Socket::new(address.domain(), Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        if !address.is_unix() {
            set(&socket, options)?;
        }
        match socket.connect(address) {
            // For a UNIX socket, `WouldBlock` means that the backlog is full and nothing was started.
            Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => return Err(error),
            _ => {}
        }
        let id = self.free_id();
        self.poll.registry().register(&mut SourceFd(&socket.as_raw_fd()), token(id), Interest::WRITABLE)?;
        self.entries.insert(id, Entry::Connecting { socket, resets_on_close: options.resets_on_close });
        Ok(id)
    }

    /// Sends all of `bytes`.
    ///
    /// # Errors
    /// The system's; `WouldBlock` if the socket does not accept everything, which a new one does.
    pub fn send(&mut self, id: Id, bytes: &[u8]) -> io::Result<()> {
        let open = self.open(id)?;
        match open.socket.send_with_flags(bytes, NO_SIGNAL)? {
            sent if sent == bytes.len() => Ok(()),
            _ => Err(ErrorKind::WouldBlock.into()),
        }
    }

    /// Starts to read exactly `length` bytes, 1 to [`MAX_EXPECTED_BYTES`], and nothing after them. An event reports
    /// that they have arrived or never will.
    ///
    /// # Errors
    /// `InvalidInput` for any other length; the system's.
    pub fn expect(&mut self, id: Id, length: usize) -> io::Result<()> {
        if length == 0 || length > MAX_EXPECTED_BYTES {
            return Err(ErrorKind::InvalidInput.into());
        }
        let Some(Entry::Open(open)) = self.entries.get_mut(&id) else { return Err(unknown()) };
        open.expected = length;
        open.arrived.clear();
        let descriptor = open.socket.as_raw_fd();
        let (registry, mut source) = (self.poll.registry(), SourceFd(&descriptor));
        // Registering again reports data that has arrived already.
        if open.is_watched {
            registry.reregister(&mut source, token(id), Interest::READABLE)
        } else {
            open.is_watched = true;
            registry.register(&mut source, token(id), Interest::READABLE)
        }
    }

    /// The expected bytes that have arrived so far, or had when the stream ended or the socket failed.
    #[must_use]
    pub fn arrived(&self, id: Id) -> &[u8] {
        match self.entries.get(&id) {
            Some(Entry::Open(open)) => &open.arrived,
            _ => &[],
        }
    }

    /// Sets what the peer sees when the socket is closed: a reset, or the end of the stream.
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

    /// Removes a connected socket and returns its descriptor.
    ///
    /// # Errors
    /// `EBADF` if there is no such socket; the system's.
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

    /// The descriptor of a socket, to query the system.
    #[must_use]
    pub fn descriptor(&self, id: Id) -> Option<RawFd> {
        match self.entries.get(&id)? {
            Entry::Listening { socket, .. } | Entry::Connecting { socket, .. } => Some(socket.as_raw_fd()),
            Entry::Open(open) => Some(open.socket.as_raw_fd()),
        }
    }

    /// Closes a socket, or resets its connection with `resets`. Does nothing if there is no such socket.
    pub fn close(&mut self, id: Id, resets: bool) {
        // Fails on a socket that was reset.
        let _ = self.reset_on_close(id, resets);
        if let Some(Entry::Listening { socket, .. }) = self.entries.remove(&id) {
            // If another process has it open too, closing it would not remove it from the poll instance.
            let _ = self.poll.registry().deregister(&mut SourceFd(&socket.as_raw_fd()));
        }
    }

    /// Passes all events since the last call to `on_event`, without blocking.
    ///
    /// # Errors
    /// The system's.
    pub fn poll(&mut self, mut on_event: impl FnMut(Id, Event<'_>)) -> io::Result<()> {
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
                        on_event(id, Event::Connected);
                    }
                    Ok(false) => {
                        entries.insert(id, Entry::Connecting { socket, resets_on_close });
                    }
                    Err(error) => on_event(id, Event::Failed(error)),
                },
                Some(Entry::Open(mut open)) => {
                    receive(&mut open, |event| on_event(id, event));
                    entries.insert(id, Entry::Open(open));
                }
                Some(listening @ Entry::Listening { .. }) => {
                    entries.insert(id, listening);
                    on_event(id, Event::Acceptable);
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
    /// Readable while there are events.
    fn as_raw_fd(&self) -> RawFd {
        self.poll.as_raw_fd()
    }
}

fn token(id: Id) -> Token {
    Token(id as usize)
}

fn unknown() -> io::Error {
    io::Error::from_raw_os_error(libc::EBADF)
}
