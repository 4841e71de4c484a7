// SPDX-License-Identifier: GPL-2.0-or-later

//! A number that every CPU has for itself.
//!
//! C header: `include/linux/percpu.h` (Linux 7.3). Good for hints: a task may move to another CPU
//! between two calls, and then continues with that CPU's number.

use crate::bindings;
use core::ptr::NonNull;
use kernel::prelude::*;

/// The sum of the numbers of all CPUs, which wraps. Others change them meanwhile.
///
/// # Safety
///
/// - `numbers` is a per-CPU allocation of a `usize` that lasts until this returns.
pub(super) unsafe fn sum(numbers: *mut usize) -> usize {
    let mut sum = 0usize;
    let mut cpu = -1;
    loop {
        // SAFETY: Any number may be asked for.
        let next = unsafe { bindings::cpumask_next_possible(cpu) };
        // SAFETY: A constant after boot.
        if next >= unsafe { bindings::nr_cpu_ids } {
            return sum;
        }
        // SAFETY: By the safety requirement, and the CPU is a possible one.
        sum = sum.wrapping_add(unsafe { bindings::per_cpu_ulong(numbers, next) });
        cpu = next as i32;
    }
}

/// One `u32` a CPU, all zero at first.
///
/// # Invariants
///
/// 1. `numbers` is a per-CPU allocation of one `u32`, owned by this value.
pub(crate) struct PerCpu {
    numbers: NonNull<u32>,
}

// SAFETY: The numbers are changed by single instructions on the CPU that they belong to.
unsafe impl Send for PerCpu {}

// SAFETY: As above.
unsafe impl Sync for PerCpu {}

impl PerCpu {
    /// Allocates the numbers. Sleeps.
    ///
    /// # Errors
    ///
    /// - `ENOMEM`.
    pub(crate) fn new() -> Result<Self> {
        // SAFETY: May be called wherever sleeping is allowed.
        let numbers = unsafe { bindings::alloc_percpu_u32() };
        // INVARIANT: 1, straight from the allocation.
        Ok(Self {
            numbers: NonNull::new(numbers).ok_or(ENOMEM)?,
        })
    }

    /// Adds one to this CPU's number and gives the sum, which wraps. Any context.
    #[inline]
    pub(crate) fn increment(&self) -> u32 {
        // SAFETY: By invariant 1.
        unsafe { bindings::this_cpu_inc_return_u32(self.numbers.as_ptr()) }
    }

    /// This CPU's number. Any context.
    #[inline]
    pub(crate) fn read(&self) -> u32 {
        // SAFETY: By invariant 1.
        unsafe { bindings::this_cpu_read_u32(self.numbers.as_ptr()) }
    }

    /// Sets this CPU's number. Any context.
    #[inline]
    pub(crate) fn write(&self, number: u32) {
        // SAFETY: By invariant 1.
        unsafe { bindings::this_cpu_write_u32(self.numbers.as_ptr(), number) };
    }
}

impl Drop for PerCpu {
    fn drop(&mut self) {
        // SAFETY: By invariant 1; nobody uses the numbers any more.
        unsafe { bindings::free_percpu(self.numbers.as_ptr().cast()) };
    }
}
