//! Watches, with Node.js's event loop, a descriptor for which Node.js has no class.
//!
//! Node.js exports libuv to addons. Its functions are looked up at run time, so that the addon still loads in a program
//! without libuv; there, nothing can be watched.

use std::{
    ffi::{CStr, c_char, c_int, c_void},
    mem,
    os::fd::{AsRawFd, OwnedFd},
    ptr::null_mut,
    sync::OnceLock,
};

use napi::{
    bindgen_prelude::{Env, Function, JsValue},
    sys,
};

use crate::errors::{Code, Result};

type PollCallback = unsafe extern "C" fn(*mut c_void, c_int, c_int);
type CloseCallback = unsafe extern "C" fn(*mut c_void);

/// The functions of libuv that are needed, as `uv.h` declares them, with handles as `void *`.
#[derive(Clone, Copy)]
struct Libuv {
    handle_size: unsafe extern "C" fn(c_int) -> usize,
    poll_init: unsafe extern "C" fn(*mut sys::uv_loop_s, *mut c_void, c_int) -> c_int,
    poll_start: unsafe extern "C" fn(*mut c_void, c_int, PollCallback) -> c_int,
    close: unsafe extern "C" fn(*mut c_void, CloseCallback),
    set_data: unsafe extern "C" fn(*mut c_void, *mut c_void),
    get_data: unsafe extern "C" fn(*const c_void) -> *mut c_void,
    reference: unsafe extern "C" fn(*mut c_void),
    unreference: unsafe extern "C" fn(*mut c_void),
}

/// `UV_POLL` of `uv_handle_type` and `UV_READABLE` of `uv_poll_event`, which are stable throughout libuv 1.
const UV_POLL: c_int = 8;
const UV_READABLE: c_int = 1;

impl Libuv {
    fn get() -> Option<Self> {
        static LIBUV: OnceLock<Option<Libuv>> = OnceLock::new();
        *LIBUV.get_or_init(Self::find)
    }

    #[allow(unsafe_code)]
    fn find() -> Option<Self> {
        fn symbol(name: &CStr) -> Option<*mut c_void> {
            // SAFETY: looks a name up that ends with a NUL.
            let found = unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr().cast::<c_char>()) };
            (!found.is_null()).then_some(found)
        }
        // SAFETY: each is the function of that name, whose declaration in `uv.h` is the field's type, where all
        // pointers are alike to a C calling convention. Part of libuv's stable ABI since 1.19.
        unsafe {
            Some(Self {
                handle_size: mem::transmute::<*mut c_void, unsafe extern "C" fn(c_int) -> usize>(symbol(
                    c"uv_handle_size",
                )?),
                poll_init: mem::transmute::<
                    *mut c_void,
                    unsafe extern "C" fn(*mut sys::uv_loop_s, *mut c_void, c_int) -> c_int,
                >(symbol(c"uv_poll_init")?),
                poll_start: mem::transmute::<
                    *mut c_void,
                    unsafe extern "C" fn(*mut c_void, c_int, PollCallback) -> c_int,
                >(symbol(c"uv_poll_start")?),
                close: mem::transmute::<*mut c_void, unsafe extern "C" fn(*mut c_void, CloseCallback)>(symbol(
                    c"uv_close",
                )?),
                set_data: mem::transmute::<*mut c_void, unsafe extern "C" fn(*mut c_void, *mut c_void)>(symbol(
                    c"uv_handle_set_data",
                )?),
                get_data: mem::transmute::<*mut c_void, unsafe extern "C" fn(*const c_void) -> *mut c_void>(symbol(
                    c"uv_handle_get_data",
                )?),
                reference: mem::transmute::<*mut c_void, unsafe extern "C" fn(*mut c_void)>(symbol(c"uv_ref")?),
                unreference: mem::transmute::<*mut c_void, unsafe extern "C" fn(*mut c_void)>(symbol(c"uv_unref")?),
            })
        }
    }
}

/// A descriptor that the event loop watches until the environment ends.
pub(crate) struct LoopWatch {
    libuv: Libuv,
    handle: *mut c_void,
    keeps_alive: bool,
}

/// The state of a watch, freed once libuv has closed its handle.
struct Watched {
    env: sys::napi_env,
    callback: sys::napi_ref,
    cleanup: sys::napi_async_cleanup_hook_handle,
    /// The handle's memory.
    memory: Vec<u64>,
    descriptor: OwnedFd,
}

