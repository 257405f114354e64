//! The handshake, with one method per step of the protocol.
//!
//! In the core, each step consumes a phase and returns the next. Here a handle holds the current phase. A step out of
//! order throws and changes nothing; a step that fails ends the handshake and wipes its secrets.

use napi::bindgen_prelude::{Env, PromiseRaw, Task, Uint8ArraySlice};
use napi_derive::napi;
use spiped_core::{NONCE_BYTES, handshake, random_nonce};

use crate::{
    buffers::exactly,
    errors::{Result, core_error, node_error},
    keys::SessionKeys,
    panics::caught,
};

mod client;
mod server;

/// Forward secrecy on this side: "off" disables it, "allow" accepts a peer that disables it, "require" refuses such a
/// peer.
#[napi(string_enum)]
pub enum ForwardSecrecy {
    #[napi(value = "off")]
    Off,
    #[napi(value = "allow")]
    Allow,
    #[napi(value = "require")]
    Require,
}

impl From<ForwardSecrecy> for handshake::ForwardSecrecy {
    fn from(forward_secrecy: ForwardSecrecy) -> Self {
        match forward_secrecy {
            ForwardSecrecy::Off => Self::Off,
            ForwardSecrecy::Allow => Self::Allow,
            ForwardSecrecy::Require => Self::Require,
        }
    }
}

/// Starts the derivation. It is not returned as an `AsyncTask`, because napi-rs would then borrow the handle until the
/// task ends, and the handle could not be destroyed in the meantime.
fn derive_keys(env: &Env, phase: LastPhase) -> Result<PromiseRaw<'_, SessionKeys>> {
    let work = env.spawn(DeriveKeys(Some(phase))).map_err(node_error)?;
    Ok(work.promise_object())
}

/// Computes `y_SC`, an exponentiation, and derives the packet keys.
pub(crate) struct DeriveKeys(Option<LastPhase>);

enum LastPhase {
    Client(handshake::client::Verified),
    Server(handshake::server::PublicSent),
}

impl Task for DeriveKeys {
    type Output = spiped_core::SessionKeys;
    type JsValue = SessionKeys;

    fn compute(&mut self) -> napi::Result<Self::Output> {
        let Some(phase) = self.0.take() else { return Err(napi::Error::from_reason("a task runs once")) };
        let derive = || match phase {
            LastPhase::Client(phase) => phase.derive_keys(),
            LastPhase::Server(phase) => phase.derive_keys(),
        };
        caught("derive keys", derive).map_err(napi::Error::from_reason)
    }

    fn resolve(&mut self, _env: Env, keys: Self::Output) -> napi::Result<SessionKeys> {
        Ok(SessionKeys::new(keys))
    }
}

fn own_nonce(given: Option<Uint8ArraySlice>) -> Result<[u8; NONCE_BYTES]> {
    match given {
        Some(nonce) => exactly("a nonce", &nonce).copied(),
        None => random_nonce().map_err(core_error),
    }
}
