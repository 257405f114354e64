//! Windows.

use std::{
    ffi::OsString,
    fs::{File, Metadata, OpenOptions},
    io::{self, stderr, stdin},
    net::{SocketAddr, SocketAddrV6},
    os::windows::{fs::MetadataExt, io::AsHandle},
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use crate::system::key_file::KeyFileKind;

/// The most bytes to write to standard error at once.
pub(crate) const PIECE_BYTES: usize = 4_096;

/// Flags for `getaddrinfo`: `AI_NUMERICHOST` and `AI_NUMERICSERV`, which libc does not name here.
pub(crate) const NUMERIC: i32 = 0x4 | 0x8;

/// There is no relay.
pub(crate) fn is_relay_thread() -> bool {
    false
}

/// Trials of panics need the relay.
pub(crate) fn panic_if_asked(_name: &str) {}

/// An error as the messages have it.
pub(crate) fn words_of(error: &io::Error) -> String {
    error.kind().to_string()
}

/// Writes to standard error.
pub(crate) fn write_piece(piece: &[u8]) -> io::Result<usize> {
    io::Write::write(&mut stderr(), piece)
}

/// The system does not tell.
pub(crate) fn has_room(_timeout: Duration) -> bool {
    true
}

/// Waits a little, since the system does not tell when standard error accepts data.
pub(crate) fn wait_for_room() {
    thread::sleep(Duration::from_millis(10));
}

/// The numeric address with its scope by index, as Node.js expects it.
pub(crate) fn scoped_host(_address: &SocketAddr, v6: &SocketAddrV6) -> String {
    format!("{}%{}", v6.ip(), v6.scope_id())
}

/// No path names a descriptor.
pub(crate) fn own_descriptor(_path: &Path) -> Option<i32> {
    None
}

/// Files have no such permissions.
pub(crate) fn mode_of(_metadata: &Metadata) -> Option<u32> {
    None
}

/// The system does not tell.
pub(crate) fn owner_of(_metadata: &Metadata) -> Option<u32> {
    None
}

/// The system does not tell.
pub(crate) fn identity_of(_metadata: &Metadata) -> Option<String> {
    None
}

/// There are no descriptors.
pub(crate) fn into_descriptor(_file: File) -> Option<i32> {
    None
}

/// The bytes of a name, in UTF-8.
pub(crate) fn bytes_of(name: OsString) -> Vec<u8> {
    name.to_string_lossy().into_owned().into_bytes()
}

/// Paths are text on Windows.
pub(crate) fn path_of_bytes(bytes: &[u8]) -> PathBuf {
    String::from_utf8_lossy(bytes).into_owned().into()
}

pub(crate) fn open_to_read(path: &Path, _is_regular: bool) -> io::Result<File> {
    if std::fs::metadata(path)?.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    OpenOptions::new().read(true).open(path)
}

/// The only descriptor is standard input.
pub(crate) fn given(_descriptor: i32) -> io::Result<File> {
    Ok(File::from(stdin().as_handle().try_clone_to_owned()?))
}

pub(crate) fn kind_of(metadata: &Metadata) -> KeyFileKind {
    match (metadata.is_file(), metadata.is_dir()) {
        (true, _) => KeyFileKind::File,
        (_, true) => KeyFileKind::Folder,
        _ => KeyFileKind::Device,
    }
}

pub(crate) fn version_of(metadata: &Metadata) -> impl PartialEq + use<> {
    (metadata.file_size(), metadata.last_write_time())
}

/// No path names standard input.
pub(crate) fn is_standard_input(_metadata: &Metadata, _is_opened_anew: bool) -> bool {
    false
}

/// No path names a descriptor.
pub(crate) fn require_given(_metadata: &Metadata) -> io::Result<()> {
    Ok(())
}

pub(crate) fn wait_for_more(_file: &File) -> io::Result<()> {
    Err(io::ErrorKind::WouldBlock.into())
}

/// The name of the `errno` on other systems, and Windows' own message.
pub(crate) fn describe(error: &io::Error) -> (String, String) {
    let name = match error.kind() {
        io::ErrorKind::NotFound => "ENOENT",
        io::ErrorKind::PermissionDenied => "EACCES",
        io::ErrorKind::IsADirectory => "EISDIR",
        io::ErrorKind::NotADirectory => "ENOTDIR",
        _ => "EIO",
    };
    (name.to_owned(), error.to_string())
}
