//! The MACs of packets, the dearest part of a packet.
//!
//! Packets come in short runs with consecutive packet numbers, because the MACs of a run do not depend
//! on each other and an implementation may compute them side by side.

mod ring;
#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code)]
mod sha_ni;

use std::{
    array,
    sync::atomic::{AtomicBool, Ordering},
};

use subtle::ConstantTimeEq;

use crate::{KEY_BYTES, MAC_BYTES, PACKET_BYTES, PACKET_ENCRYPTED_BYTES};

/// A run longer than this gains nothing.
pub(crate) const LANES: usize = 2;

static PORTABLE_ONLY: AtomicBool = AtomicBool::new(false);

/// Makes all keys from now on use the portable implementation, whatever this processor can do. For tests of
/// that implementation, and for whoever suspects the other one.
pub fn use_portable_mac_only() {
    PORTABLE_ONLY.store(true, Ordering::Relaxed);
}

/// The MAC key H of one direction, with HMAC's inner and outer state computed once.
pub(crate) struct PacketMac(Implementation);

/// Chosen by what the processor can do.
enum Implementation {
    #[cfg(target_arch = "x86_64")]
    ShaNi(sha_ni::ShaNiMac),
    Ring(ring::RingMac),
}

impl PacketMac {
    pub(crate) fn new(key: &[u8; KEY_BYTES]) -> Self {
        if PORTABLE_ONLY.load(Ordering::Relaxed) {
            return Self(Implementation::Ring(ring::RingMac::new(key)));
        }
        #[cfg(target_arch = "x86_64")]
        if let Some(mac) = sha_ni::ShaNiMac::new(key) {
            return Self(Implementation::ShaNi(mac));
        }
        Self(Implementation::Ring(ring::RingMac::new(key)))
    }

    /// Writes the MACs of `packets`, whose encrypted parts are numbered from `first_number` on.
    pub(crate) fn sign(&self, packets: &mut [[u8; PACKET_BYTES]], first_number: u64) {
        let mut number = first_number;
        let (pairs, odd) = packets.as_chunks_mut::<LANES>();
        for pair in pairs {
            self.sign_run(pair, number);
            number = number.wrapping_add(LANES as u64);
        }
        if let [packet] = odd {
            self.sign_run(array::from_mut(packet), number);
        }
    }

    /// How many of the first of `packets`, numbered from `first_number` on, have a right MAC. Each is
    /// compared in constant time.
    #[must_use]
    pub(crate) fn verify(&self, packets: &[[u8; PACKET_BYTES]], first_number: u64) -> usize {
        let mut number = first_number;
        let (pairs, odd) = packets.as_chunks::<LANES>();
        for (index, pair) in pairs.iter().enumerate() {
            let right = self.verify_run(pair, number);
            if right < LANES {
                return index * LANES + right;
            }
            number = number.wrapping_add(LANES as u64);
        }
        let right_of_odd = odd.first().map_or(0, |packet| self.verify_run(array::from_ref(packet), number));
        pairs.len() * LANES + right_of_odd
    }

    fn sign_run<const N: usize>(&self, packets: &mut [[u8; PACKET_BYTES]; N], first_number: u64) {
        let macs = self.macs(packets.each_ref().map(encrypted_part), first_number);
        for (packet, mac) in packets.iter_mut().zip(&macs) {
            packet[PACKET_ENCRYPTED_BYTES..].copy_from_slice(mac);
        }
    }

    fn verify_run<const N: usize>(&self, packets: &[[u8; PACKET_BYTES]; N], first_number: u64) -> usize {
        let macs = self.macs(packets.each_ref().map(encrypted_part), first_number);
        let is_right = |(packet, mac): &(&[u8; PACKET_BYTES], &[u8; MAC_BYTES])| -> bool {
            packet[PACKET_ENCRYPTED_BYTES..].ct_eq(mac.as_slice()).into()
        };
        packets.iter().zip(&macs).take_while(is_right).count()
    }

    fn macs<const N: usize>(
        &self,
        encrypted: [&[u8; PACKET_ENCRYPTED_BYTES]; N],
        first_number: u64,
    ) -> [[u8; MAC_BYTES]; N] {
        match &self.0 {
            #[cfg(target_arch = "x86_64")]
            Implementation::ShaNi(mac) => mac.macs(encrypted, first_number),
            Implementation::Ring(mac) => mac.macs(encrypted, first_number),
        }
    }
}

fn encrypted_part(packet: &[u8; PACKET_BYTES]) -> &[u8; PACKET_ENCRYPTED_BYTES] {
    let Some((encrypted, _)) = packet.split_first_chunk() else { unreachable!("1,060 bytes begin with 1,028") };
    encrypted
}
