//! See `spiped_fuzz::sockets`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: spiped_fuzz::sockets::Input| spiped_fuzz::sockets::run(&input));
