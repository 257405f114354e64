//! Key files, opened and read on threads of their own.
//!
//! A pipe that nobody writes to, or a mount that does not answer, holds the thread up for as long as it likes: on the
//! event loop it would hold up everything, and on Node.js's thread pool the end of the process, which waits for that
//! pool. The contents are hashed here and never become JavaScript values.

use std::{
    fs::{File, Metadata},
    io::{self, ErrorKind, Read},
    path::{Path, PathBuf},
};

use napi::{
    Either, Status,
    bindgen_prelude::Uint8Array,
    threadsafe_function::{ThreadsafeFunction, ThreadsafeFunctionCallMode, UnknownReturnValue},
};
use napi_derive::napi;
use zeroize::Zeroizing;

#[cfg(unix)]
pub(super) use self::unix::describe;
#[cfg(unix)]
use self::unix::{
    given, is_standard_input, keep_from_children, kind_of, open_to_read, path_of_bytes, require_given, version_of,
    wait_for_more,
};
#[cfg(windows)]
pub(super) use self::windows::describe;
#[cfg(windows)]
use self::windows::{
    given, is_standard_input, kind_of, open_to_read, path_of_bytes, require_given, version_of, wait_for_more,
};
use super::descriptor_paths::own_descriptor;
use crate::{
    errors::{Code, Result},
    keys::{KeyHasher, SharedKey},
    panics,
};

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

/// Contents pass through a buffer of this many bytes, and are looked at if they fit into it.
const BUFFER_BYTES: usize = 64 * 1024;

/// Takes a `KeyFile` when the thread is through. It does not keep the event loop alive, since that may be never.
type Done = ThreadsafeFunction<KeyFile, UnknownReturnValue, KeyFile, Status, false, true>;

/// How far a key file was read.
#[napi(string_enum = "kebab-case")]
#[derive(Clone, Copy)]
pub enum KeyFileState {
    /// The system refused; `failure` says why.
    Failed,
    /// It is not what the request wants, and was not read.
    Refused,
    /// It is open, and not read yet.
    Opened,
    /// It goes on after as many bytes as the request allows.
    TooLong,
    /// It was read to its end.
    Read,
}

/// What is at the path, or behind the descriptor.
#[napi(string_enum = "kebab-case")]
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum KeyFileKind {
    File,
    Folder,
    /// A pipe, with a name or without.
    Pipe,
    Socket,
    /// A device: a terminal, `/dev/zero`.
    Device,
}

/// What a key's contents look like.
#[napi(string_enum = "kebab-case")]
#[derive(Clone, Copy)]
pub enum KeyContents {
    /// Not text, or too long to look at.
    Binary,
    /// Text such as programs write random bytes in: hexadecimal digits, base64.
    Encoded,
    /// Any other text.
    Text,
}

/// What to read, and what not.
#[napi(object)]
pub(super) struct KeyFileRequest {
    /// To be read instead of opening the path. It stays the caller's, who leaves it open until the end.
    pub descriptor: Option<i32>,
    /// The most bytes to read.
    pub limit_bytes: u32,
    /// Only a file that a path leads to, and that could be read again: no pipe, no device, none of this process's
    /// descriptors.
    pub regular_only: bool,
    /// Not what standard input is, unless that is a file.
    pub except_standard_input: bool,
}

/// What has come of opening or reading a key file.
#[napi]
pub struct KeyFile {
    state: KeyFileState,
    failure: Option<(String, String)>,
    metadata: Option<Metadata>,
    own_descriptor: Option<i32>,
    length_bytes: u32,
    has_changed: bool,
    contents: KeyContents,
    key: Option<SharedKey>,
    #[cfg_attr(not(unix), allow(dead_code))]
    file: Option<File>,
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

    /// What the system says about `failure`.
    #[napi(getter)]
    pub fn failure_text(&self) -> Option<String> {
        self.failure.as_ref().map(|(_, text)| text.clone())
    }

    /// Null where the system does not even say what it is.
    #[napi(getter)]
    pub fn kind(&self) -> Option<KeyFileKind> {
        self.metadata.as_ref().map(kind_of)
    }

