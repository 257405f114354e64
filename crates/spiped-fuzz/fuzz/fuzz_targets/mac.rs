//! See the same file of spiped-fuzz.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: spiped_fuzz::mac::Input| spiped_fuzz::mac::run(&input));
