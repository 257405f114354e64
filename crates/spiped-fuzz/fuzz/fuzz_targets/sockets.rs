//! See the same file of spiped-fuzz.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: spiped_fuzz::sockets::Input| spiped_fuzz::sockets::run(&input));
