//! See the same file of spiped-fuzz.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: spiped_fuzz::relay::Input| spiped_fuzz::relay::run(&input));
