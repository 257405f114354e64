//! The names in a folder of keys, listed on a thread of its own, for the reason that key files have: a mount that does
//! not answer holds nothing up but that thread.

use std::{
    ffi::OsString,
    fs, io,
    path::{Path, PathBuf},
};

use napi::{
    Either, Status,
    bindgen_prelude::Uint8Array,
    threadsafe_function::{ThreadsafeFunction, ThreadsafeFunctionCallMode, UnknownReturnValue},
};
use napi_derive::napi;

use super::{
    descriptor_paths::own_descriptor,
    key_file::{describe, path_of},
};
use crate::{
    errors::{Code, Result},
    panics::on_own_thread,
};

/// What has come of listing a folder.
#[napi(object)]
pub(super) struct KeyFolder {
    /// The names in it, in no order; none where it failed. On Windows in UTF-8.
    pub names: Vec<Uint8Array>,
    /// Whether there are more names than were asked for, of which these are some.
    pub has_more: bool,
    /// Whether the path leads to a descriptor of this process, as `/dev/fd/63` does.
    pub names_descriptor: bool,
    /// Its permissions; none where they cannot be told, as on Windows.
    pub mode: Option<u32>,
    /// The name of the `errno`, such as `ENOENT`, and what it means.
    pub failure: Option<String>,
    pub failure_text: Option<String>,
}

/// Takes a `KeyFolder` when the thread is through. It does not keep the event loop alive, since that may be never.
type Done = ThreadsafeFunction<KeyFolder, UnknownReturnValue, KeyFolder, Status, false, true>;

/// Lists a folder, up to `mostNames` of them, and calls back with what has come of it, an error too.
#[napi(ts_args_type = "path: string | Uint8Array, mostNames: number, done: (folder: KeyFolder) => void")]
pub(super) fn list_key_folder(path: Either<String, Uint8Array>, most_names: u32, done: Done) -> Result<()> {
    let path: PathBuf = path_of(path);
    let work = move || list(&path, most_names as usize);
    // An error of no system call, so none that means anything of the folder.
    let failed = |words| failed("EFAULT".to_owned(), words);
    let tell = move |folder| {
        done.call(folder, ThreadsafeFunctionCallMode::NonBlocking);
    };
    on_own_thread("key folder", work, failed, tell)
        .map_err(|error| napi::Error::new(Code::System("EAGAIN".to_owned()), format!("no thread for keys: {error}")))
}

fn list(path: &Path, most_names: usize) -> KeyFolder {
    let names = match names_in(path, most_names) {
        Ok(names) => names,
        Err(error) => {
            let (name, text) = describe(&error);
            return KeyFolder {
                names_descriptor: own_descriptor(path).is_some(),
                mode: mode_of(path),
                ..failed(name, text)
            };
        }
    };
    KeyFolder {
        has_more: names.len() > most_names,
        names: names.into_iter().take(most_names).map(|name| bytes_of(name).into()).collect(),
        names_descriptor: own_descriptor(path).is_some(),
        mode: mode_of(path),
        failure: None,
        failure_text: None,
    }
}

fn failed(name: String, text: String) -> KeyFolder {
    KeyFolder {
        names: Vec::new(),
        has_more: false,
        names_descriptor: false,
        mode: None,
        failure: Some(name),
        failure_text: Some(text),
    }
}

/// One more than the most, where there are more.
fn names_in(path: &Path, most_names: usize) -> io::Result<Vec<OsString>> {
    fs::read_dir(path)?.take(most_names + 1).map(|entry| Ok(entry?.file_name())).collect()
}

#[cfg(unix)]
fn mode_of(path: &Path) -> Option<u32> {
    let metadata = fs::metadata(path).ok()?;
    Some(std::os::unix::fs::MetadataExt::mode(&metadata) & 0o7777)
}

#[cfg(not(unix))]
fn mode_of(_path: &Path) -> Option<u32> {
    None
}

#[cfg(unix)]
fn bytes_of(name: OsString) -> Vec<u8> {
    std::os::unix::ffi::OsStringExt::into_vec(name)
}

#[cfg(not(unix))]
fn bytes_of(name: OsString) -> Vec<u8> {
    name.to_string_lossy().into_owned().into_bytes()
}
