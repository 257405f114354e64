//! Rust's errors as JavaScript's: each becomes an `Error` with a `code`.

use napi::{Env, JsError, Status};
use spiped_core::Error;

/// The `code` of an error: one of a closed list, or the name of an `errno`.
pub enum Code {
    WrongMac,
    SameRole,
    DhOutOfRange,
    ForwardSecrecyRequired,
    PacketMac,
    PacketLength,
    PacketNumbersUsedUp,
    /// Wrong sizes, or overlapping buffers: a bug in the caller.
    Buffer,
    /// A step out of order, or a handle that is used up or destroyed: a bug in the caller.
    Step,
    Random,
    /// An empty key file, whose key everybody knows.
    EmptyKey,
    /// A lookup failed.
    Resolve,
    /// The name of an `errno`, such as `EADDRINUSE`.
    System(String),
    /// Node.js failed, for example out of memory.
    Node(Status),
}

impl AsRef<str> for Code {
    fn as_ref(&self) -> &str {
        match self {
            Self::WrongMac => "SPIPED_WRONG_MAC",
            Self::SameRole => "SPIPED_SAME_ROLE",
            Self::DhOutOfRange => "SPIPED_DH_OUT_OF_RANGE",
            Self::ForwardSecrecyRequired => "SPIPED_FORWARD_SECRECY_REQUIRED",
            Self::PacketMac => "SPIPED_PACKET_MAC",
            Self::PacketLength => "SPIPED_PACKET_LENGTH",
            Self::PacketNumbersUsedUp => "SPIPED_PACKET_NUMBERS_USED_UP",
            Self::Buffer => "SPIPED_BUFFER",
            Self::Step => "SPIPED_STEP",
            Self::Random => "SPIPED_RANDOM",
            Self::EmptyKey => "SPIPED_KEY_FILE",
            Self::Resolve => "SPIPED_RESOLVE",
            Self::System(name) => name,
            Self::Node(status) => status.as_ref(),
        }
    }
}

/// What the exported functions return.
pub(crate) type Result<T> = napi::Result<T, Code>;

/// An error of the core, with its code.
pub(crate) fn core_error(error: Error) -> napi::Error<Code> {
    let code = match error {
        Error::WrongMac => Code::WrongMac,
        Error::SameRole => Code::SameRole,
        Error::DhOutOfRange => Code::DhOutOfRange,
        Error::ForwardSecrecyRequired => Code::ForwardSecrecyRequired,
        Error::PacketMac => Code::PacketMac,
        Error::PacketLength => Code::PacketLength,
        Error::PacketNumbersUsedUp => Code::PacketNumbersUsedUp,
        Error::Buffer => Code::Buffer,
        Error::KeyPair => Code::Step,
        Error::Random => Code::Random,
    };
    napi::Error::new(code, error.to_string())
}

/// An error of Node.js, with its own code.
pub(crate) fn node_error(error: napi::Error) -> napi::Error<Code> {
    napi::Error::new(Code::Node(error.status), error.reason.clone())
}

/// The error for a step out of order, or a handle that is used up or destroyed.
pub(crate) fn step_error() -> napi::Error<Code> {
    napi::Error::new(Code::Step, "the handle is destroyed or used up, or this step is out of order")
}

/// `error` for a promise to reject with, including its code. A task can only carry napi's own statuses, so the
/// JavaScript error is created here.
pub(crate) fn rejection(env: Env, error: napi::Error<Code>) -> napi::Error {
    JsError::from(error).into_unknown(env).into()
}
