//! Sockets that Node.js has no objects for, from accepting or dialing until the relay takes over.

use std::{
    ffi::OsStr,
    net::SocketAddr,
    os::{
        fd::{AsRawFd, IntoRawFd},
        unix::ffi::OsStrExt,
    },
    time::Duration,
};

use napi::bindgen_prelude::{Env, Function, Uint8ArraySlice};
use napi_derive::napi;
use nix::sys::socket::{MsgFlags, recv};
use socket2::SockAddr;
use spiped_sockets::{EVENTS, Event, KeepAlive, MAX_EXPECTED_BYTES, Options, Owner};

use crate::{
    buffers::copied,
    errors::{Code, Result},
    loop_watch::LoopWatch,
    platform::NUMERIC,
    system::{
        descriptors::{borrowed, owned, system_error},
        lookup::{ResolvedAddress, look_up, resolve_error},
        sockets::{credentials, has_ended, local_address},
    },
};

/// A client that was accepted.
#[napi(object)]
pub struct AcceptedSocket {
    pub id: u32,
    /// The client as `[address]:port`, or the user of a UNIX socket's client; null if the system does not tell.
    pub peer: Option<String>,
}

/// When the system probes an idle connection.
#[napi(object)]
pub struct KeepAliveTimes {
    pub idle_seconds: u32,
    pub interval_seconds: u32,
    pub probes: u32,
}

/// Sockets that are listening, connecting, or in a handshake, identified by numbers.
#[napi]
pub struct Sockets {
    sockets: spiped_sockets::Sockets,
    watch: LoopWatch,
    keep_alive: KeepAlive,
}

/// The header of each event: the socket's number, the kind and the value, 4 bytes each, in native byte order.
const HEADER_LENGTH: usize = 12;

#[napi]
impl Sockets {
    /// `ready` is called whenever `poll` has events. Throws `ENOSYS` if the event loop cannot watch descriptors.
    #[napi(constructor)]
    pub fn new(env: Env, keep_alive: KeepAliveTimes, ready: Function<'_, (), ()>) -> Result<Self> {
        let failed = |error| system_error("wait for sockets", error);
        let sockets = spiped_sockets::Sockets::new().map_err(failed)?;
        let copy = borrowed(sockets.as_raw_fd()).and_then(|poll| poll.try_clone_to_owned()).map_err(failed)?;
        let watch = LoopWatch::start(&env, copy, &ready)?;
        let keep_alive = KeepAlive {
            idle: Duration::from_secs(keep_alive.idle_seconds.into()),
            interval: Duration::from_secs(keep_alive.interval_seconds.into()),
            probes: keep_alive.probes,
        };
        Ok(Self { sockets, watch, keep_alive })
    }

    /// Takes over the descriptor of a listening socket and returns the socket's number. The options of a socket that is
    /// `shared` with other processes are not changed.
    #[napi]
    pub fn listen(&mut self, descriptor: i32, shared: bool, keep_alive: bool, resets_on_close: bool) -> Result<u32> {
        let owner = if shared { Owner::ServiceManager } else { Owner::Us };
        let id = self
            .sockets
            .listen(owned(descriptor)?, owner, options(self.keep_alive, keep_alive, resets_on_close))
            .map_err(|error| system_error("listen", error))?;
        self.changed();
        Ok(id)
    }

    /// Accepts a client. Returns null if none is waiting; then the next one causes an event.
    #[napi]
    pub fn accept(&mut self, listener: u32) -> Result<Option<AcceptedSocket>> {
        let accepted = self.sockets.accept(listener).map_err(|error| system_error("accept", error))?;
        let Some((id, address)) = accepted else { return Ok(None) };
        let peer = self.peer(id, &address);
        Ok(Some(AcceptedSocket { id, peer }))
    }

    /// Causes another event if clients are still waiting.
    #[napi]
    pub fn rearm(&mut self, listener: u32) -> Result<()> {
        self.sockets.rearm(listener).map_err(|error| system_error("listen", error))
    }

