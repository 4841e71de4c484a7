// SPDX-License-Identifier: GPL-2.0-or-later

//! Loads of atomics on the way of an I/O, without a call.
//!
//! C headers: `include/asm-generic/rwonce.h`, `arch/x86/include/asm/barrier.h` (Linux 7.3). The
//! kernel crate's [`Atomic`] calls a C function for each load, unless the kernel was built to inline
//! them. What these functions do is what the C macros do.

use super::release::smp_mb;
use kernel::sync::atomic::{Atomic, AtomicType};

/// An acquire load (C: `smp_load_acquire`).
#[inline(always)]
pub(crate) fn load_acquire<T: AtomicType>(atomic: &Atomic<T>) -> T {
    let value = load_relaxed(atomic);
    if cfg!(CONFIG_X86_64) {
        // ORDERING: This processor does not move a load or a store before an earlier load; this
        // keeps the compiler from it.
        core::sync::atomic::compiler_fence(core::sync::atomic::Ordering::Acquire);
    } else {
        // ORDERING: More than an acquire needs, but what every processor has.
        smp_mb();
    }
    value
}

/// A load in any order (C: `READ_ONCE`).
#[inline(always)]
pub(crate) fn load_relaxed<T: AtomicType>(atomic: &Atomic<T>) -> T {
    const { assert!(size_of::<T>() <= size_of::<usize>()) };
    // SAFETY: The pointer is valid and aligned; a volatile load of at most a word is not torn, and what
    // an `Atomic<T>` holds are values of `T`.
    unsafe { atomic.as_ptr().read_volatile() }
}