impl LoopWatch {
    /// Calls `callback` whenever `descriptor` is readable, the way Node.js calls its own callbacks. At first the watch
    /// does not keep the process alive.
    #[allow(unsafe_code)]
    pub(crate) fn start(env: &Env, descriptor: OwnedFd, callback: &Function<'_, (), ()>) -> Result<Self> {
        let failed = |what: &str| napi::Error::new(Code::System("ENOSYS".to_owned()), format!("cannot watch: {what}"));
        let libuv = Libuv::get().ok_or_else(|| failed("this program has no libuv"))?;
        let event_loop = env.get_uv_event_loop().map_err(|_| failed("there is no event loop"))?;
        // SAFETY: takes no pointer.
        let length = unsafe { (libuv.handle_size)(UV_POLL) };
        let mut memory = vec![0_u64; length.div_ceil(size_of::<u64>())];
        let handle: *mut c_void = memory.as_mut_ptr().cast();
        let number = descriptor.as_raw_fd();
        let watched = Box::into_raw(Box::new(Watched {
            env: env.raw(),
            callback: null_mut(),
            cleanup: null_mut(),
            memory,
            descriptor,
        }));
        // SAFETY: on the loop's own thread, as all of Node-API is. The handle has the memory that libuv asks for,
        // aligned for any of its types; it and `watched` live until `closed`, which libuv calls after the last `ready`.
        unsafe {
            if (libuv.poll_init)(event_loop, handle, number) != 0 {
                drop(Box::from_raw(watched));
                return Err(failed("the event loop refuses it"));
            }
            (libuv.set_data)(handle, watched.cast());
            let has_callback = sys::napi_create_reference(env.raw(), callback.raw(), 1, &raw mut (*watched).callback)
                == sys::Status::napi_ok;
            let has_hook = sys::napi_add_async_cleanup_hook(
                env.raw(),
                Some(environment_ends),
                handle,
                &raw mut (*watched).cleanup,
            ) == sys::Status::napi_ok;
            if !has_callback || !has_hook || (libuv.poll_start)(handle, UV_READABLE, ready) != 0 {
                if has_hook {
                    sys::napi_remove_async_cleanup_hook((*watched).cleanup);
                    (*watched).cleanup = null_mut();
                }
                (libuv.close)(handle, closed);
                return Err(failed("Node.js refuses it"));
            }
            (libuv.unreference)(handle);
        }
        Ok(Self { libuv, handle, keeps_alive: false })
    }

    /// Sets whether the watch keeps the process alive.
    #[allow(unsafe_code)]
    pub(crate) fn keep_alive(&mut self, keeps_alive: bool) {
        if self.keeps_alive == keeps_alive {
            return;
        }
        self.keeps_alive = keeps_alive;
        let call = if keeps_alive { self.libuv.reference } else { self.libuv.unreference };
        // SAFETY: called by JavaScript, thus on the loop's thread and before the environment ends, and with it the
        // handle.
        unsafe { call(self.handle) };
    }
}

/// libuv's callback: the descriptor is readable.
#[allow(unsafe_code)]
unsafe extern "C" fn ready(handle: *mut c_void, _status: c_int, _events: c_int) {
    let Some(libuv) = Libuv::get() else { return };
    // SAFETY: on the loop's thread, with the data that `start` has set. The values live until the scope is closed.
    unsafe {
        let watched: *const Watched = (libuv.get_data)(handle).cast();
        let (env, callback) = ((*watched).env, (*watched).callback);
        let (mut scope, mut function, mut global) = (null_mut(), null_mut(), null_mut());
        if sys::napi_open_handle_scope(env, &raw mut scope) != sys::Status::napi_ok {
            return;
        }
        sys::napi_get_reference_value(env, callback, &raw mut function);
        sys::napi_get_global(env, &raw mut global);
        let mut result = null_mut();
        let status = sys::napi_make_callback(env, null_mut(), global, function, 0, std::ptr::null(), &raw mut result);
        if status == sys::Status::napi_pending_exception {
            let mut exception = null_mut();
            sys::napi_get_and_clear_last_exception(env, &raw mut exception);
            sys::napi_fatal_exception(env, exception);
        }
        sys::napi_close_handle_scope(env, scope);
    }
}

/// Node.js's cleanup hook: the environment waits until the handle is closed.
#[allow(unsafe_code)]
unsafe extern "C" fn environment_ends(_hook: sys::napi_async_cleanup_hook_handle, handle: *mut c_void) {
    let Some(libuv) = Libuv::get() else { return };
    // SAFETY: called once, on the loop's thread, while the handle is open.
    unsafe { (libuv.close)(handle, closed) };
}

/// libuv's callback: the handle is closed, and no other callback follows.
#[allow(unsafe_code)]
unsafe extern "C" fn closed(handle: *mut c_void) {
    let Some(libuv) = Libuv::get() else { return };
    // SAFETY: the pointer that `start` has set; nothing else uses it from now on.
    let watched = unsafe { Box::from_raw((libuv.get_data)(handle).cast::<Watched>()) };
    let Watched { cleanup, memory, descriptor, .. } = *watched;
    drop((descriptor, memory));
    if !cleanup.is_null() {
        // SAFETY: the hook of `start`, which has run or will not.
        unsafe { sys::napi_remove_async_cleanup_hook(cleanup) };
    }
}