    /// Starts to connect to a numeric address and returns the socket's number. An event reports the outcome.
    #[napi]
    pub fn connect(&mut self, address: String, port: u16, keep_alive: bool, resets_on_close: bool) -> Result<u32> {
        let address = match address.parse() {
            Ok(ip) => SocketAddr::new(ip, port),
            // For example, an address with a scope.
            Err(_) => *look_up(&address, &port.to_string(), NUMERIC)
                .map_err(|error| resolve_error(&error))?
                .first()
                .ok_or_else(|| napi::Error::new(Code::Resolve, "no address found"))?,
        };
        self.connect_to(&address.into(), options(self.keep_alive, keep_alive, resets_on_close))
    }

    /// The same for the UNIX socket at `path`. Throws `EAGAIN` if its backlog is full.
    #[napi]
    pub fn connect_unix(&mut self, path: Uint8ArraySlice) -> Result<u32> {
        let address = SockAddr::unix(OsStr::from_bytes(&path)).map_err(|error| system_error("connect", error))?;
        self.connect_to(&address, Options { keep_alive: None, resets_on_close: false })
    }

    fn connect_to(&mut self, address: &SockAddr, options: Options) -> Result<u32> {
        let id = self.sockets.connect(address, options).map_err(|error| system_error("connect", error))?;
        self.changed();
        Ok(id)
    }

    /// Sends all of `bytes`. Throws `EAGAIN` if the socket does not accept all of it.
    #[napi]
    pub fn send(&mut self, id: u32, bytes: Uint8ArraySlice) -> Result<()> {
        self.sockets.send(id, &bytes).map_err(|error| system_error("write", error))
    }

    /// Starts to read exactly `length` bytes, 1 to 512, and nothing after them. An event reports that they have arrived
    /// or never will.
    #[napi]
    pub fn expect(&mut self, id: u32, length: u32) -> Result<()> {
        self.sockets.expect(id, length as usize).map_err(|error| system_error("read", error))
    }

