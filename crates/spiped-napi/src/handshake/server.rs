//! The server's side, see [`super`].

use std::mem;

use napi::bindgen_prelude::{ClassInstance, Either, Env, PromiseRaw, Uint8ArraySlice};
use napi_derive::napi;
use spiped_core::{MACED_PUBLIC_BYTES, NONCE_BYTES, handshake};

use super::{ForwardSecrecy, LastPhase, derive_keys, own_nonce};
use crate::{
    buffers::{copied, exactly},
    errors::{Result, core_error, step_error},
    keys::{KeyPair, KeySet, SessionKeys, SharedKey},
};

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
