//! System calls that Node.js lacks.

#[cfg(unix)]
pub(crate) mod descriptors;
#[cfg(unix)]
pub(crate) mod file_at;
pub(crate) mod key_file;
mod key_folder;
#[cfg(unix)]
mod locked_file;
mod log_writer;
pub(crate) mod lookup;
#[cfg(unix)]
mod open_key_file;
#[cfg(unix)]
mod process;
#[cfg(unix)]
mod service_manager;
#[cfg(unix)]
mod socket_file;
#[cfg(unix)]
pub(crate) mod sockets;
#[cfg(unix)]
mod standard_streams;
#[cfg(unix)]
mod syslog;
#[cfg(unix)]
mod threads;
#[cfg(unix)]
mod users;
