//! Panics on demand, for fault-injection trials. Only with the feature `panics`, which no released addon has.

use std::{env, fs, path::Path};

/// Panics if the folder that the environment variable `TRIAL_PANICS` names contains a file called `name`, and removes
/// the file: one panic per file.
///
/// # Panics
/// As described.
pub fn panic_if_asked(name: &str) {
    let Some(folder) = env::var_os("TRIAL_PANICS") else { return };
    assert!(fs::remove_file(Path::new(&folder).join(name)).is_err(), "asked to panic: {name}");
}
