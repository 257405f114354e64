//! Mistakes that each of the tools has to find, or what it does not find elsewhere means nothing. A program that makes the
//! one it is told to, and the same as an addon that makes the one that PLANTED names when Node.js loads it.

use std::{
    alloc::{Layout, alloc, dealloc},
    env, hint,
    ffi::c_void,
    thread,
};

fn main() {
    make(&env::args().nth(1).expect("the name of a mistake"));
}

/// What Node.js calls when it has loaded an addon.
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
    // SAFETY: none; it is what is to be found.
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
    // SAFETY: none; it is what is to be found.
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
            // SAFETY: none; it is what is to be found.
            unsafe { COUNT = hint::black_box(COUNT) + 1 };
        }
    };
    let other = thread::spawn(count);
    count();
    let _ = other.join();
}
