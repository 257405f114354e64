//! Sockets without a class of Node.js's, from the moment they are accepted or dialled until the relay carries their data.

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
use spiped_sockets::{EVENTS, Event, KeepAlive, MOST_EXPECTED, Options, Owner};

use crate::{
    buffers::copied,
    errors::{Code, Result},
    loop_watch::LoopWatch,
    relay::owned,
    system::{
        descriptors::{borrowed, system_error},
        lookup::{NUMERIC, ResolvedAddress, look_up, resolve_error},
        sockets::{credentials, has_ended, local_address},
    },
};

/// A client that was accepted.
#[napi(object)]
pub struct AcceptedSocket {
    pub id: u32,
    /// Who it is: `[address]:port`, or the user behind a UNIX socket; null where the system does not tell.
    pub peer: Option<String>,
}

/// Probes of a silent connection.
#[napi(object)]
pub struct KeepAliveTimes {
    pub idle_seconds: u32,
    pub interval_seconds: u32,
    pub probes: u32,
}

/// Sockets that are being accepted, dialled and shaken hands with. Numbers stand for them.
#[napi]
pub struct Sockets {
    sockets: spiped_sockets::Sockets,
    watch: LoopWatch,
    keep_alive: KeepAlive,
}

/// Of each event before its bytes: the socket's number, the kind, and the value, 4 bytes each in the machine's order.
const HEADER_LENGTH: usize = 12;

#[napi]
impl Sockets {
    /// `ready` is called when `poll` has something to tell. Throws where the event loop cannot watch.
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

    /// Watches a socket that listens; the descriptor belongs to this from now on. Gives its number. Of one that is
    /// `shared` with others who accept nothing is changed.
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

    /// Accepts a client, null where none waits; the next one is an event then.
    #[napi]
    pub fn accept(&mut self, listener: u32) -> Result<Option<AcceptedSocket>> {
        let accepted = self.sockets.accept(listener).map_err(|error| system_error("accept", error))?;
        let Some((id, address)) = accepted else { return Ok(None) };
        let peer = self.peer(id, &address);
        Ok(Some(AcceptedSocket { id, peer }))
    }

    /// Makes another event of the clients that wait.
    #[napi]
    pub fn ask_again(&mut self, listener: u32) -> Result<()> {
        self.sockets.ask_again(listener).map_err(|error| system_error("listen", error))
    }

    /// Begins to connect to a numeric address, and gives the socket's number; how it ends is an event.
    #[napi]
    pub fn connect(&mut self, address: String, port: u16, keep_alive: bool, resets_on_close: bool) -> Result<u32> {
        let address = match address.parse() {
            Ok(ip) => SocketAddr::new(ip, port),
            // With a scope, say.
            Err(_) => *look_up(&address, &port.to_string(), NUMERIC)
                .map_err(|error| resolve_error(&error))?
                .first()
                .ok_or_else(|| napi::Error::new(Code::Resolve, "no address found"))?,
        };
        self.connect_to(&address.into(), options(self.keep_alive, keep_alive, resets_on_close))
    }

    /// The same for a UNIX socket, whose path is `path`; `EAGAIN` where its backlog is full.
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

    /// Sends all of it.
    #[napi]
    pub fn send(&mut self, id: u32, bytes: Uint8ArraySlice) -> Result<()> {
        self.sockets.send(id, &bytes).map_err(|error| system_error("write", error))
    }

    /// Expects this many bytes; that they have come, or will not, is an event. Nothing behind them is read.
    #[napi]
    pub fn expect(&mut self, id: u32, length: u32) -> Result<()> {
        self.sockets.expect(id, length as usize).map_err(|error| system_error("read", error))
    }

    /// What has come of the bytes that are expected, or were when the stream ended or the socket failed.
    #[napi(ts_return_type = "Uint8Array")]
    pub fn arrived<'env>(&self, env: &'env Env, id: u32) -> Result<Uint8ArraySlice<'env>> {
        copied(env, self.sockets.arrived(id))
    }

    /// What waits to be read, at most `length` bytes of it, and stays there.
    #[napi(ts_return_type = "Uint8Array")]
    pub fn peek<'env>(&self, env: &'env Env, id: u32, length: u32) -> Result<Uint8ArraySlice<'env>> {
        let mut waiting = vec![0; MOST_EXPECTED.min(length as usize)];
        let descriptor = self.sockets.descriptor(id).unwrap_or(-1);
        // One that is broken, or gone, has nothing to tell.
        let found = recv(descriptor, &mut waiting, MsgFlags::MSG_PEEK | MsgFlags::MSG_DONTWAIT).unwrap_or(0);
        copied(env, &waiting[..found])
    }

    /// Whether the other side has ended its stream, or the socket has failed, with nothing that waits to be read before
    /// that.
    #[napi]
    pub fn has_ended(&self, id: u32) -> bool {
        has_ended(self.sockets.descriptor(id).unwrap_or(CLOSED))
    }

    /// Says what the other side sees when the socket is closed, by whomever: a reset or an end.
    #[napi]
    pub fn reset_on_close(&mut self, id: u32, resets: bool) -> Result<()> {
        self.sockets.reset_on_close(id, resets).map_err(|error| system_error("set SO_LINGER", error))
    }

    /// Where a socket is bound, null where it is no TCP socket. Throws where the system no longer knows.
    #[napi]
    pub fn local_address(&self, id: u32) -> Result<Option<ResolvedAddress>> {
        local_address(self.sockets.descriptor(id).unwrap_or(CLOSED))
    }

    /// Gives the descriptor of a socket away.
    #[napi]
    pub fn take(&mut self, id: u32) -> Result<i32> {
        let descriptor = self.sockets.take(id).map_err(|error| system_error("take a socket", error))?;
        self.changed();
        Ok(descriptor.into_raw_fd())
    }

    /// Closes or resets a socket; closes one that listens.
    #[napi]
    pub fn close(&mut self, id: u32, resets: bool) {
        self.sockets.close(id, resets);
        self.changed();
    }

    /// Writes what has happened into `out`, which has room for `eventBytes()`, and gives the bytes written. Each event:
    /// the socket's number, a kind, a value, 4 bytes each; then bytes, filled up to a multiple of 4.
    ///
    /// Kinds: 0, clients wait; 1, connected; 2, the bytes that were expected, as many as the value says; 3, the stream has
    /// ended after that many of them; 4, failed, with the number of an `errno`.
    #[napi]
    pub fn poll(&mut self, mut out: Uint8ArraySlice) -> Result<u32> {
        // SAFETY: synchronous, on the thread that owns the array, and nothing else here refers to its memory.
        #[allow(unsafe_code)]
        let out = unsafe { out.as_mut() };
        if out.len() < event_bytes() as usize {
            return Err(napi::Error::new(Code::Buffer, "the events need more room"));
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
        // Connections that have failed are gone.
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

/// The number of no descriptor.
const CLOSED: i32 = -1;

/// The most bytes that `Sockets.poll` writes.
#[napi]
pub(crate) fn event_bytes() -> u32 {
    (EVENTS * (HEADER_LENGTH + MOST_EXPECTED)) as u32
}

fn options(times: KeepAlive, keep_alive: bool, resets_on_close: bool) -> Options {
    Options { keep_alive: keep_alive.then_some(times), resets_on_close }
}
