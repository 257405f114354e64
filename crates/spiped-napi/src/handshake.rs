//! The handshake, with one method per step of the protocol.
//!
//! In the core, each step consumes a phase and returns the next. Here a handle holds the current phase. A step out of
//! order throws and changes nothing; a step that fails ends the handshake and wipes its secrets.

use std::mem;

use napi::bindgen_prelude::{ClassInstance, Either, Env, PromiseRaw, Task, Uint8ArraySlice};
use napi_derive::napi;
use spiped_core::{MACED_PUBLIC_BYTES, NONCE_BYTES, handshake, random_nonce};

use crate::{
    buffers::{copied, exactly},
    errors::{Result, core_error, node_error, step_error},
    keys::{KeyPair, KeySet, SessionKeys, SharedKey},
    panics::caught,
};

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

/// The client's side of a handshake. Its steps, in order: `receiveNonce`, `macedPublic`, `verify`, `deriveKeys`.
#[napi]
pub struct ClientHandshake {
    nonce_c: [u8; NONCE_BYTES],
    phase: ClientPhase,
}

enum ClientPhase {
    NonceSent(handshake::client::NonceSent),
    Keyed(handshake::client::Keyed),
    PublicSent(handshake::client::PublicSent),
    Verified(handshake::client::Verified),
    Over,
}

#[napi]
impl ClientHandshake {
    /// Starts a handshake with a fresh random nonce, or with `nonceC`, 32 bytes, in known-answer tests.
    #[napi(constructor)]
    pub fn new(key: &SharedKey, forward_secrecy: ForwardSecrecy, nonce_c: Option<Uint8ArraySlice>) -> Result<Self> {
        let nonce_c = own_nonce(nonce_c)?;
        let phase = handshake::client::NonceSent::new(key.get()?, forward_secrecy.into(), nonce_c);
        Ok(Self { nonce_c, phase: ClientPhase::NonceSent(phase) })
    }

