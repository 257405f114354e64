//! Everything that differs between the systems on which the relay runs.

#[cfg(target_os = "linux")]
use std::os::fd::AsRawFd;
use std::time::Duration;

use socket2::SockRef;

/// Makes a write to a closed connection fail without raising SIGPIPE. Apple has no such flag; there Node.js ignores the
/// signal.
#[cfg(target_vendor = "apple")]
pub(crate) const NO_SIGNAL: libc::c_int = 0;
#[cfg(not(target_vendor = "apple"))]
pub(crate) const NO_SIGNAL: libc::c_int = libc::MSG_NOSIGNAL;

/// What the system knows about the peer of a TCP connection.
#[derive(Debug, PartialEq)]
#[cfg_attr(not(target_os = "linux"), allow(dead_code))]
pub(crate) struct TcpInfo {
    /// Whether any data is unacknowledged or still unsent.
    pub(crate) has_unacknowledged: bool,
    /// Retransmissions since the last acknowledgment of new data.
    pub(crate) retransmits: u8,
    /// Window probes of a full receiver since its last answer.
    pub(crate) probes: u8,
    /// Bytes acknowledged so far.
    pub(crate) acknowledged: u64,
    /// Time since the last acknowledgment, of new data or not.
    pub(crate) since_last_ack: Duration,
}

/// What the system knows about the peer; `None` unless this is a connected TCP socket on Linux.
#[cfg(target_os = "linux")]
pub(crate) fn tcp_info(socket: &SockRef<'_>) -> Option<TcpInfo> {
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
    parse_tcp_info(info.get(..length as usize)?)
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn tcp_info(_socket: &SockRef<'_>) -> Option<TcpInfo> {
    None
}

/// The size of `struct tcp_info` up to `tcpi_notsent_bytes`. Source: linux/tcp.h.
#[cfg(target_os = "linux")]
const INFO_BYTES: usize = 148;

/// SYN-SENT, SYN-RECEIVED and NEW-SYN-RECEIVED: there is no peer yet, and connecting has a timeout of its own.
#[cfg(target_os = "linux")]
const CONNECTING: [u8; 3] = [2, 3, 12];

/// Parses the result of `TCP_INFO`, which Linux before 4.6 returns in part only.
#[cfg(target_os = "linux")]
fn parse_tcp_info(info: &[u8]) -> Option<TcpInfo> {
    let word = |at: usize| info.get(at..at + 4)?.try_into().ok().map(u32::from_ne_bytes);
    let (state, retransmits, probes) = (*info.first()?, *info.get(2)?, *info.get(3)?);
    if CONNECTING.contains(&state) {
        return None;
    }
    let (not_acknowledged, last_heard_ms) = (word(24)?, word(56)?);
    let not_sent = word(144).unwrap_or(1);
    Some(TcpInfo {
        has_unacknowledged: not_acknowledged > 0 || not_sent > 0,
        retransmits,
        probes,
        acknowledged: info.get(120..128).and_then(|bytes| bytes.try_into().ok()).map_or(0, u64::from_ne_bytes),
        since_last_ack: Duration::from_millis(last_heard_ms.into()),
    })
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn parses_what_the_system_returns() {
        let mut bytes = [0; INFO_BYTES];
        (bytes[0], bytes[2], bytes[3]) = (1, 4, 1);
        bytes[24..28].copy_from_slice(&7_u32.to_ne_bytes());
        bytes[56..60].copy_from_slice(&9_000_u32.to_ne_bytes());
        bytes[120..128].copy_from_slice(&5_u64.to_ne_bytes());
        let since_last_ack = Duration::from_secs(9);
        let info = TcpInfo { has_unacknowledged: true, retransmits: 4, probes: 1, acknowledged: 5, since_last_ack };
        assert_eq!(parse_tcp_info(&bytes).as_ref(), Some(&info));
        bytes[24] = 0;
        assert_eq!(parse_tcp_info(&bytes), Some(TcpInfo { has_unacknowledged: false, ..info }));
        bytes[144] = 1;
        assert_eq!(parse_tcp_info(&bytes), Some(TcpInfo { has_unacknowledged: true, ..info }));
        assert_eq!(parse_tcp_info(&bytes[..104]), Some(TcpInfo { acknowledged: 0, ..info }), "on an old system");
        assert_eq!(parse_tcp_info(&bytes[..50]), None);
        bytes[0] = 2;
        assert_eq!(parse_tcp_info(&bytes), None, "while connecting");
    }
}
