//! The client's side, see [`super`].

use std::mem;

use napi::bindgen_prelude::{Env, PromiseRaw, Uint8ArraySlice};
use napi_derive::napi;
use spiped_core::{MACED_PUBLIC_BYTES, NONCE_BYTES, handshake};

use super::{ForwardSecrecy, LastPhase, derive_keys, own_nonce};
use crate::{
    buffers::{copied, exactly},
    errors::{Result, core_error, step_error},
    keys::{KeyPair, SessionKeys, SharedKey},
};

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
