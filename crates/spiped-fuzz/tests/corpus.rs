//! Replays every file of the corpus with a stable toolchain, so that bugs found by fuzzing stay fixed. This is a single
//! test, because targets count the descriptors of the process.

use std::{fs, path::Path};

/// All targets. Only Linux runs those that need sockets.
const TARGETS: [&str; 8] = ["handshake", "keys", "mac", "open", "relay", "round_trip", "session", "sockets"];

#[test]
fn every_corpus_file_passes() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    let mut names: Vec<_> =
        fs::read_dir(&corpus).expect("is there").map(|entry| entry.expect("is read").file_name()).collect();
    names.sort();
    assert_eq!(names, TARGETS, "each target has a corpus folder, and each folder a target");
    for target in TARGETS {
        let mut files = 0;
        for file in fs::read_dir(corpus.join(target)).expect("is there") {
            let path = file.expect("is read").path();
            eprintln!("{}", path.display()); // shown where it fails
            files += 1;
            if cfg!(target_os = "linux") || !["relay", "sockets"].contains(&target) {
                spiped_fuzz::replay(target, &fs::read(&path).expect("is read"));
            }
        }
        assert!(files > 0, "{target} has no files");
    }
}
