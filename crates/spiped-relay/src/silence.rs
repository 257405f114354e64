//! Whether the other side of a TCP connection has gone without a word.
//!
//! Keep-alive finds that out only while nothing waits to be acknowledged. Then the system sends again and again what was
//! not, for a quarter of an hour on Linux; its option to give up earlier (`TCP_USER_TIMEOUT`) also gives up receivers
//! that are alive and only take nothing for a while. So it is asked what it has heard. Linux only: elsewhere the system's
//! own times hold.

use std::time::Duration;

use socket2::SockRef;

/// What is known of the other side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It has acknowledged everything, or there is no way to know.
    Nothing,
    /// Something waits to be acknowledged, which it may be yet.
    Awaited,
    /// It has not answered for as long as keep-alive gives an idle connection, and was sent something meanwhile.
    Never,
}

/// What the system knows of a connection's other side.
#[must_use]
pub fn answer(socket: &SockRef<'_>) -> Answer {
    let Some(heard) = heard(socket) else { return Answer::Nothing };
    if !heard.awaits {
        return Answer::Nothing;
    }
    if heard.tries < LEAST_TRIES {
        return Answer::Awaited;
    }
    match patience(socket) {
        None => Answer::Nothing,
        Some(patience) if heard.silence < patience => Answer::Awaited,
        Some(_) => Answer::Never,
    }
}

/// A full receiver is asked for room ever more seldom, at last every two minutes, so that a single question that was not
/// answered shows nothing.
const LEAST_TRIES: u8 = 2;

/// How long keep-alive lets an idle connection be silent; `None` where there is none.
fn patience(socket: &SockRef<'_>) -> Option<Duration> {
    if !socket.keepalive().ok()? {
        return None;
    }
    let probes = socket.tcp_keepalive_retries().ok()?;
    Some(socket.tcp_keepalive_time().ok()? + socket.tcp_keepalive_interval().ok()? * probes)
}

#[derive(Debug, PartialEq)]
#[cfg_attr(not(target_os = "linux"), allow(dead_code))]
struct Heard {
    /// Whether anything is not acknowledged, or not even sent.
    awaits: bool,
    /// How often something was sent again, or the receiver asked for room, since the last acknowledgement.
    tries: u8,
    /// Since the last acknowledgement of anything.
    silence: Duration,
}

#[cfg(target_os = "linux")]
fn heard(socket: &SockRef<'_>) -> Option<Heard> {
    use std::os::fd::AsRawFd;

    let mut info = [0; INFO_BYTES];
    let mut length = INFO_BYTES as libc::socklen_t;
    // SAFETY: the system writes at most `length` bytes to `info`, which has as many, and the length to `length`.
    #[allow(unsafe_code)]
    let status = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            info.as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    if status != 0 {
        return None;
    }
    heard_in(info.get(..length as usize)?)
}

#[cfg(not(target_os = "linux"))]
fn heard(_socket: &SockRef<'_>) -> Option<Heard> {
    None
}

/// As far as `not_sent`, in linux/tcp.h.
#[cfg(target_os = "linux")]
const INFO_BYTES: usize = 148;

/// The states of one that is not connected yet, which others give a time: it has heard nothing, ever.
#[cfg(target_os = "linux")]
const CONNECTING: [u8; 3] = [2, 3, 12];

/// Reads what `TCP_INFO` gives; Linux before 4.6 gives less than all of it.
#[cfg(target_os = "linux")]
fn heard_in(info: &[u8]) -> Option<Heard> {
    let word = |at: usize| info.get(at..at + 4)?.try_into().ok().map(u32::from_ne_bytes);
    let (state, retransmits, probes) = (*info.first()?, *info.get(2)?, *info.get(3)?);
    if CONNECTING.contains(&state) {
        return None;
    }
    let (not_acknowledged, last_heard_ms) = (word(24)?, word(56)?);
    let not_sent = word(144).unwrap_or(1);
    Some(Heard {
        awaits: not_acknowledged > 0 || not_sent > 0,
        tries: retransmits.max(probes),
        silence: Duration::from_millis(last_heard_ms.into()),
    })
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::{
        io::Write,
        net::{TcpListener, TcpStream},
        os::unix::net::UnixStream,
        thread::sleep,
        time::Instant,
    };

    use socket2::TcpKeepalive;

    use super::*;

    #[test]
    fn reads_what_the_system_tells() {
        let mut info = [0; INFO_BYTES];
        (info[0], info[2], info[3]) = (1, 4, 1);
        info[24..28].copy_from_slice(&7_u32.to_ne_bytes());
        info[56..60].copy_from_slice(&9_000_u32.to_ne_bytes());
        let heard = Heard { awaits: true, tries: 4, silence: Duration::from_secs(9) };
        assert_eq!(heard_in(&info).as_ref(), Some(&heard));
        info[24] = 0;
        assert_eq!(heard_in(&info), Some(Heard { awaits: false, ..heard }));
        info[144] = 1;
        assert_eq!(heard_in(&info), Some(Heard { awaits: true, ..heard }));
        assert_eq!(heard_in(&info[..104]), Some(Heard { awaits: true, ..heard }), "of an old system");
        assert_eq!(heard_in(&info[..50]), None);
        info[0] = 2;
        assert_eq!(heard_in(&info), None, "while it connects");
    }

    #[test]
    fn a_receiver_that_takes_nothing_is_not_gone() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
        let mut sender = TcpStream::connect(listener.local_addr().expect("an address")).expect("a connection");
        let _deaf = listener.accept().expect("a client");
        let patience = Duration::from_secs(1);
        let timing = TcpKeepalive::new().with_time(patience).with_interval(patience).with_retries(1);
        SockRef::from(&sender).set_tcp_keepalive(&timing).expect("keep-alive");
        sender.set_nonblocking(true).expect("a socket");
        assert_eq!(answer(&SockRef::from(&sender)), Answer::Nothing);
        while sender.write(&[0; 65_536]).is_ok() {}
        // Longer than the patience, and than the first questions for room are apart.
        let begun = Instant::now();
        while begun.elapsed() < patience * 3 {
            assert_eq!(answer(&SockRef::from(&sender)), Answer::Awaited);
            sleep(Duration::from_millis(50));
        }
    }

    #[test]
    fn a_unix_socket_has_nothing_to_answer() {
        let (one, _other) = UnixStream::pair().expect("a pair of sockets");
        assert_eq!(answer(&SockRef::from(&one)), Answer::Nothing);
    }
}
