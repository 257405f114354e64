//! See `spiped_fuzz::open`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: spiped_fuzz::open::Input| spiped_fuzz::open::run(&input));
