//! Look-ups that say all that the system's resolver says, service names and scopes too.

use std::{net::SocketAddr, thread};

use dns_lookup::{AddrInfoHints, LookupError, SockType, getaddrinfo};
use napi::bindgen_prelude::{Env, Object};
use napi_derive::napi;

use crate::errors::{Code, Result, node_error, rejection};

/// One address of a name.
#[napi(object)]
pub struct ResolvedAddress {
    /// 4 or 6.
    pub family: u32,
    /// The number, with `%scope` where it needs one.
    pub address: String,
    pub port: u32,
}

/// The stream addresses of `host` and `service`, a number or a name, in the system's order.
///
/// Runs on a thread of its own. A silent name server holds it up for a minute; on Node.js's thread pool it would
/// hold up key exchanges too, and the end of the process, which waits for that pool.
#[napi(ts_return_type = "Promise<Array<ResolvedAddress>>")]
pub fn resolve(env: &Env, host: String, service: String) -> Result<Object<'_>> {
    let (deferred, promise) = env.create_deferred().map_err(node_error)?;
    let work = move || {
        let found = look_up(&host, &service, 0);
        deferred.resolve(move |env| match found {
            Ok(addresses) => Ok(addresses.iter().map(ResolvedAddress::from).collect::<Vec<_>>()),
            Err(error) => Err(rejection(env, resolve_error(&error))),
        });
    };
    match thread::Builder::new().name("look-up".to_owned()).spawn(work) {
        Ok(_) => Ok(promise),
        Err(error) => Err(napi::Error::new(Code::Resolve, format!("no thread for the look-up: {error}"))),
    }
}

pub(super) fn look_up(host: &str, service: &str, flags: i32) -> std::result::Result<Vec<SocketAddr>, LookupError> {
    let hints = AddrInfoHints { socktype: SockType::Stream.into(), flags, ..AddrInfoHints::default() };
    let found = getaddrinfo(Some(host), Some(service), Some(hints))?;
    Ok(found.map(|info| info.map(|info| info.sockaddr)).collect::<std::result::Result<_, _>>()?)
}

/// The resolver's own words.
pub(super) fn resolve_error(error: &LookupError) -> napi::Error<Code> {
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

/// The address as a number. Where the system names scopes, Node.js wants this name; on Windows it wants the index.
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
        #[cfg(windows)]
        SocketAddr::V6(v6) if v6.scope_id() != 0 => format!("{}%{}", v6.ip(), v6.scope_id()),
        _ => address.ip().to_string(),
    }
}
