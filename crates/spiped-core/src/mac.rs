//! The MACs of packets, the most expensive part of a packet.
//!
//! Packets are processed in short runs with consecutive packet numbers. Their MACs are independent of each other, so an
//! implementation can compute them in parallel.

#[cfg(target_arch = "aarch64")]
#[allow(unsafe_code)]
mod arm_sha2;
mod hmac;
mod portable;
#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code)]
mod sha_ni;

use std::{
    array,
    sync::atomic::{AtomicBool, Ordering},
};

use subtle::ConstantTimeEq;

#[cfg(target_arch = "aarch64")]
use self::arm_sha2::State as FastState;
use self::hmac::PacketHmac;
#[cfg(target_arch = "x86_64")]
use self::sha_ni::State as FastState;

use crate::{KEY_BYTES, MAC_BYTES, PACKET_BYTES, PACKET_ENCRYPTED_BYTES};

/// Packets per run. Longer runs are no faster.
pub(crate) const LANES: usize = 2;

static PORTABLE_ONLY: AtomicBool = AtomicBool::new(false);

/// Makes every [`Sealer`](crate::Sealer) and [`Opener`](crate::Opener) created from now on compute MACs with the
/// portable implementation. For tests, and for ruling out the processor-specific one.
pub fn use_portable_mac_only() {
    PORTABLE_ONLY.store(true, Ordering::Relaxed);
}

/// HMAC-SHA256 under the MAC key H of one direction, with HMAC's inner and outer state precomputed. They are on the
/// heap and wiped on drop.
pub(crate) struct PacketMac(Implementation);

/// Chosen by the processor's features.
enum Implementation {
    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
    Interleaved(Box<PacketHmac<FastState>>),
    Portable(Box<PacketHmac<portable::State>>),
}

impl PacketMac {
    pub(crate) fn new(key: &[u8; KEY_BYTES]) -> Self {
        if PORTABLE_ONLY.load(Ordering::Relaxed) {
            return Self::portable(key);
        }
        Self::fastest(key)
    }

    fn fastest(key: &[u8; KEY_BYTES]) -> Self {
        #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
        if let Some(initial) = FastState::initial() {
            return Self(Implementation::Interleaved(Box::new(PacketHmac::new(initial, key))));
        }
        Self::portable(key)
    }

    fn portable(key: &[u8; KEY_BYTES]) -> Self {
        Self(Implementation::Portable(Box::new(PacketHmac::new(portable::State::initial(), key))))
    }

    /// Writes the MACs of `packets`, which are encrypted and numbered from `first_number`.
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

    /// The number of packets before the first with a wrong MAC. `packets` are numbered from `first_number`. Each MAC is
    /// compared in constant time.
    #[must_use]
    pub(crate) fn verify(&self, packets: &[[u8; PACKET_BYTES]], first_number: u64) -> usize {
        let mut number = first_number;
        let (pairs, odd) = packets.as_chunks::<LANES>();
        for (index, pair) in pairs.iter().enumerate() {
            let valid = self.verify_run(pair, number);
            if valid < LANES {
                return index * LANES + valid;
            }
            number = number.wrapping_add(LANES as u64);
        }
        let valid_odd = odd.first().map_or(0, |packet| self.verify_run(array::from_ref(packet), number));
        pairs.len() * LANES + valid_odd
    }

    fn sign_run<const N: usize>(&self, packets: &mut [[u8; PACKET_BYTES]; N], first_number: u64) {
        let macs = self.macs(packets.each_ref().map(encrypted_part), first_number);
        for (packet, mac) in packets.iter_mut().zip(&macs) {
            packet[PACKET_ENCRYPTED_BYTES..].copy_from_slice(mac);
        }
    }

    fn verify_run<const N: usize>(&self, packets: &[[u8; PACKET_BYTES]; N], first_number: u64) -> usize {
        let macs = self.macs(packets.each_ref().map(encrypted_part), first_number);
        packets.iter().zip(&macs).take_while(|(packet, mac)| is_equal(mac_of(packet), mac)).count()
    }

    fn macs<const N: usize>(
        &self,
        encrypted: [&[u8; PACKET_ENCRYPTED_BYTES]; N],
        first_number: u64,
    ) -> [[u8; MAC_BYTES]; N] {
        match &self.0 {
            #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
            Implementation::Interleaved(mac) => mac.macs(encrypted, first_number),
            Implementation::Portable(mac) => mac.macs(encrypted, first_number),
        }
    }
}

fn encrypted_part(packet: &[u8; PACKET_BYTES]) -> &[u8; PACKET_ENCRYPTED_BYTES] {
    let Some((encrypted, _)) = packet.split_first_chunk() else { unreachable!("1,060 bytes begin with 1,028") };
    encrypted
}