    /// Its permissions; null on Windows.
    #[napi(getter)]
    pub fn mode(&self) -> Option<u32> {
        #[cfg(unix)]
        return self.metadata.as_ref().map(|metadata| std::os::unix::fs::MetadataExt::mode(metadata) & 0o7777);
        #[cfg(not(unix))]
        return None;
    }

    /// Its owner; null on Windows.
    #[napi(getter)]
    pub fn uid(&self) -> Option<u32> {
        #[cfg(unix)]
        return self.metadata.as_ref().map(std::os::unix::fs::MetadataExt::uid);
        #[cfg(not(unix))]
        return None;
    }

    /// Which file it is, and how it was when it was written to last: the same under another name, and for who may not
    /// read it. Null where that cannot be told, as on Windows.
    #[napi(getter)]
    pub fn identity(&self) -> Option<String> {
        #[cfg(unix)]
        return self.metadata.as_ref().map(unix::identity_of);
        #[cfg(not(unix))]
        return None;
    }

    /// Whether the path leads to a descriptor of this process, as `/dev/stdin` and `/dev/fd/63` do.
    #[napi(getter)]
    pub fn names_descriptor(&self) -> bool {
        self.own_descriptor.is_some()
    }

    /// How many bytes were read.
    #[napi(getter)]
    pub fn length_bytes(&self) -> u32 {
        self.length_bytes
    }

    /// Whether a file was written to while it was read.
    #[napi(getter)]
    pub fn has_changed(&self) -> bool {
        self.has_changed
    }

    #[napi(getter)]
    pub fn contents(&self) -> KeyContents {
        self.contents
    }

    /// The key; null where there is none, as after an empty file, and the second time.
    #[napi]
    pub fn take_key(&mut self) -> Option<SharedKey> {
        self.key.take()
    }

    /// The close-on-exec descriptor of a file that was opened and not read. The caller owns it; null the second time.
    #[napi]
    pub fn take_descriptor(&mut self) -> Option<i32> {
        #[cfg(unix)]
        return self.file.take().map(std::os::fd::IntoRawFd::into_raw_fd);
        #[cfg(not(unix))]
        return None;
    }
}

/// Reads a key file, on a thread of its own, and calls back with what has come of it, an error too. Where nothing
/// comes, it never calls back.
#[napi(ts_args_type = "path: string | Uint8Array, request: KeyFileRequest, done: (keyFile: KeyFile) => void")]
pub(super) fn read_key_file(path: Either<String, Uint8Array>, request: KeyFileRequest, done: Done) -> Result<()> {
    let path = path_of(path);
    on_own_thread(done, move |key_file| key_file.read(&path, &request))
}

/// Opens a key file as `readKeyFile` does, or a folder, and leaves the reading to whom its descriptor is given. A
/// descriptor that the path leads to is not handed down to other processes from then on.
#[cfg(unix)]
#[napi(ts_args_type = "path: string | Uint8Array, done: (keyFile: KeyFile) => void")]
pub(super) fn open_key_file(path: Either<String, Uint8Array>, done: Done) -> Result<()> {
    let path = path_of(path);
    on_own_thread(done, move |key_file| {
        let request =
            KeyFileRequest { descriptor: None, limit_bytes: 0, regular_only: false, except_standard_input: false };
        key_file.file = key_file.open(&path, &request)?;
        key_file.own_descriptor.map_or(Ok(()), keep_from_children)?;
        Ok(())
    })
}

/// A path's bytes need not be a text.
pub(super) fn path_of(path: Either<String, Uint8Array>) -> PathBuf {
    match path {
        Either::A(text) => text.into(),
        Either::B(bytes) => path_of_bytes(&bytes),
    }
}

fn on_own_thread(done: Done, work: impl FnOnce(&mut KeyFile) -> io::Result<()> + Send + 'static) -> Result<()> {
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
    // An error of no system call, so none that means anything of the file.
    let failed = |words| KeyFile::new().failed(("EFAULT".to_owned(), words));
    panics::on_own_thread("key file", run, failed, tell)
        .map_err(|error| napi::Error::new(Code::System("EAGAIN".to_owned()), format!("no thread for a key: {error}")))
}

impl KeyFile {
    fn failed(mut self, failure: (String, String)) -> Self {
        self.state = KeyFileState::Failed;
        self.key = None;
        self.failure = Some(failure);
        self
    }

