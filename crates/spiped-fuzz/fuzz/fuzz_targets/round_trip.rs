//! See `spiped_fuzz::round_trip`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: spiped_fuzz::round_trip::Input| spiped_fuzz::round_trip::run(&input));
