//! The MACs of packets, the dearest part of a packet.
//!
//! Packets come in short runs with consecutive packet numbers, because the MACs of a run do not depend
//! on each other and an implementation may compute them side by side.

mod ring;

use subtle::ConstantTimeEq;

use crate::{KEY_BYTES, PACKET_BYTES, PACKET_ENCRYPTED_BYTES};

/// How many packets a run should have; more gain nothing.
pub(crate) const LANES: usize = 2;

/// The MAC key H of one direction, with HMAC's inner and outer state computed once.
pub(crate) struct PacketMac(ring::RingMac);

impl PacketMac {
    pub(crate) fn new(key: &[u8; KEY_BYTES]) -> Self {
        Self(ring::RingMac::new(key))
    }

    /// Writes the MACs of `packets`, whose encrypted parts are numbered from `first_number` on.
    pub(crate) fn sign(&self, packets: &mut [[u8; PACKET_BYTES]], first_number: u64) {
        for (packet, number) in packets.iter_mut().zip(first_number..=u64::MAX) {
            let (encrypted, mac) = packet.split_at_mut(PACKET_ENCRYPTED_BYTES);
            mac.copy_from_slice(&self.0.mac(encrypted, number));
        }
    }

    /// How many of the first of `packets`, numbered from `first_number` on, have a right MAC. Each is
    /// compared in constant time.
    #[must_use]
    pub(crate) fn verify(&self, packets: &[[u8; PACKET_BYTES]], first_number: u64) -> usize {
        packets
            .iter()
            .zip(first_number..=u64::MAX)
            .take_while(|(packet, number)| {
                let (encrypted, mac) = packet.split_at(PACKET_ENCRYPTED_BYTES);
                bool::from(self.0.mac(encrypted, *number).ct_eq(mac))
            })
            .count()
    }
}
