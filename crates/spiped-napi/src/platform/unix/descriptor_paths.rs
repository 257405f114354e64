//! Paths that name descriptors of this process. Other processes, or this one later, find a different file there.

use std::path::Path;

const STANDARD_STREAMS: [&str; 3] = ["/dev/stdin", "/dev/stdout", "/dev/stderr"];

/// The most symbolic links to follow; Linux has the same limit.
const MAX_LINKS: usize = 40;

/// The descriptor of this process that `path` names, directly or through links: `/dev/stdin`, `/dev/fd/63`,
/// `/proc/self/fd/3`.
pub(crate) fn own_descriptor(path: &Path) -> Option<i32> {
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
            // On systems where these are no links, they are devices.
            Err(_) => return STANDARD_STREAMS.iter().zip(0..).find(|(name, _)| own == Path::new(name)).map(|(_, n)| n),
        }
    }
    None
}

/// Whether this is `/dev/fd` or, on Linux, its target: `/proc/PROCESS/fd`, or `/proc/PROCESS/task/THREAD/fd` for a
/// thread.
fn holds_own_descriptors(folder: &Path) -> bool {
    let own = Path::new("/proc").join(std::process::id().to_string());
    let is_own = |path: &Path| path == own || path.parent().is_some_and(|task| task == own.join("task"));
    folder == Path::new("/dev/fd") || (folder.ends_with("fd") && folder.parent().is_some_and(is_own))
}
