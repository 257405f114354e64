//! The shared key, and one connection's key pair and keys.

use napi::bindgen_prelude::{AsyncTask, ClassInstance, Env, Task, Uint8Array, Uint8ArraySlice};
use napi_derive::napi;
use zeroize::Zeroizing;

use crate::{
    buffers::{exactly, separate},
    errors::{Code, Result, core_error, rejection, step_error},
    packets::{Opener, Sealer},
    panics::caught,
};

/// Makes the shared key of a key file that is read in pieces. There is none of an empty file.
#[napi]
pub struct KeyHasher {
    hasher: Option<spiped_core::KeyHasher>,
    is_empty: bool,
}

#[napi]
impl KeyHasher {
    #[napi(constructor)]
    #[allow(clippy::new_without_default)]
    pub fn new() -> Self {
        Self { hasher: Some(spiped_core::KeyHasher::new()), is_empty: true }
    }

    /// Takes the next piece, of any length. The caller wipes it.
    #[napi]
    pub fn update(&mut self, piece: Uint8ArraySlice) -> Result<()> {
        if self.hasher.is_none() {
            return Err(step_error());
        }
        self.take(&piece);
        Ok(())
    }

    pub(crate) fn take(&mut self, piece: &[u8]) {
        if let Some(hasher) = &mut self.hasher {
            hasher.update(piece);
            self.is_empty &= piece.is_empty();
        }
    }

    /// The SHA-256 of all pieces. Uses the hasher up.
    ///
    /// Differs from spiped: of no bytes there is no key, since everybody would know it.
    #[napi]
    pub fn finish(&mut self) -> Result<SharedKey> {
        let hasher = self.hasher.take().ok_or_else(step_error)?;
        if self.is_empty {
            return Err(napi::Error::new(Code::EmptyKey, "it is empty, so everybody knows this key"));
        }
        Ok(SharedKey(Some(hasher.finish())))
    }

    /// Wipes what has been taken.
    #[napi]
    pub fn destroy(&mut self) {
        self.hasher = None;
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

    /// 8 bytes that tell keys apart, and that may be shown.
    #[napi]
    pub fn id(&self) -> Result<Uint8Array> {
        Ok(self.get()?.id().to_vec().into())
    }

    /// Whether both are made of the same key file.
    #[napi]
    pub fn is_same(&self, other: &SharedKey) -> Result<bool> {
        Ok(self.get()?.is_same(&other.get()?))
    }

    /// Lets go of K; it is wiped when no handshake, and no set of keys, needs it any more.
    #[napi]
    pub fn destroy(&mut self) {
        self.0 = None;
    }
}

/// The keys of a server, one of which a client must have; those used most recently are tried first.
#[napi]
pub struct KeySet(Option<spiped_core::KeySet>);

#[napi]
impl KeySet {
    /// The keys may be destroyed afterwards; the set keeps what it needs.
    #[napi(constructor)]
    pub fn new(keys: Vec<ClassInstance<SharedKey>>) -> Result<Self> {
        let keys = keys.iter().map(|key| key.get()).collect::<Result<_>>()?;
        Ok(Self(Some(spiped_core::KeySet::new(keys))))
    }

    pub(crate) fn get(&self) -> Result<spiped_core::KeySet> {
        self.0.clone().ok_or_else(step_error)
    }

    /// Lets go of all keys; each is wiped when no handshake needs it any more.
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
        let make = || match self {
            Self::Random => spiped_core::KeyPair::generate(),
            Self::OfExponent(x) => Ok(spiped_core::KeyPair::from_exponent(x)),
        };
        caught("make key pair", make).map_err(napi::Error::from_reason)
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
    seal: Option<Sealing>,
    open: Option<spiped_core::DirectionKeys>,
}

/// What seals: keys that have sealed nothing, or the one sealer that was made of them, which counts its packets.
enum Sealing {
    NotBegun(spiped_core::DirectionKeys),
    Begun(spiped_core::Sealer),
}

impl Sealing {
    fn sealer(self) -> spiped_core::Sealer {
        match self {
            Self::NotBegun(keys) => spiped_core::Sealer::new(&keys),
            Self::Begun(sealer) => sealer,
        }
    }
}

#[napi]
impl SessionKeys {
    pub(crate) fn new(keys: spiped_core::SessionKeys) -> Self {
        Self { seal: Some(Sealing::NotBegun(keys.seal)), open: Some(keys.open) }
    }

    /// Seals the first data of this side, as `Sealer.seal` does. Whoever takes the sealer goes on behind it.
    #[napi]
    pub fn seal_first(&mut self, plaintext: Uint8ArraySlice, mut out: Uint8ArraySlice) -> Result<i64> {
        let mut sealer = self.seal.take().ok_or_else(step_error)?.sealer();
        let sealed =
            separate(&plaintext, &mut out).and_then(|(plaintext, out)| sealer.seal(plaintext, out).map_err(core_error));
        self.seal = Some(Sealing::Begun(sealer));
        sealed.map(|written| written as i64)
    }

    /// The sealer of what this side sends.
    #[napi]
    pub fn take_sealer(&mut self) -> Result<Sealer> {
        Ok(Sealer::new(self.seal.take().ok_or_else(step_error)?.sealer()))
    }

    /// The opener of what this side receives.
    #[napi]
    pub fn take_opener(&mut self) -> Result<Opener> {
        let keys = self.open.take().ok_or_else(step_error)?;
        Ok(Opener::new(spiped_core::Opener::new(&keys)))
    }

    /// Both at once.
    pub(crate) fn take(&mut self) -> Option<(spiped_core::Sealer, spiped_core::Opener)> {
        let (seal, open) = (self.seal.take()?, self.open.take()?);
        Some((seal.sealer(), spiped_core::Opener::new(&open)))
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
