//! Detects peers of TCP connections that have vanished without closing the connection.
//!
//! TCP keep-alive only works while no data is unacknowledged. With data in flight the system retransmits instead, for a
//! quarter of an hour on Linux. Its option to stop earlier, `TCP_USER_TIMEOUT`, also ends connections whose receiver is
//! alive but reads nothing for a while. So this asks the system what the peer has acknowledged. Linux only: elsewhere
//! the system's own timeouts apply.

use std::time::{Duration, Instant};

use socket2::SockRef;

use crate::platform::{TcpInfo, tcp_info};

/// What is known about the peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Liveness {
    /// Everything is acknowledged, or there is no way to tell.
    Idle,
    /// Some data is unacknowledged, and the peer has time left to acknowledge it.
    Waiting,
    /// Data was sent, and the peer acknowledged nothing new for as long as keep-alive grants an idle connection.
    Dead,
}

/// Checks the peer of one socket, when asked.
#[derive(Debug, Default)]
pub struct DeadPeerDetector {
    /// While data is being retransmitted: the number of acknowledged bytes when that began, and when it began.
    stuck: Option<(u64, Instant)>,
}

impl DeadPeerDetector {
    /// Whether the peer of `socket` is alive, as far as is known now.
    pub fn check(&mut self, socket: &SockRef<'_>, now: Instant) -> Liveness {
        tcp_info(socket).map_or(Liveness::Idle, |info| self.judge(&info, now, || timeout(socket)))
    }

    fn judge(&mut self, info: &TcpInfo, now: Instant, timeout: impl FnOnce() -> Option<Duration>) -> Liveness {
        let stuck = self.stuck.take();
        if !info.has_unacknowledged {
            return Liveness::Idle;
        }
        if info.retransmits.max(info.probes) < MIN_TRIES {
            return Liveness::Waiting;
        }
        let Some(timeout) = timeout() else { return Liveness::Idle };
        // A peer that nothing reaches may still be heard from, because it retransmits too.
        if info.retransmits >= MIN_TRIES {
            let since = stuck.filter(|&(bytes, _)| bytes == info.acknowledged).map_or(now, |(_, since)| since);
            self.stuck = Some((info.acknowledged, since));
            if now.saturating_duration_since(since) >= timeout {
                return Liveness::Dead;
            }
        }
        if info.since_last_ack < timeout { Liveness::Waiting } else { Liveness::Dead }
    }
}

/// A receiver with a full window is probed less and less often, finally every two minutes, so a single unanswered probe
/// proves nothing.
const MIN_TRIES: u8 = 2;

/// How long keep-alive lets an idle connection be silent; `None` without keep-alive.
fn timeout(socket: &SockRef<'_>) -> Option<Duration> {
    if !socket.keepalive().ok()? {
        return None;
    }
    let probes = socket.tcp_keepalive_retries().ok()?;
    Some(socket.tcp_keepalive_time().ok()? + socket.tcp_keepalive_interval().ok()? * probes)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::{
        io::Write,
        net::{TcpListener, TcpStream},
        os::unix::net::UnixStream,
        thread::sleep,
    };

    use socket2::TcpKeepalive;

    use super::*;

    #[test]
    fn a_peer_that_sends_but_acknowledges_nothing_new_is_dead() {
        let (begun, second) = (Instant::now(), Duration::from_secs(1));
        let mut detector = DeadPeerDetector::default();
        let mut check = |seconds: u32, retransmits, acknowledged| {
            let info =
                TcpInfo { has_unacknowledged: true, retransmits, probes: 0, acknowledged, since_last_ack: second };
            detector.judge(&info, begun + second * seconds, || Some(second * 120))
        };
        assert_eq!(check(0, 3, 7), Liveness::Waiting);
        assert_eq!(check(100, 9, 7), Liveness::Waiting);
        assert_eq!(check(110, 2, 8), Liveness::Waiting, "a byte has arrived");
        assert_eq!(check(229, 9, 8), Liveness::Waiting);
        assert_eq!(check(230, 9, 8), Liveness::Dead);
        assert_eq!(check(240, 1, 8), Liveness::Waiting, "no retransmissions");
        assert_eq!(check(400, 9, 8), Liveness::Waiting, "the timeout starts again");
    }

    #[test]
    fn a_receiver_that_reads_nothing_is_not_dead() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
        let mut sender = TcpStream::connect(listener.local_addr().expect("an address")).expect("a connection");
        let _idle = listener.accept().expect("a client");
        let timeout = Duration::from_secs(1);
        let timing = TcpKeepalive::new().with_time(timeout).with_interval(timeout).with_retries(1);
        SockRef::from(&sender).set_tcp_keepalive(&timing).expect("keep-alive");
        sender.set_nonblocking(true).expect("a socket");
        let mut detector = DeadPeerDetector::default();
        assert_eq!(detector.check(&SockRef::from(&sender), Instant::now()), Liveness::Idle);
        while sender.write(&[0; 65_536]).is_ok() {}
        // Longer than the timeout, and than the interval of the first window probes.
        let begun = Instant::now();
        while begun.elapsed() < timeout * 3 {
            assert_eq!(detector.check(&SockRef::from(&sender), Instant::now()), Liveness::Waiting);
            sleep(Duration::from_millis(50));
        }
    }

    #[test]
    fn a_unix_socket_is_always_idle() {
        let (one, _other) = UnixStream::pair().expect("a pair of sockets");
        assert_eq!(DeadPeerDetector::default().check(&SockRef::from(&one), Instant::now()), Liveness::Idle);
    }
}
