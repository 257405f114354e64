//! Sends messages to the system's logger, over a datagram or a stream socket.

use std::{
    io::{self, ErrorKind, Write},
    os::{
        fd::OwnedFd,
        unix::net::{UnixDatagram, UnixStream},
    },
};

use napi::bindgen_prelude::Uint8ArraySlice;
use napi_derive::napi;
use socket2::{Domain, SockAddr, Socket, Type};

use super::descriptors::system_error;
use crate::errors::Result;

/// Sends messages to the system's logger without blocking.
///
/// They are datagrams, or, if the logger uses a stream, each is followed by a zero byte, as with syslog(3).
#[napi]
pub struct SyslogSocket {
    /// Not connected, since the logger may restart.
    datagrams: UnixDatagram,
    stream: Option<LogStream>,
}

#[napi]
impl SyslogSocket {
    /// Opens the socket.
    #[napi(constructor)]
    pub fn new() -> Result<Self> {
        let open = || {
            let datagrams = UnixDatagram::unbound()?;
            datagrams.set_nonblocking(true)?;
            Ok(Self { datagrams, stream: None })
        };
        open().map_err(|error| system_error("open a datagram socket", error))
    }

    /// Sends `message` to the logger at `path`, whole or not at all. Throws if nobody listens there, and `EAGAIN` or
    /// `ENOBUFS` if the logger does not keep up.
    #[napi]
    pub fn send(&mut self, path: String, message: Uint8ArraySlice) -> Result<()> {
        self.try_send(&path, &message).map_err(|error| system_error("send to the system's logger", error))
    }

    fn try_send(&mut self, path: &str, message: &[u8]) -> io::Result<()> {
        if let Some(stream) = self.stream.as_mut().filter(|stream| stream.path == path) {
            match stream.send(message) {
                // The logger closed the stream; it may have restarted.
                Err(error) if error.kind() != ErrorKind::WouldBlock => self.stream = None,
                sent => return sent,
            }
        }
        match self.datagrams.send_to(message, path) {
            Err(error) if error.raw_os_error() == Some(libc::EPROTOTYPE) => {
                self.stream.insert(LogStream::connect(path)?).send(message)
            }
            sent => sent.map(drop),
        }
    }
}

struct LogStream {
    path: String,
    socket: UnixStream,
    /// The unsent rest of the last message.
    rest: Vec<u8>,
}

impl LogStream {
    fn connect(path: &str) -> io::Result<Self> {
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        // A full backlog is an error instead of blocking.
        socket.set_nonblocking(true)?;
        socket.connect(&SockAddr::unix(path)?)?;
        Ok(Self { path: path.to_owned(), socket: OwnedFd::from(socket).into(), rest: Vec::new() })
    }

    fn send(&mut self, message: &[u8]) -> io::Result<()> {
        while !self.rest.is_empty() {
            let taken = self.socket.write(&self.rest)?;
            self.rest.drain(..taken);
        }
        let mut whole = message.to_vec();
        whole.push(0);
        let taken = self.socket.write(&whole)?;
        self.rest = whole.split_off(taken);
        Ok(())
    }
}
