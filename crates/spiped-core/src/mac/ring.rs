//! One MAC at a time, by ring. Everywhere, and what faster ways are held against.

use std::array;

use ring::hmac;

use crate::{KEY_BYTES, MAC_BYTES, PACKET_ENCRYPTED_BYTES};

/// HMAC-SHA256 of packets under one key.
pub(super) struct RingMac(hmac::Key);

impl RingMac {
    pub(super) fn new(key: &[u8; KEY_BYTES]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, key))
    }

    /// The MACs of `N` packets, numbered from `first_number` on.
    pub(super) fn macs<const N: usize>(
        &self,
        encrypted: [&[u8; PACKET_ENCRYPTED_BYTES]; N],
        first_number: u64,
    ) -> [[u8; MAC_BYTES]; N] {
        array::from_fn(|lane| {
            let mut context = hmac::Context::with_key(&self.0);
            context.update(encrypted[lane]);
            context.update(&first_number.wrapping_add(lane as u64).to_be_bytes());
            let mut mac = [0; MAC_BYTES];
            mac.copy_from_slice(context.sign().as_ref());
            mac
        })
    }
}
