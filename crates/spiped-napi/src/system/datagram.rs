//! Datagrams to UNIX sockets, which syslog takes.

use std::os::unix::net::UnixDatagram;

use napi::bindgen_prelude::Uint8ArraySlice;
use napi_derive::napi;

use super::descriptors::system_error;
use crate::errors::Result;

/// A socket that sends datagrams. It is not connected, so a receiver may go and come back.
#[napi]
pub struct DatagramSocket(UnixDatagram);

#[napi]
impl DatagramSocket {
    /// A socket of its own. Sending never waits.
    #[napi(constructor)]
    pub fn new() -> Result<Self> {
        let open = || {
            let socket = UnixDatagram::unbound()?;
            socket.set_nonblocking(true)?;
            Ok(socket)
        };
        open().map(Self).map_err(|error| system_error("open a datagram socket", error))
    }

    /// Sends `bytes` to the socket at `path`, whole or not at all. Throws where nobody is there, or where the
    /// receiver does not keep up.
    #[napi]
    pub fn send(&self, path: String, bytes: Uint8ArraySlice) -> Result<()> {
        match self.0.send_to(&bytes, path) {
            Ok(_) => Ok(()),
            Err(error) => Err(system_error("send a datagram", error)),
        }
    }
}
