//! Opens, reads, hashes and classifies one key file.

use std::{
    fs::{File, Metadata},
    io::{self, ErrorKind, Read},
    path::Path,
};

use zeroize::Zeroizing;

use super::{KeyContents, KeyFile, KeyFileKind, KeyFileRequest, KeyFileState};
use crate::{
    keys::KeyHasher,
    platform::{
        given, is_standard_input, kind_of, open_to_read, own_descriptor, require_given, version_of, wait_for_more,
    },
};

/// The size of the read buffer. Contents that fit are classified, see [`KeyContents`].
const BUFFER_BYTES: usize = 64 * 1024;

impl KeyFile {
    pub(super) fn failed(mut self, failure: (String, String)) -> Self {
        self.state = KeyFileState::Failed;
        self.key = None;
        self.failure = Some(failure);
        self
    }

    pub(super) fn new() -> Self {
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

    pub(super) fn read(&mut self, path: &Path, request: &KeyFileRequest) -> io::Result<()> {
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

    /// Opens the file, unless the request excludes it; opening can have side effects, so that is checked first.
    pub(in crate::system) fn open(&mut self, path: &Path, request: &KeyFileRequest) -> io::Result<Option<File>> {
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

/// Separates text that a person could have typed from encoded and binary contents, which may or may not be random.
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
