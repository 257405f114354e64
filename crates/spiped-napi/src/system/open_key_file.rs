//! Opens key files and folders to pass them on, where that is possible.

use napi::{Either, bindgen_prelude::Uint8Array};
use napi_derive::napi;

use super::key_file::{Done, KeyFileRequest, on_own_thread, path_of};
use crate::{errors::Result, platform::keep_from_children};

/// Opens a key file, as `readKeyFile` does, or a folder, without reading it. If the path names a descriptor of this
/// process, that descriptor becomes close-on-exec.
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
