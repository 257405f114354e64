//! Wipes what an operation on secrets leaves behind in places that have no owner: the stack below it, and the vector
//! registers, which the system copies to the stack when a signal arrives.
//!
//! Secrets at rest are on the heap and are wiped by their owners; see [`crate::secret`]. This is for the rest: copies
//! that a compiler makes, and what libraries leave in their frames.

use zeroize::zeroize_stack;

/// Stack that any operation of this crate uses, the exponentiations with their tables among them: 20 KiB where it was
/// measured, and up to four times as much without optimization. `tests/stack.rs` holds the operations to it.
const ANY_OPERATION_BYTES: usize = UNOPTIMIZED * 64 * 1024;

/// Stack that packets use, 8 KiB where it was measured. Less, since this is done for each read.
const PACKETS_BYTES: usize = UNOPTIMIZED * 16 * 1024;

const UNOPTIMIZED: usize = if cfg!(debug_assertions) { 2 } else { 1 };

/// Runs an operation on secrets, and wipes what it leaves on the stack and in registers. What it returns is not wiped,
/// and must hold no secret outside of the heap.
pub(crate) fn wiping_stack<R>(operation: impl FnOnce() -> R) -> R {
    let _wiping = WipingStack::<ANY_OPERATION_BYTES>;
    run(operation)
}

/// The same for packets.
pub(crate) fn wiping_packet_stack<R>(operation: impl FnOnce() -> R) -> R {
    let _wiping = WipingStack::<PACKETS_BYTES>;
    run(operation)
}

/// A frame of its own, below the caller's. The caller wipes from there on down: this relies on a stack that grows
/// towards lower addresses, and on the call staying a call. A test looks whether both hold.
#[inline(never)]
fn run<R>(operation: impl FnOnce() -> R) -> R {
    operation()
}

/// Wipes when it is dropped, so that a panic of the operation leaves nothing either.
struct WipingStack<const BYTES: usize>;

impl<const BYTES: usize> Drop for WipingStack<BYTES> {
    fn drop(&mut self) {
        // First the registers: whatever wiping the stack may put aside is clean then.
        wipe_vector_registers();
        zeroize_stack::<BYTES>();
    }
}

#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code)]
fn wipe_vector_registers() {
    use std::{arch::asm, is_x86_feature_detected};

    macro_rules! clearing {
        ($($instruction:literal),+) => {
            asm!(
                $($instruction),+,
                out("xmm0") _, out("xmm1") _, out("xmm2") _, out("xmm3") _, out("xmm4") _, out("xmm5") _, out("xmm6") _,
                out("xmm7") _, out("xmm8") _, out("xmm9") _, out("xmm10") _, out("xmm11") _, out("xmm12") _,
                out("xmm13") _, out("xmm14") _, out("xmm15") _,
                options(nomem, nostack, preserves_flags),
            )
        };
    }

    // SAFETY: the processor and the system have the instructions, which change the registers that are named as outputs
    // and their upper parts, and zmm16 to zmm31. Of these no calling convention lets a function expect anything.
    unsafe {
        if is_x86_feature_detected!("avx512f") {
            clearing!(
                "vzeroall",
                "vpxord zmm16, zmm16, zmm16",
                "vpxord zmm17, zmm17, zmm17",
                "vpxord zmm18, zmm18, zmm18",
                "vpxord zmm19, zmm19, zmm19",
                "vpxord zmm20, zmm20, zmm20",
                "vpxord zmm21, zmm21, zmm21",
                "vpxord zmm22, zmm22, zmm22",
                "vpxord zmm23, zmm23, zmm23",
                "vpxord zmm24, zmm24, zmm24",
                "vpxord zmm25, zmm25, zmm25",
                "vpxord zmm26, zmm26, zmm26",
                "vpxord zmm27, zmm27, zmm27",
                "vpxord zmm28, zmm28, zmm28",
                "vpxord zmm29, zmm29, zmm29",
                "vpxord zmm30, zmm30, zmm30",
                "vpxord zmm31, zmm31, zmm31"
            );
        } else if is_x86_feature_detected!("avx") {
            clearing!("vzeroall");
        } else {
            clearing!(
                "pxor xmm0, xmm0",
                "pxor xmm1, xmm1",
                "pxor xmm2, xmm2",
                "pxor xmm3, xmm3",
                "pxor xmm4, xmm4",
                "pxor xmm5, xmm5",
                "pxor xmm6, xmm6",
                "pxor xmm7, xmm7",
                "pxor xmm8, xmm8",
                "pxor xmm9, xmm9",
                "pxor xmm10, xmm10",
                "pxor xmm11, xmm11",
                "pxor xmm12, xmm12",
                "pxor xmm13, xmm13",
                "pxor xmm14, xmm14",
                "pxor xmm15, xmm15"
            );
        }
    }
}

#[cfg(target_arch = "aarch64")]
#[allow(unsafe_code)]
fn wipe_vector_registers() {
    // SAFETY: every such processor has the instructions, which change nothing but the registers that are named as
    // outputs.
    unsafe {
        std::arch::asm!(
            "movi v0.16b, #0", "movi v1.16b, #0", "movi v2.16b, #0", "movi v3.16b, #0",
            "movi v4.16b, #0", "movi v5.16b, #0", "movi v6.16b, #0", "movi v7.16b, #0",
            "movi v8.16b, #0", "movi v9.16b, #0", "movi v10.16b, #0", "movi v11.16b, #0",
            "movi v12.16b, #0", "movi v13.16b, #0", "movi v14.16b, #0", "movi v15.16b, #0",
            "movi v16.16b, #0", "movi v17.16b, #0", "movi v18.16b, #0", "movi v19.16b, #0",
            "movi v20.16b, #0", "movi v21.16b, #0", "movi v22.16b, #0", "movi v23.16b, #0",
            "movi v24.16b, #0", "movi v25.16b, #0", "movi v26.16b, #0", "movi v27.16b, #0",
            "movi v28.16b, #0", "movi v29.16b, #0", "movi v30.16b, #0", "movi v31.16b, #0",
            out("v0") _, out("v1") _, out("v2") _, out("v3") _, out("v4") _, out("v5") _, out("v6") _, out("v7") _,
            out("v8") _, out("v9") _, out("v10") _, out("v11") _, out("v12") _, out("v13") _, out("v14") _,
            out("v15") _, out("v16") _, out("v17") _, out("v18") _, out("v19") _, out("v20") _, out("v21") _,
            out("v22") _, out("v23") _, out("v24") _, out("v25") _, out("v26") _, out("v27") _, out("v28") _,
            out("v29") _, out("v30") _, out("v31") _,
            options(nomem, nostack, preserves_flags),
        );
    }
}

/// There is no package for other processors; whoever builds for one has the stack wiped, and not its vector registers.
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn wipe_vector_registers() {}
