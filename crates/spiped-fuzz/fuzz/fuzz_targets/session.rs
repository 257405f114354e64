//! See `spiped_fuzz::session`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: spiped_fuzz::session::Input| spiped_fuzz::session::run(&input));
