//! Lookups with the system's resolver, including service names and scopes, which Node.js omits.

use std::net::SocketAddr;

use dns_lookup::{AddrInfoHints, LookupError, SockType, getaddrinfo};
use napi::{
    Status,
    threadsafe_function::{ThreadsafeFunction, ThreadsafeFunctionCallMode},
};
use napi_derive::napi;

use crate::{
    errors::{Code, Result},
    panics::on_own_thread,
    platform::{NUMERIC, scoped_host},
};

/// One address of a name.
// Public for methods of `Sockets`, which Windows lacks.
#[allow(unreachable_pub)]
#[napi(object)]
pub struct ResolvedAddress {
    /// 4 or 6.
    pub family: u32,
    /// Numeric, with `%scope` if it needs one.
    pub address: String,
    pub port: u32,
}

/// The result of a lookup.
#[napi(object)]
pub(crate) struct LookupResult {
    /// In the system's order; empty after an error.
    pub addresses: Vec<ResolvedAddress>,
    /// The resolver's message, if it failed.
    pub failure: Option<String>,
}

/// Receives the result of a lookup. It is weak: a lookup does not keep the process alive.
type Done = ThreadsafeFunction<LookupResult, (), LookupResult, Status, false, true>;

/// Resolves `host` and `service`, each a number or a name, to stream addresses, and calls `done` once.
///
/// Runs on a thread of its own. An unresponsive name server blocks it for a minute; on Node.js's thread pool that would
/// stall handshakes too, and keep the process from exiting, which waits for that pool.
#[napi]
pub(crate) fn resolve(
    host: String,
    service: String,
    #[napi(ts_arg_type = "(found: LookupResult) => void")] done: Done,
) -> Result<()> {
    let failed = |words| LookupResult { addresses: Vec::new(), failure: Some(words) };
    let work = move || match look_up(&host, &service, 0) {
        Ok(addresses) => {
            LookupResult { addresses: addresses.iter().map(ResolvedAddress::from).collect(), failure: None }
        }
        Err(error) => failed(words_of(&error)),
    };
    // Fails if the environment has ended, and then nobody is waiting.
    let tell = move |found| {
        done.call(found, ThreadsafeFunctionCallMode::NonBlocking);
    };
    on_own_thread("lookup", work, failed, tell)
        .map_err(|error| napi::Error::new(Code::Resolve, format!("cannot start a thread for the lookup: {error}")))
}

/// Parses a numeric `host` and `service`. Does not block.
#[napi]
pub(crate) fn resolve_numeric(host: String, service: String) -> Result<ResolvedAddress> {
    let found = look_up(&host, &service, NUMERIC).map_err(|error| resolve_error(&error))?;
    found.first().map(ResolvedAddress::from).ok_or_else(|| napi::Error::new(Code::Resolve, "no address found"))
}

pub(crate) fn look_up(host: &str, service: &str, flags: i32) -> std::result::Result<Vec<SocketAddr>, LookupError> {
    let hints = AddrInfoHints { socktype: SockType::Stream.into(), flags, ..AddrInfoHints::default() };
    let found = getaddrinfo(Some(host), Some(service), Some(hints))?;
    Ok(found.map(|info| info.map(|info| info.sockaddr)).collect::<std::result::Result<_, _>>()?)
}

pub(crate) fn resolve_error(error: &LookupError) -> napi::Error<Code> {
    napi::Error::new(Code::Resolve, words_of(error))
}

/// The resolver's own message.
fn words_of(error: &LookupError) -> String {
    let words = error.to_string();
    words.strip_prefix("failed to lookup address information: ").unwrap_or(&words).to_owned()
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

/// The numeric address. Node.js expects scopes by name, or by index on Windows.
fn numeric_host(address: &SocketAddr) -> String {
    match address {
        SocketAddr::V6(v6) if v6.scope_id() != 0 => scoped_host(address, v6),
        _ => address.ip().to_string(),
    }
}
