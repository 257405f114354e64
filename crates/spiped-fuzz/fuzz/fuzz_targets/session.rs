//! See the same file of spiped-fuzz.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: spiped_fuzz::session::Input| spiped_fuzz::session::run(&input));