    /// The expected bytes that have arrived so far, or had when the stream ended or the socket failed.
    #[napi(ts_return_type = "Uint8Array")]
    pub fn arrived<'env>(&self, env: &'env Env, id: u32) -> Result<Uint8ArraySlice<'env>> {
        copied(env, self.sockets.arrived(id))
    }

    /// Returns up to `length` bytes that have arrived, without consuming them.
    #[napi(ts_return_type = "Uint8Array")]
    pub fn peek<'env>(&self, env: &'env Env, id: u32, length: u32) -> Result<Uint8ArraySlice<'env>> {
        let mut waiting = vec![0; MAX_EXPECTED_BYTES.min(length as usize)];
        let descriptor = self.sockets.descriptor(id).unwrap_or(-1);
        // A broken or closed socket has nothing to read.
        let found = recv(descriptor, &mut waiting, MsgFlags::MSG_PEEK | MsgFlags::MSG_DONTWAIT).unwrap_or(0);
        copied(env, &waiting[..found])
    }

    /// Whether the peer has ended its stream or the socket has failed, and everything before that has been read.
    #[napi]
    pub fn has_ended(&self, id: u32) -> bool {
        has_ended(self.sockets.descriptor(id).unwrap_or(CLOSED))
    }

    /// Sets what the peer sees when the socket is closed: a reset, or the end of the stream.
    #[napi]
    pub fn reset_on_close(&mut self, id: u32, resets: bool) -> Result<()> {
        self.sockets.reset_on_close(id, resets).map_err(|error| system_error("set SO_LINGER", error))
    }

    /// The local address of a TCP socket, null for any other. Throws if the system no longer knows it.
    #[napi]
    pub fn local_address(&self, id: u32) -> Result<Option<ResolvedAddress>> {
        local_address(self.sockets.descriptor(id).unwrap_or(CLOSED))
    }

    /// Removes a socket and returns its descriptor, which the caller owns.
    #[napi]
    pub fn take(&mut self, id: u32) -> Result<i32> {
        let descriptor = self.sockets.take(id).map_err(|error| system_error("take a socket", error))?;
        self.changed();
        Ok(descriptor.into_raw_fd())
    }

    /// Closes a socket, or resets its connection with `resets`.
    #[napi]
    pub fn close(&mut self, id: u32, resets: bool) {
        self.sockets.close(id, resets);
        self.changed();
    }

    /// Writes all events since the last call into `out`, which needs room for `eventBytes()`, and returns the number of
    /// bytes written. An event is the socket's number, a kind and a value, 4 bytes each in native byte order, then
    /// data, padded to a multiple of 4 bytes.
    ///
    /// Kinds: 0, clients are waiting; 1, connected; 2, the expected bytes have arrived, and the value is their number;
    /// 3, the stream ended after that many of them; 4, failed, with an `errno` as the value.
    #[napi]
    pub fn poll(&mut self, mut out: Uint8ArraySlice) -> Result<u32> {
        // SAFETY: synchronous, on the thread that owns the array, and nothing else here refers to its memory.
        #[allow(unsafe_code)]
        let out = unsafe { out.as_mut() };
        if out.len() < event_bytes() as usize {
            return Err(napi::Error::new(Code::Buffer, "the buffer is too small for the events"));
        }
        let mut written = 0;
        let told = |id: u32, event: Event<'_>| {
            let (kind, value, bytes): (u32, i32, &[u8]) = match event {
                Event::Acceptable => (0, 0, &[]),
                Event::Connected => (1, 0, &[]),
                Event::Arrived(bytes) => (2, bytes.len() as i32, bytes),
                Event::Ended(arrived) => (3, arrived as i32, &[]),
                Event::Failed(error) => (4, error.raw_os_error().unwrap_or(libc::EINVAL), &[]),
            };
            let place = &mut out[written..];
            place[..4].copy_from_slice(&id.to_ne_bytes());
            place[4..8].copy_from_slice(&kind.to_ne_bytes());
            place[8..12].copy_from_slice(&value.to_ne_bytes());
            place[HEADER_LENGTH..HEADER_LENGTH + bytes.len()].copy_from_slice(bytes);
            written += HEADER_LENGTH + bytes.len().next_multiple_of(4);
        };
        self.sockets.poll(told).map_err(|error| system_error("wait for sockets", error))?;
        // Connections that failed were removed.
        self.changed();
        Ok(written as u32)
    }

    fn changed(&mut self) {
        self.watch.keep_alive(!self.sockets.is_empty());
    }

    fn peer(&self, id: u32, address: &SockAddr) -> Option<String> {
        if let Some(address) = address.as_socket() {
            return Some(match address {
                SocketAddr::V4(address) => format!("[{}]:{}", address.ip(), address.port()),
                SocketAddr::V6(_) => {
                    let ResolvedAddress { address, port, .. } = ResolvedAddress::from(&address);
                    format!("[{address}]:{port}")
                }
            });
        }
        let peer = credentials(borrowed(self.sockets.descriptor(id)?).ok()?)?;
        Some(match peer.pid {
            Some(pid) => format!("uid {} (pid {pid})", peer.uid),
            None => format!("uid {}", peer.uid),
        })
    }
}

/// Not a descriptor.
const CLOSED: i32 = -1;

/// The most bytes that `Sockets.poll` can write.
#[napi]
pub(crate) fn event_bytes() -> u32 {
    (EVENTS * (HEADER_LENGTH + MAX_EXPECTED_BYTES)) as u32
}

fn options(times: KeepAlive, keep_alive: bool, resets_on_close: bool) -> Options {
    Options { keep_alive: keep_alive.then_some(times), resets_on_close }
}
