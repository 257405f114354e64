//! Opens and reads key files, each on a thread of its own.
//!
//! A pipe without a writer or an unresponsive mount can block the thread forever. On the event loop that would stop
//! everything; on Node.js's thread pool it would stop the process from exiting, which waits for that pool. The contents
//! are hashed here and never become JavaScript values.

use std::{
    fs::{File, Metadata},
    io,
    path::PathBuf,
};

use napi::{
    Either, Status,
    bindgen_prelude::Uint8Array,
    threadsafe_function::{ThreadsafeFunction, ThreadsafeFunctionCallMode, UnknownReturnValue},
};
use napi_derive::napi;

use crate::{
    errors::{Code, Result},
    keys::SharedKey,
    panics,
    platform::{describe, identity_of, into_descriptor, kind_of, mode_of, owner_of, path_of_bytes},
};

mod reading;

/// Receives the `KeyFile` when the thread is done. It does not keep the event loop alive, since that may be never.
pub(super) type Done = ThreadsafeFunction<KeyFile, UnknownReturnValue, KeyFile, Status, false, true>;

/// The outcome of reading or opening a key file.
#[napi(string_enum = "kebab-case")]
#[derive(Clone, Copy)]
pub enum KeyFileState {
    /// A system call failed; see `failure`.
    Failed,
    /// The request excludes files of this kind; it was not read.
    Refused,
    /// It is open but has not been read.
    Opened,
    /// It is longer than the request allows.
    TooLong,
    /// It was read completely.
    Read,
}

/// The kind of file at the path, or behind the descriptor.
#[napi(string_enum = "kebab-case")]
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum KeyFileKind {
    File,
    Folder,
    /// A pipe or a FIFO.
    Pipe,
    Socket,
    /// A device, such as a terminal or `/dev/zero`.
    Device,
}

/// What a key file's contents look like.
#[napi(string_enum = "kebab-case")]
#[derive(Clone, Copy)]
pub enum KeyContents {
    /// Not text, or too long to classify.
    Binary,
    /// At least 32 characters that look like encoded random bytes: hexadecimal or base64.
    Encoded,
    /// Any other text.
    Text,
}

/// What to read, and what to refuse.
#[napi(object)]
pub(super) struct KeyFileRequest {
    /// Read this descriptor instead of opening the path. The caller keeps it, and keeps it open until the callback.
    pub descriptor: Option<i32>,
    /// The most bytes to read.
    pub limit_bytes: u32,
    /// Refuse anything that cannot be read again by its path: pipes, devices and this process's descriptors.
    pub regular_only: bool,
    /// Refuse standard input, unless it is a regular file.
    pub except_standard_input: bool,
}

/// The result of opening or reading a key file.
#[napi]
pub struct KeyFile {
    state: KeyFileState,
    failure: Option<(String, String)>,
    metadata: Option<Metadata>,
    pub(super) own_descriptor: Option<i32>,
    length_bytes: u32,
    has_changed: bool,
    contents: KeyContents,
    key: Option<SharedKey>,
    pub(super) file: Option<File>,
}

#[napi]
impl KeyFile {
    #[napi(getter)]
    pub fn state(&self) -> KeyFileState {
        self.state
    }

    /// The name of the `errno`, such as `ENOENT`.
    #[napi(getter)]
    pub fn failure(&self) -> Option<String> {
        self.failure.as_ref().map(|(name, _)| name.clone())
    }

    /// The meaning of `failure`.
    #[napi(getter)]
    pub fn failure_text(&self) -> Option<String> {
        self.failure.as_ref().map(|(_, text)| text.clone())
    }

    /// Null if the system does not tell.
    #[napi(getter)]
    pub fn kind(&self) -> Option<KeyFileKind> {
        self.metadata.as_ref().map(kind_of)
    }

    /// Its permissions; null on Windows.
    #[napi(getter)]
    pub fn mode(&self) -> Option<u32> {
        self.metadata.as_ref().and_then(mode_of)
    }

    /// Its owner; null on Windows.
    #[napi(getter)]
    pub fn uid(&self) -> Option<u32> {
        self.metadata.as_ref().and_then(owner_of)
    }

    /// Identifies the file and its last modification, whatever its name, and even if it may not be read. Null if the
    /// system does not tell, as on Windows.
    #[napi(getter)]
    pub fn identity(&self) -> Option<String> {
        self.metadata.as_ref().and_then(identity_of)
    }

    /// Whether the path names a descriptor of this process, as `/dev/stdin` and `/dev/fd/63` do.
    #[napi(getter)]
    pub fn names_descriptor(&self) -> bool {
        self.own_descriptor.is_some()
    }

    /// The number of bytes read.
    #[napi(getter)]
    pub fn length_bytes(&self) -> u32 {
        self.length_bytes
    }

    /// Whether the file was modified while it was read.
    #[napi(getter)]
    pub fn has_changed(&self) -> bool {
        self.has_changed
    }

    #[napi(getter)]
    pub fn contents(&self) -> KeyContents {
        self.contents
    }

    /// Takes the key; null if there is none, as for an empty file, and on a second call.
    #[napi]
    pub fn take_key(&mut self) -> Option<SharedKey> {
        self.key.take()
    }

    /// Takes the close-on-exec descriptor of a file that was opened and not read; null on a second call. The caller
    /// owns it.
    #[napi]
    pub fn take_descriptor(&mut self) -> Option<i32> {
        self.file.take().and_then(into_descriptor)
    }
}

/// Reads a key file on a thread of its own and calls `done` with the result, also after an error. If reading blocks
/// forever, `done` is never called.
#[napi(ts_args_type = "path: string | Uint8Array, request: KeyFileRequest, done: (keyFile: KeyFile) => void")]
pub(super) fn read_key_file(path: Either<String, Uint8Array>, request: KeyFileRequest, done: Done) -> Result<()> {
    let path = path_of(path);
    on_own_thread(done, move |key_file| key_file.read(&path, &request))
}

/// The path as the system takes it: its bytes need not be valid UTF-8.
pub(super) fn path_of(path: Either<String, Uint8Array>) -> PathBuf {
    match path {
        Either::A(text) => text.into(),
        Either::B(bytes) => path_of_bytes(&bytes),
    }
}

pub(super) fn on_own_thread(
    done: Done,
    work: impl FnOnce(&mut KeyFile) -> io::Result<()> + Send + 'static,
) -> Result<()> {
    let run = move || {
        let mut key_file = KeyFile::new();
        match work(&mut key_file) {
            Ok(()) => key_file,
            Err(error) => key_file.failed(describe(&error)),
        }
    };
    let tell = move |key_file| {
        done.call(key_file, ThreadsafeFunctionCallMode::NonBlocking);
    };
    // No error of a system call, so it says nothing about the file.
    let failed = |words| KeyFile::new().failed(("EFAULT".to_owned(), words));
    panics::on_own_thread("key file", run, failed, tell).map_err(|error| {
        napi::Error::new(Code::System("EAGAIN".to_owned()), format!("cannot start a thread to read a key: {error}"))
    })
}
