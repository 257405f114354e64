//! See `spiped_fuzz::mac`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: spiped_fuzz::mac::Input| spiped_fuzz::mac::run(&input));
