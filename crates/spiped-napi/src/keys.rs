//! The shared key, and one connection's key pair and keys.

use napi::bindgen_prelude::{AsyncTask, Env, Task, Uint8ArraySlice};
use napi_derive::napi;
use zeroize::Zeroizing;

use crate::{
    buffers::exactly,
    errors::{Result, core_error, rejection, step_error},
    packets::{Opener, Sealer},
};

/// Makes the shared key of a key file that is read in pieces.
#[napi]
pub struct KeyHasher(Option<spiped_core::KeyHasher>);

#[napi]
impl KeyHasher {
    #[napi(constructor)]
    #[allow(clippy::new_without_default)]
    pub fn new() -> Self {
        Self(Some(spiped_core::KeyHasher::new()))
    }

    /// Takes the next piece, of any length. The caller wipes it.
    #[napi]
    pub fn update(&mut self, piece: Uint8ArraySlice) -> Result<()> {
        self.0.as_mut().ok_or_else(step_error)?.update(&piece);
        Ok(())
    }

    /// The SHA-256 of all pieces. Uses the hasher up.
    #[napi]
    pub fn finish(&mut self) -> Result<SharedKey> {
        let hasher = self.0.take().ok_or_else(step_error)?;
        Ok(SharedKey(Some(hasher.finish())))
    }

    /// Wipes what has been taken.
    #[napi]
    pub fn destroy(&mut self) {
        self.0 = None;
    }
}

/// K, the secret that both ends share, for any number of handshakes.
#[napi]
pub struct SharedKey(Option<spiped_core::SharedKey>);

#[napi]
impl SharedKey {
    pub(crate) fn get(&self) -> Result<spiped_core::SharedKey> {
        self.0.clone().ok_or_else(step_error)
    }

    /// Lets go of K; it is wiped when no handshake needs it any more.
    #[napi]
    pub fn destroy(&mut self) {
        self.0 = None;
    }
}

/// x and y of one side and one connection.
#[napi]
pub struct KeyPair(Option<spiped_core::KeyPair>);

#[napi]
impl KeyPair {
    /// A fresh random pair, made on the thread pool.
    #[napi(ts_return_type = "Promise<KeyPair>")]
    pub fn generate() -> AsyncTask<MakeKeyPair> {
        AsyncTask::new(MakeKeyPair::Random)
    }

    /// x = 0, y = 1: for a handshake with forward secrecy "off".
    #[napi(factory)]
    pub fn without_forward_secrecy() -> Self {
        Self(Some(spiped_core::KeyPair::without_forward_secrecy()))
    }

    /// The pair of a given x, 32 bytes, big-endian, made on the thread pool: for known-answer tests.
    #[napi(ts_return_type = "Promise<KeyPair>")]
    pub fn from_exponent(x: Uint8ArraySlice) -> Result<AsyncTask<MakeKeyPair>> {
        Ok(AsyncTask::new(MakeKeyPair::OfExponent(Box::new(Zeroizing::new(*exactly("an exponent", &x)?)))))
    }

    pub(crate) fn take(&mut self) -> Result<spiped_core::KeyPair> {
        self.0.take().ok_or_else(step_error)
    }

    /// Wipes x.
    #[napi]
    pub fn destroy(&mut self) {
        self.0 = None;
    }
}

/// The exponentiation y = g^x.
pub enum MakeKeyPair {
    Random,
    OfExponent(Box<Zeroizing<[u8; 32]>>),
}

impl Task for MakeKeyPair {
    type Output = std::result::Result<spiped_core::KeyPair, spiped_core::Error>;
    type JsValue = KeyPair;

    fn compute(&mut self) -> napi::Result<Self::Output> {
        Ok(match self {
            Self::Random => spiped_core::KeyPair::generate(),
            Self::OfExponent(x) => Ok(spiped_core::KeyPair::from_exponent(x)),
        })
    }

    fn resolve(&mut self, env: Env, key_pair: Self::Output) -> napi::Result<KeyPair> {
        match key_pair {
            Ok(key_pair) => Ok(KeyPair(Some(key_pair))),
            Err(error) => Err(rejection(env, core_error(error))),
        }
    }
}

/// The packets' keys, as a sealer and an opener that are taken once each.
#[napi]
pub struct SessionKeys {
    seal: Option<spiped_core::DirectionKeys>,
    open: Option<spiped_core::DirectionKeys>,
}

#[napi]
impl SessionKeys {
    pub(crate) fn new(keys: spiped_core::SessionKeys) -> Self {
        Self { seal: Some(keys.seal), open: Some(keys.open) }
    }

    /// The sealer of what this side sends.
    #[napi]
    pub fn take_sealer(&mut self) -> Result<Sealer> {
        let keys = self.seal.take().ok_or_else(step_error)?;
        Ok(Sealer::new(spiped_core::Sealer::new(&keys)))
    }

    /// The opener of what this side receives.
    #[napi]
    pub fn take_opener(&mut self) -> Result<Opener> {
        let keys = self.open.take().ok_or_else(step_error)?;
        Ok(Opener::new(spiped_core::Opener::new(&keys)))
    }

    /// Wipes what has not been taken.
    #[napi]
    pub fn destroy(&mut self) {
        self.seal = None;
        self.open = None;
    }
}

/// Direction keys of given bytes: for known-answer tests.
pub(crate) fn direction_keys(encryption: &[u8], mac: &[u8]) -> Result<spiped_core::DirectionKeys> {
    Ok(spiped_core::DirectionKeys::from_bytes(exactly("an encryption key", encryption)?, exactly("a MAC key", mac)?))
}
