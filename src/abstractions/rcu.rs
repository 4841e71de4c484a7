// SPDX-License-Identifier: GPL-2.0-or-later

//! A pointer that is read under RCU.
//!
//! C header: `include/linux/rcupdate.h` (Linux 7.3). The kernel crate has the read-side guard and
//! the grace period; this adds the pointer between them, and a guard that costs less.

use super::{once::load_acquire, release};
use crate::bindings;
use core::marker::PhantomData;
use kernel::{
    new_mutex,
    prelude::*,
    sync::{
        atomic::{ordering, Atomic},
        rcu, Mutex,
    },
    types::NotThreadSafe,
};

/// Shows that its holder is a reader of RCU.
///
/// # Safety
///
/// - As long as there is a value, no grace period ends that began after the value was made.
pub(crate) unsafe trait Reader {}

// SAFETY: The guard stands for `rcu_read_lock`.
unsafe impl Reader for rcu::Guard {}

/// A short stretch of code that cannot be preempted. The grace periods of RCU wait for its end as
/// they do for `rcu_read_unlock` (`Documentation/RCU/whatisRCU.rst`), and its two ends do less than
/// RCU's own. No lock that sleeps, under any configuration, may be
/// taken in it.
///
/// # Invariants
///
/// 1. Preemption is disabled, once for this value.
pub(crate) struct Section(NotThreadSafe);

// SAFETY: By invariant 1 the CPU passes through no quiescent state as long as there is a value.
unsafe impl Reader for Section {}

impl Section {
    /// Begins one. Any context.
    #[inline]
    pub(crate) fn enter() -> Self {
        // SAFETY: May be called anywhere; undone when the value is dropped.
        unsafe { bindings::preempt_disable() };
        // INVARIANT: 1, directly.
        Self(NotThreadSafe)
    }

    /// Takes over one that has begun.
    ///
    /// # Safety
    ///
    /// - Preemption is disabled, and it is up to the caller to enable it.
    #[inline]
    pub(super) unsafe fn entered() -> Self {
        // INVARIANT: 1 by the safety requirement.
        Self(NotThreadSafe)
    }
}

impl Drop for Section {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: By invariant 1.
        unsafe { bindings::preempt_enable() };
    }
}

/// An owned `T` that readers see under an RCU guard and writers replace as a whole.
///
/// # Invariants
///
/// 1. `pointer` came from `KBox::into_raw` and is owned by this value.
/// 2. It is replaced only with `writer` held, and what it pointed to is dropped only after a grace
///    period has passed since.
#[pin_data(PinnedDrop)]
pub(crate) struct Pointer<T> {
    pointer: Atomic<*mut T>,
    #[pin]
    writer: Mutex<()>,
    _owns: PhantomData<T>,
}

// SAFETY: `Pointer` owns a `T` and shares it with readers on other CPUs.
unsafe impl<T: Send + Sync> Send for Pointer<T> {}

// SAFETY: As above; a `T` put in by one thread may be dropped by another.
unsafe impl<T: Send + Sync> Sync for Pointer<T> {}

impl<T> Pointer<T> {
    /// Makes a pointer to `value`.
    pub(crate) fn new(value: KBox<T>) -> impl PinInit<Self> {
        // INVARIANT: 1, straight from the box.
        pin_init!(Self {
            pointer: Atomic::new(KBox::into_raw(value)),
            writer <- new_mutex!(()),
            _owns: PhantomData,
        })
    }

    /// The current value, for as long as the guard lives. Any context.
    #[inline]
    pub(crate) fn dereference<'a>(&'a self, _guard: &'a impl Reader) -> &'a T {
        // ORDERING: Acquire pairs with the release in `update`, so that the contents of the value
        // are seen. `rcu_dereference` gets by with the address dependency, which Rust's compiler
        // does not promise to keep.
        let pointer = load_acquire(&self.pointer);
        // SAFETY: By invariants 1 and 2 the value is dropped only after a grace period, and the
        // guard keeps one from passing.
        unsafe { &*pointer }
    }

