// SPDX-License-Identifier: GPL-2.0-or-later

//! Numbers that every CPU has for itself.
//!
//! C header: `include/linux/percpu.h` (Linux 7.3). A task may move to another CPU between two calls,
//! and then continues with that CPU's number: [`PerCpu`] is good for hints, [`Counter`] for sums.

use crate::bindings;
use core::ptr::NonNull;
use kernel::{
    prelude::*,
    sync::atomic::{ordering, Atomic},
};

use super::once::load_relaxed;

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

    /// Adds to this CPU's number and gives the sum, which wraps. Any context.
    #[inline]
    pub(crate) fn add(&self, number: u32) -> u32 {
        // SAFETY: By invariant 1.
        unsafe { bindings::this_cpu_add_return_u32(self.numbers.as_ptr(), number) }
    }

    /// Adds one to this CPU's number and gives the sum, which wraps. Any context.
    #[inline]
    pub(crate) fn increment(&self) -> u32 {
        // SAFETY: By invariant 1.
        unsafe { bindings::this_cpu_inc_return_u32(self.numbers.as_ptr()) }
    }

    /// Takes one from this CPU's number and gives the rest, which wraps. Any context.
    #[inline]
    pub(crate) fn decrement(&self) -> u32 {
        // SAFETY: By invariant 1.
        unsafe { bindings::this_cpu_dec_return_u32(self.numbers.as_ptr()) }
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

/// A number that all CPUs change, about right wherever it is read.
///
/// Each CPU keeps its changes to itself, and adds them to what all share when they have come to
/// [`Gauge::BATCH`]. Ups and downs that cancel on a CPU never get there, so that no cache line is
/// written by two. A reader misses a batch of each other CPU at most.
pub(crate) struct Gauge {
    kept: PerCpu,
    shared: Atomic<i32>,
}

impl Gauge {
    const BATCH: u32 = 16;

    /// Makes a gauge that stands at zero. Sleeps.
    ///
    /// # Errors
    ///
    /// - `ENOMEM`.
    pub(crate) fn new() -> Result<Self> {
        Ok(Self {
            kept: PerCpu::new()?,
            shared: Atomic::new(0),
        })
    }

    /// Adds one to the number. Any context.
    #[inline]
    pub(crate) fn up(&self) {
        self.settle(self.kept.increment());
    }

    /// Takes one from the number. Any context.
    #[inline]
    pub(crate) fn down(&self) {
        self.settle(self.kept.decrement());
    }

    #[inline]
    fn settle(&self, kept: u32) {
        // Whether it is below -BATCH, or BATCH at least.
        if kept.wrapping_add(Self::BATCH) >= 2 * Self::BATCH {
            self.share(kept as i32);
        }
    }

    /// Moves an amount from what this CPU keeps to what all share. If the task has moved to another
    /// CPU it is taken from there: the sum is the same.
    #[cold]
    #[inline(never)]
    fn share(&self, amount: i32) {
        self.kept.add(amount.wrapping_neg() as u32);
        // ORDERING: A count for hints; any order does.
        self.shared.add(amount, ordering::Relaxed);
    }

    /// The number, as this CPU sees it. Any context.
    #[inline]
    pub(crate) fn read(&self) -> i32 {
        // ORDERING: As in `share`.
        load_relaxed(&self.shared).wrapping_add(self.kept.read() as i32)
    }
}

/// A count that every CPU adds to for itself, from zero.
///
/// # Invariants
///
/// 1. `numbers` is a per-CPU allocation of one `usize`, owned by this value.
pub(crate) struct Counter {
    numbers: NonNull<usize>,
}

// SAFETY: The numbers are changed by single instructions on the CPU that they belong to.
unsafe impl Send for Counter {}

// SAFETY: As above.
unsafe impl Sync for Counter {}

impl Counter {
    /// Allocates the numbers. Sleeps.
    ///
    /// # Errors
    ///
    /// - `ENOMEM`.
    pub(crate) fn new() -> Result<Self> {
        // SAFETY: May be called wherever sleeping is allowed.
        let numbers = unsafe { bindings::alloc_percpu_ulong() };
        // INVARIANT: 1, straight from the allocation.
        Ok(Self {
            numbers: NonNull::new(numbers).ok_or(ENOMEM)?,
        })
    }

    /// The numbers, for C to add to.
    #[inline]
    pub(in crate::abstractions) fn as_raw(&self) -> *mut usize {
        self.numbers.as_ptr()
    }

    /// The sum, which wraps, and of which others may be changing a part. Any context.
    pub(crate) fn sum(&self) -> usize {
        let mut sum = 0usize;
        let mut cpu = -1;
        loop {
            // SAFETY: Any number may be asked for.
            let next = unsafe { bindings::cpumask_next_possible(cpu) };
            // SAFETY: A constant after boot.
            if next >= unsafe { bindings::nr_cpu_ids } {
                return sum;
            }
            // SAFETY: By invariant 1, and the CPU is a possible one.
            sum = sum.wrapping_add(unsafe { bindings::per_cpu_ulong(self.as_raw(), next) });
            cpu = next as i32;
        }
    }
}

impl Drop for Counter {
    fn drop(&mut self) {
        // SAFETY: By invariant 1; nobody uses the numbers any more.
        unsafe { bindings::free_percpu(self.as_raw().cast()) };
    }
}
