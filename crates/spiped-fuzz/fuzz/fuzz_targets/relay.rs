//! See `spiped_fuzz::relay`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: spiped_fuzz::relay::Input| spiped_fuzz::relay::run(&input));
