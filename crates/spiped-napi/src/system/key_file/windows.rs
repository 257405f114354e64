//! Key files on Windows.

use std::{
    fs::{File, Metadata, OpenOptions},
    io::{self, stdin},
    os::windows::{fs::MetadataExt, io::AsHandle},
    path::{Path, PathBuf},
};

use super::KeyFileKind;

/// Paths are text on Windows.
pub(super) fn path_of_bytes(bytes: &[u8]) -> PathBuf {
    String::from_utf8_lossy(bytes).into_owned().into()
}

pub(super) fn open_to_read(path: &Path, _is_regular: bool) -> io::Result<File> {
    if std::fs::metadata(path)?.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    OpenOptions::new().read(true).open(path)
}

/// The only descriptor is standard input.
pub(super) fn given(_descriptor: i32) -> io::Result<File> {
    Ok(File::from(stdin().as_handle().try_clone_to_owned()?))
}

pub(super) fn kind_of(metadata: &Metadata) -> KeyFileKind {
    match (metadata.is_file(), metadata.is_dir()) {
        (true, _) => KeyFileKind::File,
        (_, true) => KeyFileKind::Folder,
        _ => KeyFileKind::Device,
    }
}

pub(super) fn version_of(metadata: &Metadata) -> impl PartialEq + use<> {
    (metadata.file_size(), metadata.last_write_time())
}

/// No path names standard input.
pub(super) fn is_standard_input(_metadata: &Metadata, _is_opened_anew: bool) -> bool {
    false
}

/// No path names a descriptor.
pub(super) fn require_given(_metadata: &Metadata) -> io::Result<()> {
    Ok(())
}

pub(super) fn wait_for_more(_file: &File) -> io::Result<()> {
    Err(io::ErrorKind::WouldBlock.into())
}

/// The name of the `errno` on other systems, and Windows' own message.
pub(in crate::system) fn describe(error: &io::Error) -> (String, String) {
    let name = match error.kind() {
        io::ErrorKind::NotFound => "ENOENT",
        io::ErrorKind::PermissionDenied => "EACCES",
        io::ErrorKind::IsADirectory => "EISDIR",
        io::ErrorKind::NotADirectory => "ENOTDIR",
        _ => "EIO",
    };
    (name.to_owned(), error.to_string())
}