fn mac_of(packet: &[u8; PACKET_BYTES]) -> &[u8; MAC_BYTES] {
    let Some((_, mac)) = packet.split_last_chunk() else { unreachable!("1,060 bytes end with 32") };
    mac
}

/// Compares in constant time, eight bytes at a time.
fn is_equal(mac: &[u8; MAC_BYTES], other: &[u8; MAC_BYTES]) -> bool {
    words(mac).ct_eq(&words(other)).into()
}

fn words(mac: &[u8; MAC_BYTES]) -> [u64; MAC_BYTES / 8] {
    let (words, _) = mac.as_chunks();
    array::from_fn(|index| u64::from_ne_bytes(words[index]))
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};
    use ring::hmac;

    use super::*;

    /// Both implementations; the same one twice if the processor has no SHA-256 instructions.
    fn both(key: &[u8; KEY_BYTES]) -> [PacketMac; 2] {
        [PacketMac::fastest(key), PacketMac::portable(key)]
    }

    /// Writes the MACs as ring computes them.
    fn sign_with_ring(key: &[u8; KEY_BYTES], packets: &mut [[u8; PACKET_BYTES]], first_number: u64) {
        let key = hmac::Key::new(hmac::HMAC_SHA256, key);
        for (index, packet) in (0..).zip(packets) {
            let mut context = hmac::Context::with_key(&key);
            context.update(encrypted_part(packet));
            context.update(&first_number.wrapping_add(index).to_be_bytes());
            packet[PACKET_ENCRYPTED_BYTES..].copy_from_slice(context.sign().as_ref());
        }
    }

    /// `count` packets without MACs after `offset` bytes, for any alignment.
    fn unsigned(count: usize, offset: usize, bytes: &[u8]) -> Vec<u8> {
        bytes.iter().copied().cycle().take(offset + count * PACKET_BYTES).collect()
    }

    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
    #[test]
    fn sha_256_instructions_are_used_if_the_processor_has_them() {
        #[cfg(target_arch = "x86_64")]
        let has_instructions = std::is_x86_feature_detected!("sha");
        #[cfg(target_arch = "aarch64")]
        let has_instructions = std::arch::is_aarch64_feature_detected!("sha2");
        let uses_them = matches!(PacketMac::fastest(&[0; KEY_BYTES]).0, Implementation::Interleaved(_));
        assert_eq!(uses_them, has_instructions);
    }

    #[test]
    fn every_bit_of_a_mac_counts() {
        let mut packets = [[7; PACKET_BYTES]];
        for mac in both(&[1; KEY_BYTES]) {
            mac.sign(&mut packets, 0);
            for bit in 0..8 * MAC_BYTES {
                let mut flipped = packets;
                flipped[0][PACKET_ENCRYPTED_BYTES + bit / 8] ^= 1 << (bit % 8);
                assert_eq!(mac.verify(&flipped, 0), 0, "bit {bit}");
            }
        }
    }

    proptest! {
        #[test]
        fn both_implementations_compute_the_same_macs_as_ring(
            key: [u8; KEY_BYTES],
            count in 0_usize..9,
            offset in 0_usize..64,
            number in prop_oneof![Just(0), Just(u64::MAX - 8), any::<u64>().prop_map(|number| number / 2)],
            bytes in vec(any::<u8>(), 1..5000),
        ) {
            let unsigned = unsigned(count, offset, &bytes);
            let mut expected = unsigned.clone();
            sign_with_ring(&key, expected[offset..].as_chunks_mut().0, number);
            for mac in both(&key) {
                let mut signed = unsigned.clone();
                mac.sign(signed[offset..].as_chunks_mut().0, number);
                prop_assert_eq!(&signed, &expected);
                prop_assert_eq!(mac.verify(signed[offset..].as_chunks().0, number), count);
            }
        }

        #[test]
        fn both_implementations_stop_at_the_first_packet_with_a_flipped_bit(
            key: [u8; KEY_BYTES],
            count in 1_usize..9,
            bytes in vec(any::<u8>(), 1..5000),
            at: prop::sample::Index,
            bit in 0..8,
        ) {
            let mut packets = unsigned(count, 0, &bytes);
            sign_with_ring(&key, packets.as_chunks_mut().0, 7);
            let at = at.index(packets.len());
            packets[at] ^= 1_u8 << bit;
            let valid = at / PACKET_BYTES;
            for mac in both(&key) {
                prop_assert_eq!(mac.verify(packets.as_chunks().0, 7), valid);
            }
        }
    }
}