    /// `nonce_C`, 32 bytes: send it at once.
    #[napi(getter, ts_return_type = "Uint8Array")]
    pub fn nonce<'env>(&self, env: &'env Env) -> Result<Uint8ArraySlice<'env>> {
        copied(env, &self.nonce_c)
    }

    /// Takes the server's `nonce_S`, 32 bytes.
    #[napi]
    pub fn receive_nonce(&mut self, nonce_s: Uint8ArraySlice) -> Result<()> {
        let nonce_s = exactly("a nonce", &nonce_s)?;
        match mem::replace(&mut self.phase, ClientPhase::Over) {
            ClientPhase::NonceSent(phase) => {
                self.phase = ClientPhase::Keyed(phase.receive_nonce(nonce_s));
                Ok(())
            }
            other => self.out_of_order(other),
        }
    }

    /// Returns `y_C ‖ h_C`, 288 bytes, to send. Uses up `keyPair`.
    #[napi(ts_return_type = "Uint8Array")]
    pub fn maced_public<'env>(&mut self, env: &'env Env, key_pair: &mut KeyPair) -> Result<Uint8ArraySlice<'env>> {
        self.maced_public_of(env, || key_pair.take())
    }

    /// The same with x = 0, y = 1, for forward secrecy "off".
    #[napi(ts_return_type = "Uint8Array")]
    pub fn maced_public_without_forward_secrecy<'env>(&mut self, env: &'env Env) -> Result<Uint8ArraySlice<'env>> {
        self.maced_public_of(env, || Ok(spiped_core::KeyPair::without_forward_secrecy()))
    }

    fn maced_public_of<'env>(
        &mut self,
        env: &'env Env,
        key_pair: impl FnOnce() -> Result<spiped_core::KeyPair>,
    ) -> Result<Uint8ArraySlice<'env>> {
        match mem::replace(&mut self.phase, ClientPhase::Over) {
            ClientPhase::Keyed(phase) => {
                let (phase, maced) = phase.maced_public(key_pair()?).map_err(core_error)?;
                self.phase = ClientPhase::PublicSent(phase);
                copied(env, &maced)
            }
            other => self.out_of_order(other),
        }
    }

    /// Checks the server's `y_S ‖ h_S`, 288 bytes. Throws `SPIPED_WRONG_MAC`, `SPIPED_SAME_ROLE`,
    /// `SPIPED_DH_OUT_OF_RANGE` or `SPIPED_FORWARD_SECRECY_REQUIRED`.
    #[napi]
    pub fn verify(&mut self, maced_public: Uint8ArraySlice) -> Result<()> {
        let maced_public = exactly::<MACED_PUBLIC_BYTES>("a public value with its MAC", &maced_public)?;
        match mem::replace(&mut self.phase, ClientPhase::Over) {
            ClientPhase::PublicSent(phase) => {
                self.phase = ClientPhase::Verified(phase.verify(maced_public).map_err(core_error)?);
                Ok(())
            }
            other => self.out_of_order(other),
        }
    }

    /// Derives the packet keys, on the thread pool. The last step.
    #[napi]
    pub fn derive_keys<'env>(&mut self, env: &'env Env) -> Result<PromiseRaw<'env, SessionKeys>> {
        match mem::replace(&mut self.phase, ClientPhase::Over) {
            ClientPhase::Verified(phase) => derive_keys(env, LastPhase::Client(phase)),
            other => self.out_of_order(other),
        }
    }

    /// Derives the packet keys synchronously, for forward secrecy "off", which needs no expensive exponentiation.
    #[napi]
    pub fn derive_keys_now(&mut self) -> Result<SessionKeys> {
        match mem::replace(&mut self.phase, ClientPhase::Over) {
            ClientPhase::Verified(phase) => Ok(SessionKeys::new(phase.derive_keys())),
            other => self.out_of_order(other),
        }
    }

    /// Wipes the secrets of the handshake.
    #[napi]
    pub fn destroy(&mut self) {
        self.phase = ClientPhase::Over;
    }

    fn out_of_order<T>(&mut self, phase: ClientPhase) -> Result<T> {
        self.phase = phase;
        Err(step_error())
    }
}

/// The server's side of a handshake. Its steps, in order: `receiveNonce`, `verify`, `macedPublic`, `deriveKeys`.
#[napi]
pub struct ServerHandshake {
    nonce_s: [u8; NONCE_BYTES],
    key_index: Option<u32>,
    phase: ServerPhase,
}

enum ServerPhase {
    NonceSent(handshake::server::NonceSent),
    AwaitingPublic(handshake::server::AwaitingPublic),
    Verified(handshake::server::Verified),
    PublicSent(handshake::server::PublicSent),
    Over,
}

#[napi]
impl ServerHandshake {
    /// Starts a handshake with one key or a set of keys, and a fresh random nonce, or `nonceS`, 32 bytes, in
    /// known-answer tests.
    #[napi(constructor)]
    pub fn new(
        keys: Either<ClassInstance<SharedKey>, ClassInstance<KeySet>>,
        forward_secrecy: ForwardSecrecy,
        nonce_s: Option<Uint8ArraySlice>,
    ) -> Result<Self> {
        let keys = match keys {
            Either::A(key) => key.get()?.into(),
            Either::B(keys) => keys.get()?,
        };
        let nonce_s = own_nonce(nonce_s)?;
        let phase = handshake::server::NonceSent::new(keys, forward_secrecy.into(), nonce_s);
        Ok(Self { nonce_s, key_index: None, phase: ServerPhase::NonceSent(phase) })
    }

