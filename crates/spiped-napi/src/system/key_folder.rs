//! Lists a folder of keys on a thread of its own, as key files are read: an unresponsive mount blocks only that thread.

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

use super::key_file::path_of;
use crate::{
    errors::{Code, Result},
    panics::on_own_thread,
    platform::{bytes_of, describe, mode_of, own_descriptor},
};

/// The result of listing a folder.
#[napi(object)]
pub(super) struct KeyFolder {
    /// The names in it as bytes, unordered; empty after an error. On Windows in UTF-8.
    pub names: Vec<Uint8Array>,
    /// Whether the folder has more than `maxNames` names, of which these are some.
    pub has_more: bool,
    /// Whether the path names a descriptor of this process, as `/dev/fd/63` does.
    pub names_descriptor: bool,
    /// Its permissions; unset if the system does not tell, as on Windows.
    pub mode: Option<u32>,
    /// The name of the `errno`, such as `ENOENT`, and what it means.
    pub failure: Option<String>,
    pub failure_text: Option<String>,
}

/// Receives the `KeyFolder` when the thread is done. It does not keep the event loop alive, since that may be never.
type Done = ThreadsafeFunction<KeyFolder, UnknownReturnValue, KeyFolder, Status, false, true>;

/// Lists up to `maxNames` names of a folder on a thread of its own and calls `done` with the result, also after an
/// error.
#[napi(ts_args_type = "path: string | Uint8Array, maxNames: number, done: (folder: KeyFolder) => void")]
pub(super) fn list_key_folder(path: Either<String, Uint8Array>, max_names: u32, done: Done) -> Result<()> {
    let path: PathBuf = path_of(path);
    let work = move || list(&path, max_names as usize);
    // No error of a system call, so it says nothing about the folder.
    let failed = |words| failed("EFAULT".to_owned(), words);
    let tell = move |folder| {
        done.call(folder, ThreadsafeFunctionCallMode::NonBlocking);
    };
    on_own_thread("key folder", work, failed, tell).map_err(|error| {
        napi::Error::new(Code::System("EAGAIN".to_owned()), format!("cannot start a thread to list keys: {error}"))
    })
}

fn list(path: &Path, max_names: usize) -> KeyFolder {
    let names = match names_in(path, max_names) {
        Ok(names) => names,
        Err(error) => {
            let (name, text) = describe(&error);
            return KeyFolder {
                names_descriptor: own_descriptor(path).is_some(),
                mode: mode_of_folder(path),
                ..failed(name, text)
            };
        }
    };
    KeyFolder {
        has_more: names.len() > max_names,
        names: names.into_iter().take(max_names).map(|name| bytes_of(name).into()).collect(),
        names_descriptor: own_descriptor(path).is_some(),
        mode: mode_of_folder(path),
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

/// Up to `max_names` + 1 names, which shows whether there are more.
fn names_in(path: &Path, max_names: usize) -> io::Result<Vec<OsString>> {
    fs::read_dir(path)?.take(max_names + 1).map(|entry| Ok(entry?.file_name())).collect()
}

fn mode_of_folder(path: &Path) -> Option<u32> {
    fs::metadata(path).ok().as_ref().and_then(mode_of)
}