    fn new() -> Self {
        Self {
            state: KeyFileState::Opened,
            failure: None,
            metadata: None,
            own_descriptor: None,
            length_bytes: 0,
            has_changed: false,
            contents: KeyContents::Binary,
            key: None,
            file: None,
        }
    }

    fn read(&mut self, path: &Path, request: &KeyFileRequest) -> io::Result<()> {
        if let Some(file) = self.open(path, request)? {
            let before = file.metadata()?;
            if before.is_dir() {
                return Err(ErrorKind::IsADirectory.into());
            }
            self.hash(&file, request.limit_bytes)?;
            let is_file = kind_of(&before) == KeyFileKind::File;
            self.has_changed = is_file && version_of(&before) != version_of(&file.metadata()?);
        }
        Ok(())
    }

    /// Opens what the request wants. What it does not want is not even opened: that can have effects of its own.
    fn open(&mut self, path: &Path, request: &KeyFileRequest) -> io::Result<Option<File>> {
        let file = match request.descriptor {
            Some(descriptor) => given(descriptor)?,
            None => {
                self.own_descriptor = own_descriptor(path);
                let metadata = std::fs::metadata(path)?;
                if self.own_descriptor.is_some() {
                    require_given(&metadata)?;
                }
                let is_wanted = self.is_wanted(&metadata, request);
                self.metadata = Some(metadata);
                if !is_wanted {
                    self.state = KeyFileState::Refused;
                    return Ok(None);
                }
                open_to_read(path, request.regular_only)?
            }
        };
        let metadata = file.metadata()?;
        let is_wanted = self.is_wanted(&metadata, request);
        self.metadata = Some(metadata);
        if !is_wanted {
            self.state = KeyFileState::Refused;
            return Ok(None);
        }
        Ok(Some(file))
    }

    fn is_wanted(&self, metadata: &Metadata, request: &KeyFileRequest) -> bool {
        let is_file = matches!(kind_of(metadata), KeyFileKind::File | KeyFileKind::Folder);
        if request.regular_only && (!is_file || self.own_descriptor.is_some()) {
            return false;
        }
        !(request.except_standard_input && is_standard_input(metadata, is_file && self.own_descriptor.is_none()))
    }

    fn hash(&mut self, mut file: &File, limit_bytes: u32) -> io::Result<()> {
        let limit = limit_bytes as usize;
        let mut hasher = KeyHasher::new();
        let mut buffer = Zeroizing::new(vec![0; BUFFER_BYTES]);
        let (mut length, mut filled) = (0, 0);
        loop {
            if filled == buffer.len() {
                hasher.take(&buffer);
                filled = 0;
            }
            let count = match file.read(&mut buffer[filled..]) {
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    wait_for_more(file)?;
                    continue;
                }
                Err(error) => return Err(error),
            };
            filled += count;
            length += count;
            self.length_bytes = length.try_into().unwrap_or(u32::MAX);
            if length > limit {
                self.state = KeyFileState::TooLong;
                return Ok(());
            }
            if count == 0 {
                break;
            }
        }
        self.state = KeyFileState::Read;
        if length == filled {
            self.contents = contents_of(&buffer[..filled]);
        }
        hasher.take(&buffer[..filled]);
        self.key = hasher.finish().ok();
        Ok(())
    }
}

/// What looks random is not told from what is; what a person could have made up is told from both.
fn contents_of(bytes: &[u8]) -> KeyContents {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return KeyContents::Binary;
    };
    if text.chars().any(|character| character.is_control() && !matches!(character, '\t' | '\n' | '\r')) {
        return KeyContents::Binary;
    }
    let text = text.trim_ascii_end();
    let characters = || text.bytes().filter(|byte| !matches!(byte, b'\r' | b'\n'));
    let has = |is: fn(&u8) -> bool| characters().any(|byte| is(&byte));
    let is_hexadecimal = characters().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    let is_base64 = characters().all(|byte| byte.is_ascii_alphanumeric() || b"+/-_=".contains(&byte))
        && has(u8::is_ascii_uppercase)
        && has(u8::is_ascii_lowercase)
        && has(u8::is_ascii_digit);
    if text.len() >= 32 && (is_hexadecimal || is_base64) { KeyContents::Encoded } else { KeyContents::Text }
}
