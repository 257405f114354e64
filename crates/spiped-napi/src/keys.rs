//! Shared keys, and the key pairs and packet keys of connections.

use napi::bindgen_prelude::{AsyncTask, ClassInstance, Env, Task, Uint8Array, Uint8ArraySlice};
use napi_derive::napi;
use zeroize::Zeroizing;

use crate::{
    buffers::{exactly, separate},
    errors::{Code, Result, core_error, rejection, step_error},
    packets::{Opener, Sealer},
    panics::caught,
};

/// Hashes a key file, piece by piece, into a shared key. An empty file gives no key.
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

    /// Hashes the next piece, of any length. The caller wipes it.
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

    /// Returns K, the SHA-256 of all pieces, and uses up the hasher. Throws `SPIPED_KEY_FILE` if there were no bytes.
    ///
    /// Differs from spiped, which accepts an empty key file, although everybody knows its key.
    #[napi]
    pub fn finish(&mut self) -> Result<SharedKey> {
        let hasher = self.hasher.take().ok_or_else(step_error)?;
        if self.is_empty {
            return Err(napi::Error::new(Code::EmptyKey, "it is empty, so everybody knows this key"));
        }
        Ok(SharedKey(Some(hasher.finish())))
    }

    /// Wipes the state of the hash.
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

    /// 8 bytes that identify the key and are not secret.
    #[napi]
    pub fn id(&self) -> Result<Uint8Array> {
        Ok(self.get()?.id().to_vec().into())
    }

    /// Whether both keys are the same, compared in constant time.
    #[napi]
    pub fn is_same(&self, other: &SharedKey) -> Result<bool> {
        Ok(self.get()?.is_same(&other.get()?))
    }

    /// Releases K, which is wiped as soon as no handshake and no set of keys uses it.
    #[napi]
    pub fn destroy(&mut self) {
        self.0 = None;
    }
}

/// The keys that a server accepts. The most recently used are tried first.
#[napi]
pub struct KeySet(Option<spiped_core::KeySet>);

#[napi]
impl KeySet {
    /// The set keeps its own references: the keys may be destroyed afterwards.
    #[napi(constructor)]
    pub fn new(keys: Vec<ClassInstance<SharedKey>>) -> Result<Self> {
        let keys = keys.iter().map(|key| key.get()).collect::<Result<_>>()?;
        Ok(Self(Some(spiped_core::KeySet::new(keys))))
    }

    pub(crate) fn get(&self) -> Result<spiped_core::KeySet> {
        self.0.clone().ok_or_else(step_error)
    }

    /// Releases all keys; each is wiped as soon as no handshake uses it.
    #[napi]
    pub fn destroy(&mut self) {
        self.0 = None;
    }
}

/// The Diffie-Hellman key pair x, y of one side of one connection.
#[napi]
pub struct KeyPair(Option<spiped_core::KeyPair>);

#[napi]
impl KeyPair {
    /// Generates a random pair, on the thread pool.
    #[napi(ts_return_type = "Promise<KeyPair>")]
    pub fn generate() -> AsyncTask<MakeKeyPair> {
        AsyncTask::new(MakeKeyPair::Random)
    }

    /// The pair x = 0, y = 1, for forward secrecy "off".
    #[napi(factory)]
    pub fn without_forward_secrecy() -> Self {
        Self(Some(spiped_core::KeyPair::without_forward_secrecy()))
    }

    /// Computes the pair for a given x, 32 bytes, big-endian, on the thread pool. For known-answer tests.
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

/// The packet keys of a connection. The sealer and the opener can be taken once each.
#[napi]
pub struct SessionKeys {
    seal: Option<Sealing>,
    open: Option<spiped_core::DirectionKeys>,
}

/// The keys that seal, or, after the first packet, the sealer that counts its packets.
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

    /// Seals the first data that this side sends, as `Sealer.seal` does. The sealer continues with the next packet
    /// number.
    #[napi]
    pub fn seal_first(&mut self, cleartext: Uint8ArraySlice, mut out: Uint8ArraySlice) -> Result<i64> {
        let mut sealer = self.seal.take().ok_or_else(step_error)?.sealer();
        let sealed =
            separate(&cleartext, &mut out).and_then(|(cleartext, out)| sealer.seal(cleartext, out).map_err(core_error));
        self.seal = Some(Sealing::Begun(sealer));
        sealed.map(|written| written as i64)
    }

    /// Takes the sealer for what this side sends.
    #[napi]
    pub fn take_sealer(&mut self) -> Result<Sealer> {
        Ok(Sealer::new(self.seal.take().ok_or_else(step_error)?.sealer()))
    }

    /// Takes the opener for what this side receives.
    #[napi]
    pub fn take_opener(&mut self) -> Result<Opener> {
        let keys = self.open.take().ok_or_else(step_error)?;
        Ok(Opener::new(spiped_core::Opener::new(&keys)))
    }

    /// Takes both at once, for the relay, which Windows lacks.
    #[allow(dead_code)]
    pub(crate) fn take(&mut self) -> Option<(spiped_core::Sealer, spiped_core::Opener)> {
        let (seal, open) = (self.seal.take()?, self.open.take()?);
        Some((seal.sealer(), spiped_core::Opener::new(&open)))
    }

    /// Wipes the keys that were not taken.
    #[napi]
    pub fn destroy(&mut self) {
        self.seal = None;
        self.open = None;
    }
}
