//! One MAC at a time, by ring. Everywhere, and what faster ways are held against.

use ring::hmac;

use crate::{KEY_BYTES, MAC_BYTES};

/// HMAC-SHA256 over a packet's encrypted part and its number.
pub(super) struct RingMac(hmac::Key);

impl RingMac {
    pub(super) fn new(key: &[u8; KEY_BYTES]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, key))
    }

    pub(super) fn mac(&self, encrypted: &[u8], packet_number: u64) -> [u8; MAC_BYTES] {
        let mut context = hmac::Context::with_key(&self.0);
        context.update(encrypted);
        context.update(&packet_number.to_be_bytes());
        let mut mac = [0; MAC_BYTES];
        mac.copy_from_slice(context.sign().as_ref());
        mac
    }
}
