//! What Node.js does not offer of the system.

#[cfg(unix)]
mod descriptors;
#[cfg(unix)]
mod locked_file;
mod lookup;
#[cfg(unix)]
mod place;
#[cfg(unix)]
mod socket_file;
#[cfg(unix)]
mod standard_streams;
#[cfg(unix)]
mod syslog;
#[cfg(unix)]
mod threads;
#[cfg(unix)]
mod users;
