//! Paths that lead to the descriptors of this very process: another process, or a later time, finds another file there.

use std::path::Path;

#[cfg(unix)]
const STANDARD_STREAMS: [&str; 3] = ["/dev/stdin", "/dev/stdout", "/dev/stderr"];

/// How many links there may be, as the system has it.
#[cfg(unix)]
const MAX_LINKS: usize = 40;

/// The number of the descriptor of this process that `path` is, or is a link to: `/dev/stdin`, `/dev/fd/63`,
/// `/proc/self/fd/3`.
#[cfg(unix)]
pub(super) fn own_descriptor(path: &Path) -> Option<i32> {
    let mut path = path.to_owned();
    for _ in 0..MAX_LINKS {
        let name = path.file_name()?;
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let folder = folder.canonicalize().ok()?;
        if holds_own_descriptors(&folder) {
            return name.to_str()?.parse().ok();
        }
        let own = folder.join(name);
        match own.read_link() {
            Ok(target) => path = folder.join(target),
            // Where they are no links, they are devices.
            Err(_) => return STANDARD_STREAMS.iter().zip(0..).find(|(name, _)| own == Path::new(name)).map(|(_, n)| n),
        }
    }
    None
}

/// `/dev/fd`, and what it is a link to on Linux: `/proc/PROCESS/fd`, for a thread `/proc/PROCESS/task/THREAD/fd`.
#[cfg(unix)]
fn holds_own_descriptors(folder: &Path) -> bool {
    let own = Path::new("/proc").join(std::process::id().to_string());
    let is_own = |path: &Path| path == own || path.parent().is_some_and(|task| task == own.join("task"));
    folder == Path::new("/dev/fd") || (folder.ends_with("fd") && folder.parent().is_some_and(is_own))
}

/// Windows has no such paths.
#[cfg(not(unix))]
pub(super) fn own_descriptor(_path: &Path) -> Option<i32> {
    None
}
