//! Whether the other side of a TCP connection has gone without a word.
//!
//! Keep-alive finds that out only while nothing waits to be acknowledged. Then the system sends again and again what was
//! not, for a quarter of an hour on Linux; its option to give up earlier (`TCP_USER_TIMEOUT`) also gives up receivers
//! that are alive and only take nothing for a while. So it is asked what it has heard. Linux only: elsewhere the system's
//! own times hold.

use std::time::{Duration, Instant};

use socket2::SockRef;

/// What is known of the other side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It has acknowledged everything, or there is no way to know.
    Nothing,
    /// Something waits to be acknowledged, which it may be yet.
    Awaited,
    /// It has not answered, or not acknowledged anything new, for as long as keep-alive gives an idle connection, and was
    /// sent something meanwhile.
    Never,
}

/// Looks at one side of a connection from time to time.
#[derive(Debug, Default)]
pub struct Vigil {
    /// While things are sent again and again: how many bytes were acknowledged when that was seen first, and when.
    stuck: Option<(u64, Instant)>,
}

impl Vigil {
    /// What is known of the other side now.
    pub fn look(&mut self, socket: &SockRef<'_>, now: Instant) -> Answer {
        heard(socket).map_or(Answer::Nothing, |heard| self.judge(&heard, now, || patience(socket)))
    }

    fn judge(&mut self, heard: &Heard, now: Instant, patience: impl FnOnce() -> Option<Duration>) -> Answer {
        let stuck = self.stuck.take();
        if !heard.awaits {
            return Answer::Nothing;
        }
        if heard.retransmits.max(heard.probes) < LEAST_TRIES {
            return Answer::Awaited;
        }
        let Some(patience) = patience() else { return Answer::Nothing };
        // Somebody whom nothing reaches can still be heard, and sends the same again and again as well.
        if heard.retransmits >= LEAST_TRIES {
            let since = stuck.filter(|&(bytes, _)| bytes == heard.acknowledged).map_or(now, |(_, since)| since);
            self.stuck = Some((heard.acknowledged, since));
            if now.saturating_duration_since(since) >= patience {
                return Answer::Never;
            }
        }
        if heard.silence < patience { Answer::Awaited } else { Answer::Never }
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
    /// How often something was sent again since the last acknowledgement of anything new.
    retransmits: u8,
    /// How often a full receiver was asked for room since its last answer.
    probes: u8,
    /// Bytes that have been acknowledged so far.
    acknowledged: u64,
    /// Since the last acknowledgement, of anything new or not.
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
        retransmits,
        probes,
        acknowledged: info.get(120..128).and_then(|bytes| bytes.try_into().ok()).map_or(0, u64::from_ne_bytes),
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
    };

    use socket2::TcpKeepalive;

    use super::*;

    #[test]
    fn reads_what_the_system_tells() {
        let mut info = [0; INFO_BYTES];
        (info[0], info[2], info[3]) = (1, 4, 1);
        info[24..28].copy_from_slice(&7_u32.to_ne_bytes());
        info[56..60].copy_from_slice(&9_000_u32.to_ne_bytes());
        info[120..128].copy_from_slice(&5_u64.to_ne_bytes());
        let silence = Duration::from_secs(9);
        let heard = Heard { awaits: true, retransmits: 4, probes: 1, acknowledged: 5, silence };
        assert_eq!(heard_in(&info).as_ref(), Some(&heard));
        info[24] = 0;
        assert_eq!(heard_in(&info), Some(Heard { awaits: false, ..heard }));
        info[144] = 1;
        assert_eq!(heard_in(&info), Some(Heard { awaits: true, ..heard }));
        assert_eq!(heard_in(&info[..104]), Some(Heard { acknowledged: 0, ..heard }), "of an old system");
        assert_eq!(heard_in(&info[..50]), None);
        info[0] = 2;
        assert_eq!(heard_in(&info), None, "while it connects");
    }

    #[test]
    fn who_is_heard_but_acknowledges_nothing_new_is_given_up_as_well() {
        let (begun, second) = (Instant::now(), Duration::from_secs(1));
        let mut vigil = Vigil::default();
        let mut look = |seconds: u32, retransmits, acknowledged| {
            let heard = Heard { awaits: true, retransmits, probes: 0, acknowledged, silence: second };
            vigil.judge(&heard, begun + second * seconds, || Some(second * 120))
        };
        assert_eq!(look(0, 3, 7), Answer::Awaited);
        assert_eq!(look(100, 9, 7), Answer::Awaited);
        assert_eq!(look(110, 2, 8), Answer::Awaited, "a byte has arrived");
        assert_eq!(look(229, 9, 8), Answer::Awaited);
        assert_eq!(look(230, 9, 8), Answer::Never);
        assert_eq!(look(240, 1, 8), Answer::Awaited, "nothing is sent again");
        assert_eq!(look(400, 9, 8), Answer::Awaited, "the time begins anew");
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
        let mut vigil = Vigil::default();
        assert_eq!(vigil.look(&SockRef::from(&sender), Instant::now()), Answer::Nothing);
        while sender.write(&[0; 65_536]).is_ok() {}
        // Longer than the patience, and than the first questions for room are apart.
        let begun = Instant::now();
        while begun.elapsed() < patience * 3 {
            assert_eq!(vigil.look(&SockRef::from(&sender), Instant::now()), Answer::Awaited);
            sleep(Duration::from_millis(50));
        }
    }

    #[test]
    fn a_unix_socket_has_nothing_to_answer() {
        let (one, _other) = UnixStream::pair().expect("a pair of sockets");
        assert_eq!(Vigil::default().look(&SockRef::from(&one), Instant::now()), Answer::Nothing);
    }
}
