//! Packet throughput on one core: `cargo bench --bench packets`.

mod support;

use std::hint::black_box;

use spiped_core::{DirectionKeys, Opener, Sealer, max_opened_length, sealed_length};
use support::best_ns;

fn main() {
    println!("fastest MAC implementation:");
    measure();
    spiped_core::use_portable_mac_only();
    println!("portable MAC implementation:");
    measure();
}

fn measure() {
    let keys = DirectionKeys::from_bytes(&[1; 32], &[2; 32]);
    for bytes in [64, 1024, 16 * 1024, 64 * 1024] {
        let calls = u32::try_from(64 * 1024 * 1024 / bytes.max(1024)).expect("fits") / 16;
        let cleartext = vec![3; bytes];
        let mut sealed = vec![0; sealed_length(bytes)];
        let mut opened = vec![0; max_opened_length(sealed.len())];
        let packets = (sealed.len() / 1060) as f64;

        let mut sealer = Sealer::new(&keys);
        let seal_ns = best_ns(calls, || sealer.seal(black_box(&cleartext), &mut sealed));
        sealer = Sealer::new(&keys);
        sealer.seal(&cleartext, &mut sealed).expect("seals");
        // An opener accepts the same packets only once, so each call makes a new opener; `new_ns` is subtracted below.
        let open_ns = best_ns(calls, || Opener::new(&keys).open(black_box(&sealed), &mut opened));
        let new_ns = best_ns(calls, || Opener::new(black_box(&keys)));

        println!(
            "{bytes:6} bytes per call: seal {:6.1} ns, open {:6.1} ns per packet; {:5.0} and {:5.0} MB/s",
            seal_ns / packets,
            (open_ns - new_ns) / packets,
            bytes as f64 / seal_ns * 1000.0,
            bytes as f64 / (open_ns - new_ns) * 1000.0,
        );
    }
}
