//! What Node.js does not offer of the system: look-ups that say all that the system's resolver says, and
//! descriptors that listen before Node.js takes them over.

use std::net::SocketAddr;

use dns_lookup::{AddrInfoHints, LookupError, SockType, getaddrinfo};
use napi::bindgen_prelude::{AsyncTask, Env, Task};
use napi_derive::napi;

use crate::errors::{Code, rejection};

/// One address of a name.
#[napi(object)]
pub struct ResolvedAddress {
    /// 4 or 6.
    pub family: u32,
    /// The number, with `%scope` where it needs one.
    pub address: String,
    pub port: u32,
}

/// The stream addresses of `host` and `service`, a number or a name, in the system's order. Runs on the
/// thread pool.
#[napi(ts_return_type = "Promise<Array<ResolvedAddress>>")]
pub fn resolve(host: String, service: String) -> AsyncTask<Resolve> {
    AsyncTask::new(Resolve { host, service })
}

/// One look-up.
pub struct Resolve {
    host: String,
    service: String,
}

impl Task for Resolve {
    type Output = Result<Vec<SocketAddr>, LookupError>;
    type JsValue = Vec<ResolvedAddress>;

    fn compute(&mut self) -> napi::Result<Self::Output> {
        Ok(look_up(&self.host, &self.service, 0))
    }

    fn resolve(&mut self, env: Env, addresses: Self::Output) -> napi::Result<Self::JsValue> {
        match addresses {
            Ok(addresses) => Ok(addresses.iter().map(ResolvedAddress::from).collect()),
            Err(error) => Err(rejection(env, resolve_error(&error))),
        }
    }
}

fn look_up(host: &str, service: &str, flags: i32) -> Result<Vec<SocketAddr>, LookupError> {
    let hints = AddrInfoHints { socktype: SockType::Stream.into(), flags, ..AddrInfoHints::default() };
    let found = getaddrinfo(Some(host), Some(service), Some(hints))?;
    Ok(found.map(|info| info.map(|info| info.sockaddr)).collect::<Result<_, _>>()?)
}

/// The resolver's own words.
fn resolve_error(error: &LookupError) -> napi::Error<Code> {
    let words = error.to_string();
    napi::Error::new(Code::Resolve, words.strip_prefix("failed to lookup address information: ").unwrap_or(&words))
}

impl From<&SocketAddr> for ResolvedAddress {
    fn from(address: &SocketAddr) -> Self {
        Self {
            family: if address.is_ipv4() { 4 } else { 6 },
            address: numeric_host(address),
            port: address.port().into(),
        }
    }
}

/// The address as a number. The system names the scope; Node.js wants this name, not the index.
fn numeric_host(address: &SocketAddr) -> String {
    match address {
        #[cfg(unix)]
        SocketAddr::V6(v6) if v6.scope_id() != 0 => {
            let flags = libc::NI_NUMERICHOST | libc::NI_NUMERICSERV;
            match dns_lookup::getnameinfo(address, flags) {
                Ok((host, _)) => host,
                Err(_) => format!("{}%{}", v6.ip(), v6.scope_id()),
            }
        }
        _ => address.ip().to_string(),
    }
}

#[cfg(unix)]
mod descriptors {
    use std::{
        io,
        os::fd::{BorrowedFd, IntoRawFd},
    };

    use napi_derive::napi;
    use nix::errno::Errno;
    use socket2::{Domain, SockAddr, Socket, Type};

    use super::{look_up, resolve_error};
    use crate::errors::{Code, Result};

    /// A descriptor that listens on `address`, numeric, IPv4 or IPv6 with `%scope` where it needs one:
    /// non-blocking, close-on-exec, with `SO_REUSEADDR`. The caller owns it.
    ///
    /// `IPV6_V6ONLY` is left as the system has it, as spiped does.
    #[napi]
    pub fn listen_tcp(address: String, port: u16, backlog: i32) -> Result<i32> {
        let address = look_up(&address, &port.to_string(), libc::AI_NUMERICHOST | libc::AI_NUMERICSERV)
            .map_err(|error| resolve_error(&error))?
            .first()
            .copied()
            .ok_or_else(|| system_error("listen", Errno::EADDRNOTAVAIL.into()))?;
        let listen = || {
            let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
            socket.set_reuse_address(true)?;
            listen_on(socket, &address.into(), backlog)
        };
        listen().map_err(|error| system_error("listen", error))
    }

    /// A descriptor that listens on the UNIX socket `path`: non-blocking, close-on-exec. The caller owns it.
    #[napi]
    pub fn listen_unix(path: String, backlog: i32) -> Result<i32> {
        // Linux would take both for sockets without a place in the file system.
        if path.is_empty() || path.contains('\0') {
            return Err(system_error("listen", Errno::EINVAL.into()));
        }
        let listen = || {
            let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
            listen_on(socket, &SockAddr::unix(&path)?, backlog)
        };
        listen().map_err(|error| system_error("listen", error))
    }

    fn listen_on(socket: Socket, address: &SockAddr, backlog: i32) -> io::Result<i32> {
        socket.set_nonblocking(true)?;
        socket.bind(address)?;
        socket.listen(backlog)?;
        Ok(socket.into_raw_fd())
    }

    /// A second, close-on-exec descriptor of what `descriptor` stands for. The caller owns it.
    #[napi]
    pub fn duplicate(descriptor: i32) -> Result<i32> {
        if descriptor < 0 {
            return Err(system_error("duplicate", Errno::EBADF.into()));
        }
        // SAFETY: not negative, and borrowed for this one system call, which touches no memory and fails
        // with EBADF when the number is not a descriptor.
        #[allow(unsafe_code)]
        let borrowed = unsafe { BorrowedFd::borrow_raw(descriptor) };
        let copy = borrowed.try_clone_to_owned().map_err(|error| system_error("duplicate", error))?;
        Ok(copy.into_raw_fd())
    }

    /// An error whose code is the name of its `errno`.
    fn system_error(call: &str, error: io::Error) -> napi::Error<Code> {
        let errno = Errno::from_raw(error.raw_os_error().unwrap_or(libc::EINVAL));
        napi::Error::new(Code::System(format!("{errno:?}")), format!("{call}: {}", errno.desc()))
    }
}
