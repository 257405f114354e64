//! Users and groups by name or number, and capabilities, which Node.js lacks.

use napi_derive::napi;
use nix::unistd::{Gid, Group, Uid, User};

use super::descriptors::system_error;
#[cfg(target_os = "linux")]
use crate::errors::Code;
use crate::errors::Result;

/// A user of this system.
#[napi(object)]
pub(super) struct UserAccount {
    pub uid: u32,
    /// The user's login group.
    pub gid: u32,
}

/// The user with this name, or else with this number; null if there is none.
#[napi]
pub(super) fn look_up_user(user: String) -> Result<Option<UserAccount>> {
    let found = match User::from_name(&user) {
        Ok(None) => user.parse().map_or(Ok(None), |uid| User::from_uid(Uid::from_raw(uid))),
        other => other,
    };
    let account = found.map_err(|errno| system_error("look up user", errno.into()))?;
    Ok(account.map(|account| UserAccount { uid: account.uid.as_raw(), gid: account.gid.as_raw() }))
}

/// The id of the group with this name, or else with this number; null if there is none.
#[napi]
pub(super) fn look_up_group(group: String) -> Result<Option<u32>> {
    let found = match Group::from_name(&group) {
        Ok(None) => group.parse().map_or(Ok(None), |gid| Group::from_gid(Gid::from_raw(gid))),
        other => other,
    };
    let found = found.map_err(|errno| system_error("look up group", errno.into()))?;
    Ok(found.map(|group| group.gid.as_raw()))
}

/// The names of the capabilities that the calling thread has or may acquire. Always empty except on Linux.
#[napi]
pub(super) fn capabilities() -> Result<Vec<String>> {
    let mut names: Vec<String> = Vec::new();
    #[cfg(target_os = "linux")]
    for set in SETS {
        names.extend(read(set)?.iter().map(ToString::to_string));
    }
    names.sort();
    names.dedup();
    Ok(names)
}

/// Drops all capabilities of the calling thread, so that nothing it starts has any.
#[napi]
pub(super) fn drop_capabilities() -> Result<()> {
    #[cfg(target_os = "linux")]
    for set in SETS {
        // A thread without capabilities may not be allowed to clear them.
        if !read(set)?.is_empty() {
            caps::clear(None, set).map_err(|error| capability_error(&error))?;
        }
    }
    Ok(())
}

/// In the order in which they can be cleared.
#[cfg(target_os = "linux")]
const SETS: [caps::CapSet; 4] =
    [caps::CapSet::Ambient, caps::CapSet::Effective, caps::CapSet::Permitted, caps::CapSet::Inheritable];

#[cfg(target_os = "linux")]
fn read(set: caps::CapSet) -> Result<caps::CapsHashSet> {
    match caps::read(None, set) {
        // Systems that emulate Linux may lack this set.
        Err(_) if matches!(set, caps::CapSet::Ambient) => Ok(caps::CapsHashSet::new()),
        read => read.map_err(|error| capability_error(&error)),
    }
}

#[cfg(target_os = "linux")]
fn capability_error(error: &caps::errors::CapsError) -> napi::Error<Code> {
    napi::Error::new(Code::System("EPERM".to_owned()), error.to_string())
}