    /// Replaces the value by what `next` makes of it, waits for a grace period and drops the old
    /// one. Sleeps. If `next` fails, nothing changes.
    pub(crate) fn update(&self, next: impl FnOnce(&T) -> Result<KBox<T>>) -> Result {
        let writer = self.writer.lock();
        // ORDERING: The pointer changes under the writers' lock only.
        let old = self.pointer.load(ordering::Relaxed);
        // SAFETY: By invariants 1 and 2 the value stays until it is replaced, which takes the lock
        // that is held.
        let new = next(unsafe { &*old })?;
        // INVARIANT: 1, straight from the box; 2, the lock is held.
        // ORDERING: Release publishes the contents of the new value; see `dereference`.
        self.pointer.store(KBox::into_raw(new), ordering::Release);
        drop(writer);
        release::synchronize_rcu();
        // SAFETY: By invariant 1 this was a box; it was replaced above, by this call alone, and by
        // the grace period no reader is left.
        drop(unsafe { KBox::from_raw(old) });
        Ok(())
    }
}

#[pinned_drop]
impl<T> PinnedDrop for Pointer<T> {
    fn drop(self: Pin<&mut Self>) {
        // ORDERING: `&mut self`: there is no reader and no writer.
        let pointer = self.pointer.load(ordering::Relaxed);
        // SAFETY: By invariant 1 this is a box and owned here; readers borrow `self`, so there are
        // none.
        drop(unsafe { KBox::from_raw(pointer) });
    }
}

#[kunit_tests(md_multipath_rcu)]
mod tests {
    use super::*;
    use kernel::{
        sync::{Arc, Completion},
        time::{delay::udelay, Delta},
        workqueue,
    };

    /// A number that counts how often one has been dropped.
    struct Value(i32, Arc<Atomic<i32>>);

    impl Drop for Value {
        fn drop(&mut self) {
            self.1.add(1, ordering::Relaxed);
        }
    }

    #[pin_data]
    struct Subject {
        #[pin]
        pointer: Pointer<Value>,
        #[pin]
        entered: Completion,
        left: Atomic<i32>,
    }

    fn subject() -> Result<(Arc<Subject>, Arc<Atomic<i32>>)> {
        let dropped = Arc::new(Atomic::new(0), GFP_KERNEL)?;
        let value = KBox::new(Value(1, dropped.clone()), GFP_KERNEL)?;
        let subject = Arc::pin_init(
            pin_init!(Subject {
                pointer <- Pointer::new(value),
                entered <- Completion::new(),
                left: Atomic::new(0),
            }),
            GFP_KERNEL,
        )?;
        Ok((subject, dropped))
    }

    fn increase(old: &Value) -> Result<KBox<Value>> {
        Ok(KBox::new(Value(old.0 + 1, old.1.clone()), GFP_KERNEL)?)
    }

    #[test]
    fn what_was_replaced_is_dropped_once() -> Result {
        let (subject, dropped) = subject()?;
        for round in 1..=3 {
            assert_eq!(subject.pointer.dereference(&Section::enter()).0, round);
            subject.pointer.update(increase)?;
            assert_eq!(dropped.load(ordering::Relaxed), round);
        }
        drop(subject);
        assert_eq!(dropped.load(ordering::Relaxed), 4);
        Ok(())
    }

    #[test]
    fn an_update_that_fails_changes_nothing() -> Result {
        let (subject, dropped) = subject()?;
        assert!(subject.pointer.update(|_| Err(EINVAL)).is_err());
        assert_eq!(subject.pointer.dereference(&rcu::Guard::new()).0, 1);
        assert_eq!(dropped.load(ordering::Relaxed), 0);
        Ok(())
    }

    /// `Guard` is held by another task while this one updates: it sees the old value to its end.
    fn waits_for<Guard: Reader + 'static>(enter: fn() -> Guard) -> Result {
        let (subject, dropped) = subject()?;
        let (reader, count) = (subject.clone(), dropped.clone());
        workqueue::system_unbound().try_spawn(GFP_KERNEL, move || {
            let guard = enter();
            let seen = reader.pointer.dereference(&guard);
            reader.entered.complete_all();
            // Busily: the guards allow no sleep.
            for _ in 0..20 {
                udelay(Delta::from_millis(1));
            }
            if seen.0 == 1 && count.load(ordering::Relaxed) == 0 {
                reader.left.store(1, ordering::Release);
            } else {
                reader.left.store(2, ordering::Release);
            }
            drop(guard);
        })?;
        subject.entered.wait_for_completion();
        subject.pointer.update(increase)?;
        assert_eq!(subject.left.load(ordering::Acquire), 1);
        assert_eq!(dropped.load(ordering::Relaxed), 1);
        Ok(())
    }

    #[test]
    fn an_update_waits_for_a_reader() -> Result {
        waits_for(rcu::Guard::new)
    }

    #[test]
    fn an_update_waits_for_a_section() -> Result {
        waits_for(Section::enter)
    }
}
