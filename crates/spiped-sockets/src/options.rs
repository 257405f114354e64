//! Options of TCP sockets.

use std::{io, time::Duration};

use socket2::{Socket, TcpKeepalive};

/// Options of a TCP socket.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// When the system probes an idle connection; `None` disables keep-alive.
    pub keep_alive: Option<KeepAlive>,
    /// Whether the peer sees a reset when the socket is closed.
    pub resets_on_close: bool,
}

/// When the system probes an idle connection.
#[derive(Clone, Copy, Debug)]
pub struct KeepAlive {
    /// Time without data before the first probe.
    pub idle: Duration,
    /// Time between probes.
    pub interval: Duration,
    /// Unanswered probes before the connection fails.
    pub probes: u32,
}

/// Sets `options`, and `TCP_NODELAY`.
pub(crate) fn set(socket: &Socket, options: Options) -> io::Result<()> {
    socket.set_tcp_nodelay(true)?;
    match options.keep_alive {
        Some(KeepAlive { idle, interval, probes }) => {
            let timing = TcpKeepalive::new().with_time(idle).with_interval(interval).with_retries(probes);
            socket.set_tcp_keepalive(&timing)?;
        }
        // An inherited listening socket may have it enabled.
        None => socket.set_keepalive(false)?,
    }
    if options.resets_on_close {
        socket.set_linger(Some(Duration::ZERO))?;
    }
    Ok(())
}

/// Whether this is a TCP socket and not a UNIX socket.
pub(crate) fn is_tcp(socket: &Socket) -> bool {
    socket.local_addr().is_ok_and(|address| !address.is_unix())
}
