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

pub(super) mod this_cpu;

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
        unsafe { this_cpu::add_return_u32(self.numbers.as_ptr(), number) }
    }

    /// Adds to this CPU's number, which wraps. Says whether it has, taken as signed. Any context.
    #[inline]
    fn add_wraps<const VALUE: i32>(&self) -> bool {
        // SAFETY: By invariant 1.
        unsafe { this_cpu::add_wraps::<VALUE>(self.numbers.as_ptr()) }
    }

    /// This CPU's number. Any context.
    #[inline]
    pub(crate) fn read(&self) -> u32 {
        // SAFETY: By invariant 1.
        unsafe { this_cpu::read_u32(self.numbers.as_ptr()) }
    }

    /// Sets this CPU's number. Any context.
    #[inline]
    pub(crate) fn write(&self, number: u32) {
        // SAFETY: By invariant 1.
        unsafe { this_cpu::write_u32(self.numbers.as_ptr(), number) };
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
/// Each CPU keeps its changes to itself, up to [`Gauge::BATCH`], and what is more in what all share. Ups
/// and downs that cancel on a CPU never get there, so that no cache line is written by two. A reader
/// misses a batch of each other CPU at most, or two while that one moves them.
///
/// What a CPU keeps is in the highest bits of its number: the processor tells by itself when it wraps.
pub(crate) struct Gauge {
    kept: PerCpu,
    shared: Atomic<i32>,
}

impl Gauge {
    /// A CPU keeps from `-BATCH` to `BATCH - 1`.
    const BATCH: i32 = 16;
    const ONE: i32 = i32::MIN / -Self::BATCH;

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
        if self.kept.add_wraps::<{ Self::ONE }>() {
            self.wrapped::<1, { Self::ONE * (Self::BATCH / 2) }>();
        }
    }

    /// Takes one from the number. Any context.
    #[inline]
    pub(crate) fn down(&self) {
        if self.kept.add_wraps::<{ -Self::ONE }>() {
            self.wrapped::<-1, { -Self::ONE * (Self::BATCH / 2) }>();
        }
    }

    /// What a CPU keeps has wrapped, on its way up (`1`) or down (`-1`): all share what was lost, but for
    /// half a batch (`HALF`), which the CPU keeps, so that it does not wrap again soon. If the task has
    /// moved to another CPU that one keeps it, and may wrap in turn: the sum is the same.
    #[cold]
    #[inline(never)]
    fn wrapped<const WAY: i32, const HALF: i32>(&self) {
        loop {
            // ORDERING: A count for hints; any order does.
            self.shared
                .add(WAY * (2 * Self::BATCH - Self::BATCH / 2), ordering::Relaxed);
            if !self.kept.add_wraps::<HALF>() {
                return;
            }
        }
    }

    /// The number, as this CPU sees it. Any context.
    #[inline]
    pub(crate) fn read(&self) -> i32 {
        let kept = self.kept.read() as i32 >> Self::ONE.trailing_zeros();
        // ORDERING: As in `wrapped`.
        load_relaxed(&self.shared).wrapping_add(kept)
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

    /// Adds one to this CPU's number. Any context.
    #[inline]
    pub(crate) fn increment(&self) {
        // SAFETY: By invariant 1.
        unsafe { this_cpu::inc_ulong(self.numbers.as_ptr()) };
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
            sum = sum.wrapping_add(unsafe { bindings::per_cpu_ulong(self.numbers.as_ptr(), next) });
            cpu = next as i32;
        }
    }
}

impl Drop for Counter {
    fn drop(&mut self) {
        // SAFETY: By invariant 1; nobody uses the numbers any more.
        unsafe { bindings::free_percpu(self.numbers.as_ptr().cast()) };
    }
}

#[kunit_tests(md_multipath_percpu)]
mod tests {
    use super::*;
    use kernel::{
        sync::{Arc, Completion},
        workqueue,
    };

    const TASKS: usize = 8;
    const EACH: usize = 3_000;

    #[pin_data]
    struct Race<T> {
        subject: T,
        running: Atomic<i32>,
        #[pin]
        over: Completion,
    }

    /// `TASKS` tasks do `what` with `subject` at the same time, on whatever CPUs; returns when all have.
    fn race<T: Send + Sync + 'static>(subject: T, what: fn(&T)) -> Result<Arc<Race<T>>> {
        let race = Arc::pin_init(
            pin_init!(Race {
                subject,
                running: Atomic::new(TASKS as i32),
                over <- Completion::new(),
            }),
            GFP_KERNEL,
        )?;
        for _ in 0..TASKS {
            let race = race.clone();
            workqueue::system_unbound().try_spawn(GFP_KERNEL, move || {
                what(&race.subject);
                // ORDERING: Full, so that the last one knows that all others are done.
                if race.running.fetch_add(-1, ordering::Full) == 1 {
                    race.over.complete_all();
                }
            })?;
        }
        race.over.wait_for_completion();
        Ok(race)
    }

    #[test]
    fn counter_counts_what_all_cpus_add() -> Result {
        let race = race(Counter::new()?, |counter| {
            for _ in 0..EACH {
                counter.increment();
            }
        })?;
        assert_eq!(race.subject.sum(), TASKS * EACH);
        Ok(())
    }

    /// What a reader may be wrong by: what each CPU keeps, and one more batch if it is moving some.
    fn about(gauge: &Gauge, number: usize) -> bool {
        // SAFETY: A constant after boot.
        let cpus = unsafe { bindings::nr_cpu_ids } as i32;
        (gauge.read() - number as i32).abs() <= 2 * Gauge::BATCH * cpus
    }

    #[test]
    fn gauge_follows_one_task() -> Result {
        let gauge = Gauge::new()?;
        for number in 1..=EACH {
            gauge.up();
            assert!(about(&gauge, number));
        }
        for number in (0..EACH).rev() {
            gauge.down();
            assert!(about(&gauge, number));
        }
        Ok(())
    }

    #[test]
    fn gauge_loses_nothing_between_cpus() -> Result {
        let race = race(Gauge::new()?, |gauge| {
            for step in 0..EACH {
                gauge.up();
                if step % 3 == 2 {
                    gauge.down();
                }
            }
        })?;
        assert!(about(&race.subject, TASKS * (EACH - EACH / 3)));
        Ok(())
    }

    #[test]
    fn numbers_wrap_as_signed_ones() -> Result {
        let numbers = PerCpu::new()?;
        let _section = super::super::rcu::Section::enter();
        assert_eq!(numbers.read(), 0);
        assert!(!numbers.add_wraps::<{ i32::MAX }>());
        assert!(numbers.add_wraps::<1>());
        assert_eq!(numbers.read(), i32::MIN as u32);
        assert!(numbers.add_wraps::<-1>());
        numbers.write(7);
        assert_eq!(numbers.add(5), 12);
        Ok(())
    }
}
