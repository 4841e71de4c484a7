// SPDX-License-Identifier: GPL-2.0-or-later

//! A kernel thread of an array, beside the one that md core has for its housekeeping.
//!
//! C header: `drivers/md/md.h` (`struct md_thread`), C source: `drivers/md/md.c` (Linux 7.3).
//!
//! md core's thread writes superblocks, and waits for them. What must not wait for that has a thread
//! of its own.

use crate::{abstractions::release::millis_ceil, bindings};
use core::ptr;
use kernel::{
    prelude::*,
    str::CStr,
    time::{msecs_to_jiffies, Delta},
    types::Opaque,
};

/// The place of a thread, which may be empty.
///
/// # Invariants
///
/// 1. `thread` is a null pointer or points to a thread made by [`Thread::start`]; it is written by
///    the functions that md core has for that, and freed a grace period after it was nulled.
#[pin_data]
pub(super) struct Thread {
    #[pin]
    thread: Opaque<*mut bindings::md_thread>,
}

// SAFETY: A thread may be woken from any CPU; it is started and stopped by one task at a time.
unsafe impl Send for Thread {}

// SAFETY: As above.
unsafe impl Sync for Thread {}

impl Thread {
    /// No thread.
    pub(super) fn none() -> impl PinInit<Self> {
        // INVARIANT: 1, as the pointer is null.
        pin_init!(Self {
            thread <- Opaque::ffi_init(|thread: *mut *mut bindings::md_thread| {
                // SAFETY: `thread` is valid for writes.
                unsafe { thread.write(ptr::null_mut()) }
            }),
        })
    }

    /// Starts the thread, which then calls `run` each time it is woken or has slept for as long as
    /// [`set_sleep`] told. Sleeps.
    ///
    /// # Errors
    ///
    /// - `ENOMEM`: it cannot be made.
    ///
    /// # Safety
    ///
    /// - There is no thread yet, and nobody starts or stops one meanwhile.
    /// - `mddev` is valid, and `run` may be called with it, until [`stop`](Self::stop).
    pub(super) unsafe fn start(
        &self,
        mddev: *mut bindings::mddev,
        run: unsafe extern "C" fn(*mut bindings::md_thread),
        name: &CStr,
    ) -> Result {
        // SAFETY: By the second safety requirement; `name` is copied.
        let thread = unsafe { bindings::md_register_thread(Some(run), mddev, name.as_char_ptr()) };
        if thread.is_null() {
            return Err(ENOMEM);
        }
        // SAFETY: The field is valid; by the first safety requirement nobody else writes it.
        unsafe { bindings::md_assign_thread(self.thread.get(), thread) };
        Ok(())
    }

    /// Ends the thread and waits until it has ended; does nothing if there is none. Sleeps.
    ///
    /// # Safety
    ///
    /// - `mddev` is the one that the thread was started for, and its `reconfig_mutex` is held.
    pub(super) unsafe fn stop(&self, mddev: *mut bindings::mddev) {
        // SAFETY: By invariant 1 and the safety requirement.
        unsafe { bindings::md_unregister_thread(mddev, self.thread.get()) };
    }

    /// Wakes the thread; does nothing if there is none. What was written before is ordered before that. Any
    /// context.
    pub(super) fn wake(&self) {
        // SAFETY: By invariant 1; the pointer is looked at under RCU.
        unsafe { bindings::md_wakeup_thread(self.thread.get()) };
    }
}

/// Tells a thread how long it may sleep, at most a day; without a limit it sleeps until it is
/// woken. The thread calls this itself.
///
/// # Safety
///
/// - `thread` is the running thread.
pub(super) unsafe fn set_sleep(thread: *mut bindings::md_thread, limit: Option<Delta>) {
    const DAY_MS: i64 = 86_400_000;
    let timeout = match limit {
        Some(limit) => {
            let ms = millis_ceil(limit).clamp(1, DAY_MS);
            msecs_to_jiffies(ms as u32)
        }
        // What C calls `MAX_SCHEDULE_TIMEOUT`.
        None => isize::MAX as usize,
    };
    // SAFETY: By the safety requirement; nobody but the thread itself reads the field.
    unsafe { (*thread).timeout = timeout };
}
