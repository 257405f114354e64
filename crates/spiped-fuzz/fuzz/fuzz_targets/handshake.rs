//! See `spiped_fuzz::handshake`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: spiped_fuzz::handshake::Input| spiped_fuzz::handshake::run(&input));
