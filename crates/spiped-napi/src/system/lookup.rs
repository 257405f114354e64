//! Look-ups that say all that the system's resolver says, service names and scopes too.

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
};

/// One address of a name.
#[napi(object)]
pub struct ResolvedAddress {
    /// 4 or 6.
    pub family: u32,
    /// The number, with `%scope` where it needs one.
    pub address: String,
    pub port: u32,
}

/// What a look-up has come to.
#[napi(object)]
pub(crate) struct LookedUp {
    /// In the system's order; none where it failed.
    pub addresses: Vec<ResolvedAddress>,
    /// Why it failed, in the resolver's own words.
    pub failure: Option<String>,
}

/// Told what a look-up has come to. It is weak: a look-up that nobody waits for any more keeps no process alive.
type Done = ThreadsafeFunction<LookedUp, (), LookedUp, Status, false, true>;

/// Looks up the stream addresses of `host` and `service`, a number or a name, and calls `done` once.
///
/// Runs on a thread of its own. A silent name server holds it up for a minute; on Node.js's thread pool it would
/// hold up key exchanges too, and the end of the process, which waits for that pool.
#[napi]
pub(crate) fn resolve(
    host: String,
    service: String,
    #[napi(ts_arg_type = "(found: LookedUp) => void")] done: Done,
) -> Result<()> {
    let failed = |words| LookedUp { addresses: Vec::new(), failure: Some(words) };
    let work = move || match look_up(&host, &service, 0) {
        Ok(addresses) => LookedUp { addresses: addresses.iter().map(ResolvedAddress::from).collect(), failure: None },
        Err(error) => failed(words_of(&error)),
    };
    // Where the environment has gone meanwhile, there is nobody left to be told.
    let tell = move |found| {
        done.call(found, ThreadsafeFunctionCallMode::NonBlocking);
    };
    on_own_thread("look-up", work, failed, tell)
        .map_err(|error| napi::Error::new(Code::Resolve, format!("no thread for the look-up: {error}")))
}

/// The address that `host` and `service` are where both are numbers. It asks nobody, so it does not wait.
#[napi]
pub(crate) fn resolve_numeric(host: String, service: String) -> Result<ResolvedAddress> {
    let found = look_up(&host, &service, NUMERIC).map_err(|error| resolve_error(&error))?;
    found.first().map(ResolvedAddress::from).ok_or_else(|| napi::Error::new(Code::Resolve, "no address found"))
}

/// The flags with which both words must be numbers, and nobody is asked.
#[cfg(unix)]
pub(crate) const NUMERIC: i32 = libc::AI_NUMERICHOST | libc::AI_NUMERICSERV;
/// The same of Windows: `AI_NUMERICHOST` and `AI_NUMERICSERV`, which libc does not name there.
#[cfg(not(unix))]
const NUMERIC: i32 = 0x4 | 0x8;

pub(crate) fn look_up(host: &str, service: &str, flags: i32) -> std::result::Result<Vec<SocketAddr>, LookupError> {
    let hints = AddrInfoHints { socktype: SockType::Stream.into(), flags, ..AddrInfoHints::default() };
    let found = getaddrinfo(Some(host), Some(service), Some(hints))?;
    Ok(found.map(|info| info.map(|info| info.sockaddr)).collect::<std::result::Result<_, _>>()?)
}

pub(crate) fn resolve_error(error: &LookupError) -> napi::Error<Code> {
    napi::Error::new(Code::Resolve, words_of(error))
}

/// The resolver's own words.
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
