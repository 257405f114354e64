//! Shared by the tests: the known answers of `test/vectors`, and independent key derivations that follow
//! docs/protocol.md and use only ring.

#![allow(dead_code)] // no test file uses all of it

pub(crate) mod vectors;

use std::num::NonZeroU32;

use ring::{digest, hmac, pbkdf2};
use spiped_core::{
    DirectionKeys, Error, KeyHasher, Opener, PACKET_BYTES, Sealer, SharedKey, max_opened_length, sealed_length,
};

/// y of a side that has turned forward secrecy off.
pub(crate) const ONE: [u8; 256] = {
    let mut one = [0; 256];
    one[255] = 1;
    one
};

/// The group's modulus.
pub(crate) fn p() -> [u8; 256] {
    vectors::dh().into_iter().find(|vector| vector.name == "y_equals_p").expect("is there").peer_y.array()
}

/// p − 1.
pub(crate) fn p_minus_1() -> [u8; 256] {
    let mut y = p();
    y[255] -= 1;
    y
}

/// The shared key of a key file.
pub(crate) fn shared_key(key_file: &[u8]) -> SharedKey {
    let mut hasher = KeyHasher::new();
    hasher.update(key_file);
    hasher.finish()
}

/// 32 bytes with the same value: a recognizable nonce or key.
pub(crate) fn bytes_of(byte: u8) -> [u8; 32] {
    [byte; 32]
}

/// Fixed packet keys, E and H different.
pub(crate) fn some_keys() -> DirectionKeys {
    DirectionKeys::from_bytes(&bytes_of(1), &bytes_of(2))
}

/// Data in which no two packets are the same.
pub(crate) fn data(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|index| (index * 31 + index / 251) as u8).collect()
}

/// Seals into a buffer of exactly the required size.
pub(crate) fn seal(sealer: &mut Sealer, cleartext: &[u8]) -> Result<Vec<u8>, Error> {
    let mut out = vec![0; sealed_length(cleartext.len())];
    let written = sealer.seal(cleartext, &mut out)?;
    assert_eq!(written, out.len());
    Ok(out)
}

/// Opens pieces one after the other, each into a buffer of the minimum size.
pub(crate) fn open<'a>(opener: &mut Opener, pieces: impl IntoIterator<Item = &'a [u8]>) -> Result<Vec<u8>, Error> {
    let mut cleartext = Vec::new();
    for piece in pieces {
        let whole_packets = (opener.pending_bytes() + piece.len()) / PACKET_BYTES;
        let mut out = vec![0; whole_packets * 1024];
        assert!(out.len() <= max_opened_length(piece.len()));
        let written = opener.open(piece, &mut out)?;
        cleartext.extend_from_slice(&out[..written]);
    }
    Ok(cleartext)
}

/// The derivation behind `dk_1` and `dk_2`, `N` bytes.
pub(crate) fn pbkdf2_once<const N: usize>(key_file: &[u8], salt: &[&[u8]]) -> [u8; N] {
    let key = digest::digest(&digest::SHA256, key_file);
    let mut out = [0; N];
    pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, NonZeroU32::MIN, &salt.concat(), key.as_ref(), &mut out);
    out
}

/// (`dhmac_C`, `dhmac_S`)
pub(crate) fn dh_mac_keys(key_file: &[u8], nonce_c: &[u8; 32], nonce_s: &[u8; 32]) -> ([u8; 32], [u8; 32]) {
    let dk_1 = pbkdf2_once::<64>(key_file, &[nonce_c, nonce_s]);
    (dk_1[..32].try_into().expect("32"), dk_1[32..].try_into().expect("32"))
}

/// (client → server, server → client)
pub(crate) fn packet_keys(
    key_file: &[u8],
    nonce_c: &[u8; 32],
    nonce_s: &[u8; 32],
    y_sc: &[u8; 256],
) -> (DirectionKeys, DirectionKeys) {
    let dk_2 = pbkdf2_once::<128>(key_file, &[nonce_c, nonce_s, y_sc]);
    let quarter = |index: usize| -> [u8; 32] { dk_2[index * 32..][..32].try_into().expect("32") };
    (DirectionKeys::from_bytes(&quarter(0), &quarter(1)), DirectionKeys::from_bytes(&quarter(2), &quarter(3)))
}

/// `y ‖ h` as the peer sends it.
pub(crate) fn maced(mac_key: &[u8; 32], y: &[u8; 256]) -> [u8; 288] {
    let key = hmac::Key::new(hmac::HMAC_SHA256, mac_key);
    let mut maced = [0; 288];
    maced[..256].copy_from_slice(y);
    maced[256..].copy_from_slice(hmac::sign(&key, y).as_ref());
    maced
}

/// Asserts that two sets of keys seal to the same packets.
pub(crate) fn assert_same_keys(ours: &DirectionKeys, expected: &DirectionKeys) {
    let cleartext = data(2000);
    assert_eq!(seal(&mut Sealer::new(ours), &cleartext), seal(&mut Sealer::new(expected), &cleartext));
}
