//! Users and groups by name or number, and capabilities, which Node.js lacks.

use napi_derive::napi;
use nix::unistd::{Gid, Group, Uid, User};

use super::descriptors::system_error;
use crate::{errors::Result, platform};

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
    let mut names = platform::capabilities()?;
    names.sort();
    names.dedup();
    Ok(names)
}

/// Drops all capabilities of the calling thread, so that nothing it starts has any.
#[napi]
pub(super) fn drop_capabilities() -> Result<()> {
    platform::drop_capabilities()
}
