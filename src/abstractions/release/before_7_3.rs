// SPDX-License-Identifier: GPL-2.0-or-later

//! Linux 7.2.
//!
//! C header: `include/linux/spinlock.h` (Linux 7.2). [`SpinLockIrq`] saves and restores the state of
//! interrupts; guards that overlap have to be dropped in the reverse order.

use super::{Show, Store};
use crate::bindings;
use core::convert::Infallible;
pub(crate) use kernel::ModuleMetadata;
use kernel::{
    ffi::{c_char, c_ulong},
    module_param::ModuleParamAccess,
    prelude::*,
    sync::lock::{Backend, Guard, Lock},
    time::Delta,
};

/// The module that the crate is.
pub(crate) const fn this_module<M: ModuleMetadata>() -> &'static ThisModule {
    &crate::THIS_MODULE
}

/// A spinlock that is held with interrupts off on this processor.
pub(crate) type SpinLockIrq<T> = Lock<T, SpinLockIrqBackend>;

/// Proof that a [`SpinLockIrq`] is held.
pub(crate) type SpinLockIrqGuard<'a, T> = Guard<'a, T, SpinLockIrqBackend>;

/// Makes a [`SpinLockIrq`] in place.
macro_rules! new_spinlock_irq {
    ($inner:expr $(,)?) => {
        $crate::abstractions::release::SpinLockIrq::new(
            $inner,
            kernel::optional_name!(),
            kernel::static_lock_class!(),
        )
    };
}
pub(crate) use new_spinlock_irq;

/// `spinlock_t`, with `spin_lock_irqsave`.
pub(crate) struct SpinLockIrqBackend;

// SAFETY: `spinlock_t` excludes everybody else. `relock` is the default one, which calls `lock`.
unsafe impl Backend for SpinLockIrqBackend {
    type State = bindings::spinlock_t;
    type GuardState = c_ulong;

    #[inline]
    unsafe fn init(ptr: *mut Self::State, name: *const c_char, key: *mut bindings::lock_class_key) {
        // SAFETY: By the caller `ptr` may be written to, and `name` and `key` stay.
        unsafe { bindings::__spin_lock_init(ptr, name, key) }
    }

    #[inline]
    unsafe fn lock(ptr: *mut Self::State) -> Self::GuardState {
        // SAFETY: By the caller `ptr` points to a lock that was initialised.
        unsafe { bindings::spin_lock_irqsave(ptr) }
    }

    #[inline]
    unsafe fn try_lock(ptr: *mut Self::State) -> Option<Self::GuardState> {
        let mut flags = 0;
        // SAFETY: By the caller `ptr` points to a lock that was initialised; `flags` is written to.
        let locked = unsafe { bindings::spin_trylock_irqsave(ptr, &mut flags) };
        locked.then_some(flags)
    }

    #[inline]
    unsafe fn unlock(ptr: *mut Self::State, flags: &Self::GuardState) {
        // SAFETY: By the caller the lock is held, and `flags` is what `lock` or `try_lock` gave.
        unsafe { bindings::spin_unlock_irqrestore(ptr, *flags) }
    }

    #[inline]
    unsafe fn assert_is_held(ptr: *mut Self::State) {
        // SAFETY: By the caller `ptr` points to a lock that was initialised.
        unsafe { bindings::spin_assert_is_held(ptr) }
    }
}

/// Waits until the callbacks of `call_rcu` that are under way have run. May sleep.
pub(crate) fn rcu_barrier() {
    // SAFETY: Any process context may call it.
    unsafe { bindings::rcu_barrier() };
}

/// Waits for a grace period. May sleep.
pub(crate) fn synchronize_rcu() {
    // SAFETY: Any process context may call it.
    unsafe { bindings::synchronize_rcu() };
}

/// A full barrier between processors.
#[inline(always)]
pub(crate) fn smp_mb() {
    kernel::sync::barrier::smp_mb();
}

/// Initialises `slot`.
///
/// # Safety
///
/// - `slot` may be written to, and nobody else uses it.
/// - What `slot` points to does not move until it is dropped.
pub(crate) unsafe fn raw_init<T>(slot: *mut T, init: impl PinInit<T, Infallible>) {
    // SAFETY: By the caller `slot` may be written to, and what is there then stays in its place.
    match unsafe { init.__pinned_init(slot) } {
        Ok(()) => (),
        Err(never) => match never {},
    }
}

/// A span in milliseconds, rounded up.
pub(crate) fn millis_ceil(span: Delta) -> i64 {
    span.as_micros_ceil().saturating_add(999) / 1000
}

/// Gives an attribute its functions.
pub(crate) const fn set_functions(attr: &mut bindings::kobj_attribute, show: Show, store: Store) {
    attr.show = Some(show);
    attr.store = Some(store);
}

/// A module parameter's value.
pub(crate) fn parameter<T: Copy>(parameter: &ModuleParamAccess<T>) -> T {
    *parameter.value()
}

/// The value of a parameter that is on or off: 0 is off.
pub(crate) fn flag(parameter: &ModuleParamAccess<u8>) -> bool {
    *parameter.value() != 0
}

/// Gives `$then` the type of a parameter that is on or off, and the value of one that is on.
macro_rules! with_flag {
    ($then:ident) => {
        $then!(u8, 1);
    };
}
pub(crate) use with_flag;
