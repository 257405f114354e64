//! See `spiped_fuzz::keys`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: spiped_fuzz::keys::Input| spiped_fuzz::keys::run(&input));
