//! Everything that differs between the systems.

/// Makes a write to a closed connection fail without raising SIGPIPE. Apple has no such flag; there Node.js ignores the
/// signal.
#[cfg(target_vendor = "apple")]
pub(crate) const NO_SIGNAL: libc::c_int = 0;
#[cfg(not(target_vendor = "apple"))]
pub(crate) const NO_SIGNAL: libc::c_int = libc::MSG_NOSIGNAL;

/// Whether accepted sockets inherit the options of the listening socket. On Linux they inherit all those that are set
/// here; other systems differ.
pub(crate) const INHERITS: bool = cfg!(target_os = "linux");
