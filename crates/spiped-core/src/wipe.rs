//! Wipes the stack below an operation on secrets, and the vector registers, which the kernel copies to the stack when it
//! delivers a signal.
//!
//! Stored secrets are on the heap and wiped by their owners; see [`crate::secret`]. This module covers copies that the
//! compiler makes and that libraries leave in their stack frames.

use zeroize::zeroize_stack;

/// An upper bound of the stack that any operation of this crate uses. The most is measured for an exponentiation with
/// its tables: 20 KiB, and up to four times that without optimization. `tests/stack.rs` checks the bound.
const ANY_OPERATION_BYTES: usize = UNOPTIMIZED * 64 * 1024;

/// The same for sealing and opening, 8 KiB as measured. Smaller, because this much is wiped after each read.
const PACKETS_BYTES: usize = UNOPTIMIZED * 16 * 1024;

const UNOPTIMIZED: usize = if cfg!(debug_assertions) { 2 } else { 1 };

/// Runs an operation on secrets, then wipes the stack below it and the vector registers. The return value is not wiped:
/// any secret in it must be on the heap.
pub(crate) fn wiping_stack<R>(operation: impl FnOnce() -> R) -> R {
    let _wiping = WipingStack::<ANY_OPERATION_BYTES>;
    run(operation)
}

/// [`wiping_stack`] for sealing and opening packets.
pub(crate) fn wiping_packet_stack<R>(operation: impl FnOnce() -> R) -> R {
    let _wiping = WipingStack::<PACKETS_BYTES>;
    run(operation)
}

/// Runs the operation in its own frame, below the caller's, which the caller then wipes. This relies on the stack
/// growing downward and on the call not being inlined; `tests/stack.rs` checks both.
#[inline(never)]
fn run<R>(operation: impl FnOnce() -> R) -> R {
    operation()
}

/// Wipes on drop, so that a panic in the operation is covered too.
struct WipingStack<const BYTES: usize>;

impl<const BYTES: usize> Drop for WipingStack<BYTES> {
    fn drop(&mut self) {
        // Registers first, in case wiping the stack spills some of them.
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

    // SAFETY: the processor and the system support the instructions. They change the registers named as outputs, their
    // upper parts, and zmm16 to zmm31; no calling convention guarantees the contents of the latter two.
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
    // SAFETY: every aarch64 processor has the instructions, which change only the registers named as outputs.
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

/// On processors for which there is no package, only the stack is wiped.
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn wipe_vector_registers() {}
