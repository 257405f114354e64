//! Exponentiation with aws-lc, through its C interface: constant-time, like crypto-bigint's, and twice as fast on
//! processors for which aws-lc has assembly.
//!
//! aws-lc wipes all memory that it frees, numbers included.

use std::{ffi::c_int, ptr::null_mut, sync::OnceLock};

use aws_lc_sys::{
    BIGNUM, BN_CTX, BN_CTX_free, BN_CTX_new, BN_MONT_CTX, BN_MONT_CTX_new_consttime, BN_bin2bn, BN_bn2bin_padded,
    BN_clear_free, BN_mod_exp_mont_consttime, BN_new,
};
use crypto_bigint::U320;
use zeroize::Zeroize;

use super::P;
use crate::{PUBLIC_BYTES, secret::SecretBytes};

/// y^x modulo p, for y below p. `None` if aws-lc cannot allocate memory.
pub(super) fn power(y: &[u8; PUBLIC_BYTES], x: &U320) -> Option<SecretBytes<PUBLIC_BYTES>> {
    let group = Group::get()?;
    let context = Context::new()?;
    let y = Number::from_bytes(y)?;
    let mut x_bytes = x.to_be_bytes();
    let x = Number::from_bytes(x_bytes.as_ref());
    x_bytes.zeroize();
    let (x, result) = (x?, Number::zero()?);
    // SAFETY: all numbers and the context are alive, and nothing else uses the ones written to. The group is only
    // read, which aws-lc allows from any number of threads.
    let status = unsafe { BN_mod_exp_mont_consttime(result.0, y.0, x.0, group.p.0, context.0, group.montgomery) };
    if status != SUCCESS {
        return None;
    }
    let mut bytes = SecretBytes::zeroed();
    result.write(bytes.expose_mut())?;
    Some(bytes)
}

const SUCCESS: c_int = 1;

/// p and its parameters for Montgomery multiplication. Lives as long as the process.
struct Group {
    p: Number,
    montgomery: *const BN_MONT_CTX,
}

// SAFETY: it is never modified after `new`, and aws-lc's functions only read it.
unsafe impl Send for Group {}
// SAFETY: as above.
unsafe impl Sync for Group {}

impl Group {
    fn get() -> Option<&'static Self> {
        static GROUP: OnceLock<Option<Group>> = OnceLock::new();
        GROUP.get_or_init(Self::new).as_ref()
    }

    fn new() -> Option<Self> {
        let p = Number::from_bytes(P.to_be_bytes().as_ref())?;
        let context = Context::new()?;
        // SAFETY: both are alive; the result is checked.
        let montgomery = unsafe { BN_MONT_CTX_new_consttime(p.0, context.0) };
        (!montgomery.is_null()).then_some(Self { p, montgomery })
    }
}

/// An owned number; never null.
struct Number(*mut BIGNUM);

impl Number {
    fn zero() -> Option<Self> {
        // SAFETY: takes no arguments; the result is checked.
        let number = unsafe { BN_new() };
        (!number.is_null()).then_some(Self(number))
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        // SAFETY: reads exactly `bytes.len()` bytes and allocates a new number; the result is checked.
        let number = unsafe { BN_bin2bn(bytes.as_ptr(), bytes.len(), null_mut()) };
        (!number.is_null()).then_some(Self(number))
    }

    /// Writes the number, big-endian and zero-padded. `None` if it does not fit.
    fn write(&self, bytes: &mut [u8]) -> Option<()> {
        // SAFETY: writes exactly `bytes.len()` bytes.
        let status = unsafe { BN_bn2bin_padded(bytes.as_mut_ptr(), bytes.len(), self.0) };
        (status == SUCCESS).then_some(())
    }
}

impl Drop for Number {
    fn drop(&mut self) {
        // SAFETY: owned, and freed once.
        unsafe { BN_clear_free(self.0) }
    }
}

/// Scratch memory for one exponentiation; never null.
struct Context(*mut BN_CTX);

impl Context {
    fn new() -> Option<Self> {
        // SAFETY: takes no arguments; the result is checked.
        let context = unsafe { BN_CTX_new() };
        (!context.is_null()).then_some(Self(context))
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        // SAFETY: owned, and freed once.
        unsafe { BN_CTX_free(self.0) }
    }
}