    /// `nonce_S`, 32 bytes: send it at once.
    #[napi(getter, ts_return_type = "Uint8Array")]
    pub fn nonce<'env>(&self, env: &'env Env) -> Result<Uint8ArraySlice<'env>> {
        copied(env, &self.nonce_s)
    }

    /// Takes the client's `nonce_C`, 32 bytes.
    #[napi]
    pub fn receive_nonce(&mut self, nonce_c: Uint8ArraySlice) -> Result<()> {
        let nonce_c = exactly("a nonce", &nonce_c)?;
        match mem::replace(&mut self.phase, ServerPhase::Over) {
            ServerPhase::NonceSent(phase) => {
                self.phase = ServerPhase::AwaitingPublic(phase.receive_nonce(nonce_c));
                Ok(())
            }
            other => self.out_of_order(other),
        }
    }

    /// Checks the client's `y_C ‖ h_C`, 288 bytes. Throws `SPIPED_WRONG_MAC`, `SPIPED_DH_OUT_OF_RANGE` or
    /// `SPIPED_FORWARD_SECRECY_REQUIRED`.
    #[napi]
    pub fn verify(&mut self, maced_public: Uint8ArraySlice) -> Result<()> {
        let maced_public = exactly::<MACED_PUBLIC_BYTES>("a public value with its MAC", &maced_public)?;
        match mem::replace(&mut self.phase, ServerPhase::Over) {
            ServerPhase::AwaitingPublic(phase) => {
                let phase = phase.identify(maced_public).map_err(core_error)?;
                self.key_index = phase.key_index().try_into().ok();
                self.phase = ServerPhase::Verified(phase.verify().map_err(core_error)?);
                Ok(())
            }
            other => self.out_of_order(other),
        }
    }

    /// The index of the client's key in the set, once `verify` found its MAC correct, even if it then rejected `y_C`;
    /// null before that.
    #[napi(getter)]
    pub fn key_index(&self) -> Option<u32> {
        self.key_index
    }

    /// Returns `y_S ‖ h_S`, 288 bytes, to send. Uses up `keyPair`.
    #[napi(ts_return_type = "Uint8Array")]
    pub fn maced_public<'env>(&mut self, env: &'env Env, key_pair: &mut KeyPair) -> Result<Uint8ArraySlice<'env>> {
        self.maced_public_of(env, || key_pair.take())
    }

    /// The same with x = 0, y = 1, for forward secrecy "off".
    #[napi(ts_return_type = "Uint8Array")]
    pub fn maced_public_without_forward_secrecy<'env>(&mut self, env: &'env Env) -> Result<Uint8ArraySlice<'env>> {
        self.maced_public_of(env, || Ok(spiped_core::KeyPair::without_forward_secrecy()))
    }

    fn maced_public_of<'env>(
        &mut self,
        env: &'env Env,
        key_pair: impl FnOnce() -> Result<spiped_core::KeyPair>,
    ) -> Result<Uint8ArraySlice<'env>> {
        match mem::replace(&mut self.phase, ServerPhase::Over) {
            ServerPhase::Verified(phase) => {
                let (phase, maced) = phase.maced_public(key_pair()?).map_err(core_error)?;
                self.phase = ServerPhase::PublicSent(phase);
                copied(env, &maced)
            }
            other => self.out_of_order(other),
        }
    }

    /// Derives the packet keys, on the thread pool. The last step.
    #[napi]
    pub fn derive_keys<'env>(&mut self, env: &'env Env) -> Result<PromiseRaw<'env, SessionKeys>> {
        match mem::replace(&mut self.phase, ServerPhase::Over) {
            ServerPhase::PublicSent(phase) => derive_keys(env, LastPhase::Server(phase)),
            other => self.out_of_order(other),
        }
    }

    /// Derives the packet keys synchronously, for forward secrecy "off", which needs no expensive exponentiation.
    #[napi]
    pub fn derive_keys_now(&mut self) -> Result<SessionKeys> {
        match mem::replace(&mut self.phase, ServerPhase::Over) {
            ServerPhase::PublicSent(phase) => Ok(SessionKeys::new(phase.derive_keys())),
            other => self.out_of_order(other),
        }
    }

    /// Wipes the secrets of the handshake.
    #[napi]
    pub fn destroy(&mut self) {
        self.phase = ServerPhase::Over;
    }

    fn out_of_order<T>(&mut self, phase: ServerPhase) -> Result<T> {
        self.phase = phase;
        Err(step_error())
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
