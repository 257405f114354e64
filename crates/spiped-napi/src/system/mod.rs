//! What Node.js does not offer of the system.

#[cfg(unix)]
mod datagram;
#[cfg(unix)]
mod descriptors;
mod lookup;
#[cfg(unix)]
mod standard_streams;
#[cfg(unix)]
mod users;
