//! Mistakes that each tool must find; otherwise its silence elsewhere would mean nothing. A program that makes the one
//! named by its argument, and an addon that makes the one named by PLANTED when Node.js loads it.

use std::{
    alloc::{Layout, alloc, dealloc},
    env, hint,
    ffi::c_void,
    thread,
};

fn main() {
    make(&env::args().nth(1).expect("the name of a mistake"));
}

/// Called by Node.js once the addon is loaded.
#[unsafe(no_mangle)]
extern "C" fn napi_register_module_v1(_environment: *mut c_void, exports: *mut c_void) -> *mut c_void {
    make(&env::var("PLANTED").expect("the name of a mistake"));
    exports
}

fn make(mistake: &str) {
    match mistake {
        "use-after-free" => use_after_free(),
        "overflow" => overflow(),
        "leak" => leak(),
        "race" => race(),
        other => panic!("there is no mistake {other}"),
    }
}

#[inline(never)]
fn use_after_free() {
    let layout = Layout::new::<[u8; 64]>();
    // SAFETY: none; this is the planted mistake.
    unsafe {
        let bytes = hint::black_box(alloc(layout));
        bytes.write(1);
        dealloc(bytes, layout);
        hint::black_box(hint::black_box(bytes).read_volatile());
    }
}

#[inline(never)]
fn overflow() {
    let bytes = hint::black_box(vec![1_u8; 64]);
    // SAFETY: none; this is the planted mistake.
    hint::black_box(unsafe { hint::black_box(bytes.as_ptr()).add(64).read_volatile() });
}

#[inline(never)]
fn leak() {
    for _ in 0..100 {
        let bytes = Box::leak(vec![1_u8; 1_000].into_boxed_slice());
        hint::black_box(bytes.as_ptr());
    }
    hint::black_box([0_u8; 4_096]);
}

fn race() {
    static mut COUNT: u64 = 0;
    let count = || {
        for _ in 0..100_000 {
            // SAFETY: none; this is the planted mistake.
            unsafe { COUNT = hint::black_box(COUNT) + 1 };
        }
    };
    let other = thread::spawn(count);
    count();
    let _ = other.join();
}
