//! JavaScript's buffers as slices, with their sizes checked and no overlap between input and output.

use napi::bindgen_prelude::{Env, Uint8ArraySlice};

use crate::errors::{Code, Result, node_error};

/// `bytes` as an array of exactly `N` bytes; throws `SPIPED_BUFFER` otherwise. `what` names them in the error.
pub(crate) fn exactly<'a, const N: usize>(what: &str, bytes: &'a [u8]) -> Result<&'a [u8; N]> {
    bytes
        .try_into()
        .map_err(|_| napi::Error::new(Code::Buffer, format!("{what} must be {N} bytes long, not {}", bytes.len())))
}

/// The bytes of `input` and `out`; throws `SPIPED_BUFFER` if they overlap.
pub(crate) fn separate<'a>(
    input: &'a Uint8ArraySlice,
    out: &'a mut Uint8ArraySlice,
) -> Result<(&'a [u8], &'a mut [u8])> {
    let (input_range, out_range) = (input.as_ref().as_ptr_range(), out.as_ref().as_ptr_range());
    if input_range.start < out_range.end && out_range.start < input_range.end {
        return Err(napi::Error::new(Code::Buffer, "the input and the output overlap"));
    }
    // SAFETY: napi-rs has the address and the length from Node.js, not null even for an empty or detached
    // array. Neither array can be detached, resized or collected during this call: it is synchronous, runs on
    // the thread that owns them, and calls no JavaScript. Nothing else refers to the bytes of `out`: `input` is
    // elsewhere, arguments are converted afresh for each call, and no caller hands in a SharedArrayBuffer, which
    // alone could be written by another thread meanwhile.
    #[allow(unsafe_code)]
    let out = unsafe { out.as_mut() };
    Ok((input.as_ref(), out))
}

/// A new `Uint8Array` with a copy of `bytes`.
pub(crate) fn copied<'env>(env: &'env Env, bytes: &[u8]) -> Result<Uint8ArraySlice<'env>> {
    Uint8ArraySlice::copy_from(env, bytes).map_err(node_error)
}
