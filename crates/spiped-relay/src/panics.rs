//! Panics on demand, to see what one costs. Not in an addon that anybody is given: it takes the feature `panics`.

use std::{env, fs, path::Path};

/// Panics where the folder of the variable `TRIAL_PANICS` has a file of this name, which is removed: once for each file.
pub fn panic_if_asked(name: &str) {
    let Some(folder) = env::var_os("TRIAL_PANICS") else { return };
    assert!(fs::remove_file(Path::new(&folder).join(name)).is_err(), "asked to panic: {name}");
}
