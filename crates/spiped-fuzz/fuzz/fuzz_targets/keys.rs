//! See the same file of spiped-fuzz.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: spiped_fuzz::keys::Input| spiped_fuzz::keys::run(&input));
