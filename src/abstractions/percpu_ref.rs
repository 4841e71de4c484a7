// SPDX-License-Identifier: GPL-2.0-or-later

//! Objects counted by a per-CPU reference count.
//!
//! C header: `include/linux/percpu-refcount.h`, C source: `lib/percpu-refcount.c` (Linux 7.3).
//!
//! [`Counted<T>`] owns a `T` and hands out [`Ref<T>`], each of which keeps the `T` where it is.
//! While the object is open, taking and dropping a reference touches a counter of the running CPU
//! only. Closing it lets no new reference be taken; the count then becomes one shared counter
//! after an RCU grace period, and [`Idle::idle`] is called when the last reference goes.
//!
//! Context: [`Counted::get`], [`Counted::enter`], [`Counted::close`] and dropping a [`Ref`] work in
//! any context, also with interrupts off. Everything else sleeps.
//!
//! Lock order: the gate of a `Counted` is taken by [`Counted::drain`], [`Counted::reopen`] and
//! [`Counted::wait_open`] only; nothing is locked inside it.

use super::{
    percpu::this_cpu,
    rcu::{Reader, Section},
    release,
};
use crate::bindings;
use core::{ops::Deref, ptr::NonNull};
use kernel::{
    error::to_result,
    ffi::c_ulong,
    new_condvar, new_mutex,
    prelude::*,
    sync::{
        atomic::{ordering, Atomic},
        Completion, CondVar, Mutex,
    },
    types::Opaque,
};

/// What an object does when the last reference to it has gone after it was closed.
pub(crate) trait Idle: Send + Sync + 'static {
    /// Called once for each close, in any context, possibly with interrupts off. `self` stays
    /// valid until this returns.
    fn idle(&self) {}
}

/// No reference refused.
const OPEN: u32 = 0;
/// New references are refused; some may be left.
const CLOSED: u32 = 1;
/// [`Counted::drain`] has seen the last reference go.
const DRAINED: u32 = 2;

/// # Invariants
///
/// 1. `count` is an initialised `percpu_ref` whose release function is [`Inner::release`].
/// 2. `state` is [`OPEN`] exactly as long as `count` has not been killed since it was last
///    (re)initialised.
/// 3. `idle` is completed by [`Inner::release`] and by nothing else.
/// 4. `state` is [`DRAINED`] only while the count is zero and [`Inner::release`] has completed
///    `idle`.
#[pin_data(PinnedDrop)]
#[repr(C)]
struct Inner<T: Idle> {
    /// First, so that its address is that of the whole, which each I/O has at hand.
    #[pin]
    count: Opaque<bindings::percpu_ref>,
    state: Atomic<u32>,
    #[pin]
    idle: Completion,
    /// `true` while references may be had; guards the steps to and from [`DRAINED`].
    #[pin]
    gate: Mutex<bool>,
    #[pin]
    opened: CondVar,
    #[pin]
    value: T,
}

impl<T: Idle> Inner<T> {
    fn new<E>(value: impl PinInit<T, E>) -> impl PinInit<Self, Error>
    where
        Error: From<E>,
    {
        // INVARIANT: 1 and 2 by `percpu_ref_init`, which starts the count alive at one; 3 and 4
        // since nothing was closed yet. Fields are initialised in this order and dropped again if
        // a later one fails; `count` comes last but for nothing, so that it needs no such drop.
        try_pin_init!(Self {
            state: Atomic::new(OPEN),
            idle <- Completion::new(),
            gate <- new_mutex!(true),
            opened <- new_condvar!(),
            value <- value,
            count <- Opaque::try_ffi_init(|count: *mut bindings::percpu_ref| {
                // SAFETY: `count` is valid for writes and stays where it is, since it is part of
                // a pinned value.
                to_result(unsafe {
                    bindings::percpu_ref_init_at_hand(
                        count,
                        Some(Self::release),
                        bindings::PERCPU_REF_ALLOW_REINIT,
                    )
                })
            }),
        }? Error)
    }

    /// The last reference has gone.
    ///
    /// # Safety
    ///
    /// - Only the C side of `count` may call this, for the `count` field of an `Inner<T>`.
    unsafe extern "C" fn release(count: *mut bindings::percpu_ref) {
        let count = Opaque::cast_from(count);
        #[expect(
            clippy::multiple_unsafe_ops_per_block,
            reason = "inside `container_of`"
        )]
        // SAFETY: By the safety requirement `count` is the field of a live `Inner<T>`: `Counted`
        // drops it only after `idle`, which is completed below.
        let this = unsafe { kernel::container_of!(count, Self, count) };
        // SAFETY: As above; until `idle` is completed the value is not dropped.
        let this = unsafe { &*this };
        this.value.idle();
        // Nothing of `this` may be touched after this line.
        this.idle.complete_all();
    }

    #[inline]
    fn get(&self, _guard: &impl Reader) -> bool {
        let count = self.count.get();
        if cfg!(CONFIG_X86_64) {
            // What `__ref_is_percpu` does, without a call. The helper below does it again.
            // SAFETY: By invariant 1 `count` is initialised.
            let pointer = unsafe { &raw const (*count).percpu_count_ptr };
            // ORDERING: It is read once, as it may change meanwhile. The per-CPU numbers that it
            // points to are seen as they were set before it, as this processor does not move a load
            // or a store before an earlier load.
            // SAFETY: As above; the word changes by whole stores.
            let pointer = unsafe { pointer.read_volatile() };
            if pointer & bindings::__PERCPU_REF_ATOMIC_DEAD as c_ulong == 0 {
                // SAFETY: Without these bits it is a per-CPU pointer to a number. The guard shows a
                // reader of RCU: who sets the bits waits for a grace period before it takes the
                // numbers for final, and they are freed after that.
                unsafe { this_cpu::inc_ulong(pointer as *mut c_ulong) };
                return true;
            }
        }
        // SAFETY: As above.
        unsafe { bindings::percpu_ref_tryget_live_reader(count) }
    }

    fn close(&self) {
        // ORDERING: `percpu_ref_kill` orders itself against `percpu_ref_tryget_live`; `state`
        // only says who calls it.
        if self.state.cmpxchg(OPEN, CLOSED, ordering::Relaxed).is_ok() {
            // SAFETY: By invariants 1 and 2 `count` is initialised and not killed; whoever moves
            // `state` away from `OPEN` kills it, once.
            unsafe { bindings::percpu_ref_kill(self.count.get()) };
        }
    }

    fn drain(&self) {
        let mut open = self.gate.lock();
        *open = false;
        self.close();
        // ORDERING: `DRAINED` is stored and left under the gate only.
        if self.state.load(ordering::Relaxed) == CLOSED {
            self.idle.wait_for_completion();
            // INVARIANT: 4, as `release` has just completed `idle`.
            self.state.store(DRAINED, ordering::Relaxed);
        }
    }

    fn reopen(&self) {
        let mut open = self.gate.lock();
        // ORDERING: As in `drain`.
        if self.state.load(ordering::Relaxed) != DRAINED {
            return;
        }
        // INVARIANT: 3 holds again, for the next time the count drops to zero.
        let idle = core::ptr::from_ref(&self.idle).cast_mut();
        // SAFETY: By invariant 4 `release` has returned from `complete_all`, so nobody completes
        // `idle`, and whoever waits for it holds the gate: access is exclusive. `Completion` is an
        // `Opaque`, so that it may be written to, and has no drop glue.
        unsafe { release::raw_init(idle, Completion::new()) };
        // SAFETY: By invariants 1 and 4 `count` is initialised, killed and zero.
        unsafe { bindings::percpu_ref_reinit(self.count.get()) };
        // INVARIANT: 2, as the count was just made alive.
        // ORDERING: Release, so that a `close` that sees `OPEN` sees the count alive.
        self.state.store(OPEN, ordering::Release);
        *open = true;
        self.opened.notify_all();
    }
}

#[pinned_drop]
impl<T: Idle> PinnedDrop for Inner<T> {
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: By invariant 1 the count is initialised. `Counted` has drained it, so that nobody
        // uses it any more.
        unsafe { bindings::percpu_ref_exit(self.count.get()) };
    }
}

/// The owner of a counted `T`.
///
/// Dropping it closes the object and waits, sleeping, until the last [`Ref`] has gone.
///
/// # Invariants
///
/// 1. `inner` came from `KBox::into_raw` of a pinned box and is owned by this value.
#[repr(transparent)]
pub(crate) struct Counted<T: Idle> {
    inner: NonNull<Inner<T>>,
}

// SAFETY: `Counted` owns an `Inner<T>`, of which everything but `T` is made for sharing; `T` is
// `Send` and `Sync` by the bound on `Idle`.
unsafe impl<T: Idle> Send for Counted<T> {}

// SAFETY: As above.
unsafe impl<T: Idle> Sync for Counted<T> {}

impl<T: Idle> Counted<T> {
    /// Makes an open object. Sleeps.
    ///
    /// # Errors
    ///
    /// - `ENOMEM`: no memory for the object or its counter.
    /// - What `value` returns.
    pub(crate) fn new<E>(value: impl PinInit<T, E>) -> Result<Self>
    where
        Error: From<E>,
    {
        let inner = KBox::pin_init::<Error>(Inner::new(value), GFP_KERNEL)?;
        // SAFETY: The box is not moved out of: it is dropped in place by `Drop` below.
        let inner = unsafe { Pin::into_inner_unchecked(inner) };
        // INVARIANT: 1, straight from the box.
        Ok(Self {
            inner: NonNull::from(KBox::leak(inner)),
        })
    }

    fn inner(&self) -> &Inner<T> {
        // SAFETY: By invariant 1 `inner` is valid as long as `self`.
        unsafe { self.inner.as_ref() }
    }

    /// Takes a reference, unless the object is closed. Any context. The guard may be dropped before
    /// the reference.
    #[inline]
    pub(crate) fn get(&self, guard: &impl Reader) -> Option<Ref<T>> {
        if !self.inner().get(guard) {
            return None;
        }
        // INVARIANT: 1, as a reference was just taken.
        Some(Ref { inner: self.inner })
    }

    /// [Gets](Self::get) a reference, and enters a [`Section`] if it has got one. Any context.
    #[inline]
    pub(crate) fn enter(&self) -> Option<(Ref<T>, Section)> {
        let count = self.inner().count.get();
        // SAFETY: By invariant 1 of `Inner` the count is initialised.
        if !unsafe { bindings::percpu_ref_tryget_live_preempt_disable(count) } {
            return None;
        }
        // SAFETY: The call that has just succeeded leaves preemption disabled.
        let section = unsafe { Section::entered() };
        // INVARIANT: 1, as a reference was just taken.
        Some((Ref { inner: self.inner }, section))
    }

    /// Refuses all further references. Any context; may be repeated.
    pub(crate) fn close(&self) {
        self.inner().close();
    }

    /// Closes the object and waits until the last reference has gone. Sleeps.
    pub(crate) fn drain(&self) {
        self.inner().drain();
    }

    /// Closes the object and tells whether it is idle by now. Sleeps for RCU callbacks at the most,
    /// however long a reference may still be held. If another CPU is closing the object right now,
    /// the answer may be no; [`Idle::idle`] comes later then.
    pub(crate) fn try_drain(&self) -> bool {
        self.close();
        // The switch to one shared counter is an RCU callback, queued by whoever closed the object.
        release::rcu_barrier();
        // SAFETY: By the invariants of `Inner` the count is initialised.
        unsafe { bindings::percpu_ref_is_zero(self.inner().count.get()) }
    }

    /// Lets references be taken again after [`drain`](Self::drain); does nothing otherwise.
    /// Sleeps. Not for objects that are also [closed](Self::close) by others, whose closing it
    /// would undo.
    pub(crate) fn reopen(&self) {
        self.inner().reopen();
    }

    /// Waits, sleeping, until the object is not being drained.
    pub(crate) fn wait_open(&self) {
        let inner = self.inner();
        let mut open = inner.gate.lock();
        while !*open {
            inner.opened.wait(&mut open);
        }
    }

    /// Gives up ownership to a raw pointer, for the C side to keep.
    pub(crate) fn into_raw(self) -> *mut core::ffi::c_void {
        let this = core::mem::ManuallyDrop::new(self);
        this.inner.as_ptr().cast()
    }

    /// Takes back ownership.
    ///
    /// # Safety
    ///
    /// - `raw` came from [`into_raw`](Self::into_raw) of the same `T` and has not been taken back.
    /// - No borrow by [`borrow_raw`](Self::borrow_raw) is left when the value is dropped.
    pub(crate) unsafe fn from_raw(raw: *mut core::ffi::c_void) -> Self {
        // SAFETY: By the first safety requirement `raw` is not null.
        let inner = unsafe { NonNull::new_unchecked(raw.cast()) };
        // INVARIANT: 1 by the first safety requirement.
        Self { inner }
    }

    /// Borrows an object that the C side keeps.
    ///
    /// # Safety
    ///
    /// - `raw` came from [`into_raw`](Self::into_raw) of the same `T` and is not taken back for
    ///   `'a`.
    pub(crate) unsafe fn borrow_raw<'a>(raw: &'a *mut core::ffi::c_void) -> &'a Self {
        // SAFETY: `Self` is a single pointer to the object, which `raw` is by the safety
        // requirement.
        unsafe { &*core::ptr::from_ref(raw).cast() }
    }
}

impl<T: Idle> Deref for Counted<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.inner().value
    }
}

impl<T: Idle> Drop for Counted<T> {
    fn drop(&mut self) {
        self.drain();
        // SAFETY: By invariant 1 this came from a box, and is owned here. The last reference to it
        // has gone.
        drop(unsafe { KBox::from_raw(self.inner.as_ptr()) });
    }
}

/// A reference to the `T` of a [`Counted<T>`], which keeps it from being dropped.
///
/// # Invariants
///
/// 1. `inner` points to a live `Inner<T>`, of whose count this value owns one.
pub(crate) struct Ref<T: Idle> {
    inner: NonNull<Inner<T>>,
}

// SAFETY: A reference may be dropped in any context and on any CPU, and `T` is `Sync`.
unsafe impl<T: Idle> Send for Ref<T> {}

// SAFETY: `&Ref<T>` gives no more than `&T`, and `T` is `Sync`.
unsafe impl<T: Idle> Sync for Ref<T> {}

impl<T: Idle> Deref for Ref<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: By invariant 1 the object is live as long as `self`.
        let inner = unsafe { self.inner.as_ref() };
        &inner.value
    }
}

impl<T: Idle> Clone for Ref<T> {
    fn clone(&self) -> Self {
        // SAFETY: By invariant 1 the object is live.
        let count = unsafe { self.inner.as_ref() }.count.get();
        // SAFETY: By invariant 1 the count is not zero, closed or not.
        unsafe { bindings::percpu_ref_get(count) };
        // INVARIANT: A reference was just taken.
        Self { inner: self.inner }
    }
}

impl<T: Idle> Drop for Ref<T> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: By invariant 1 the object is live.
        let count = unsafe { self.inner.as_ref() }.count.get();
        // SAFETY: By invariant 1 this value owns one count, which is given back here. The object
        // may be gone afterwards.
        unsafe { bindings::percpu_ref_put(count) };
    }
}

#[kunit_tests(md_multipath_percpu_ref)]
mod tests {
    use super::*;
    use kernel::{
        sync::Arc,
        time::{delay::fsleep, Delta},
        workqueue,
    };

    /// What has happened to a [`Subject`].
    struct Log {
        idle: Atomic<i32>,
        dropped: Atomic<i32>,
        released: Atomic<i32>,
    }

    struct Subject(Arc<Log>);

    impl Idle for Subject {
        fn idle(&self) {
            self.0.idle.add(1, ordering::Relaxed);
        }
    }

    impl Drop for Subject {
        fn drop(&mut self) {
            self.0.dropped.add(1, ordering::Relaxed);
        }
    }

    fn subject() -> Result<(Counted<Subject>, Arc<Log>)> {
        let log = Arc::new(
            Log {
                idle: Atomic::new(0),
                dropped: Atomic::new(0),
                released: Atomic::new(0),
            },
            GFP_KERNEL,
        )?;
        Ok((Counted::new::<Error>(Ok(Subject(log.clone())))?, log))
    }

    fn get(counted: &Counted<Subject>) -> Option<Ref<Subject>> {
        counted.get(&Section::enter())
    }

    fn read(number: &Atomic<i32>) -> i32 {
        // ORDERING: What it is compared with is ordered by the count.
        number.load(ordering::Relaxed)
    }

    #[test]
    fn a_closed_object_gives_no_reference() -> Result {
        let (counted, log) = subject()?;
        let held = get(&counted).ok_or(EBUSY)?;
        counted.close();
        counted.close();
        assert!(get(&counted).is_none());
        assert!(counted.enter().is_none());
        // One that is held still gives others.
        let other = held.clone();
        drop(held);
        assert!(!counted.try_drain());
        assert_eq!(read(&log.idle), 0);
        drop(other);
        assert!(counted.try_drain());
        assert_eq!(read(&log.idle), 1);
        drop(counted);
        assert_eq!(read(&log.idle), 1);
        assert_eq!(read(&log.dropped), 1);
        Ok(())
    }

    #[test]
    fn a_drained_object_opens_again() -> Result {
        let (counted, log) = subject()?;
        for round in 1..=3 {
            drop(get(&counted).ok_or(EBUSY)?);
            counted.drain();
            counted.drain();
            assert!(get(&counted).is_none());
            assert_eq!(read(&log.idle), round);
            counted.reopen();
            counted.reopen();
            counted.wait_open();
        }
        let (held, section) = counted.enter().ok_or(EBUSY)?;
        drop(section);
        drop(held);
        Ok(())
    }

    #[test]
    fn one_that_was_only_closed_stays_closed() -> Result {
        let (counted, _) = subject()?;
        counted.close();
        counted.reopen();
        assert!(get(&counted).is_none());
        Ok(())
    }

    /// The references are let go by another task.
    fn let_go_later(counted: &Counted<Subject>, log: &Arc<Log>) -> Result {
        let held = get(counted).ok_or(EBUSY)?;
        let log = log.clone();
        workqueue::system_unbound().try_spawn(GFP_KERNEL, move || {
            fsleep(Delta::from_millis(50));
            log.released.add(1, ordering::Relaxed);
            drop(held);
        })?;
        Ok(())
    }

    #[test]
    fn drain_waits_for_the_last_reference() -> Result {
        let (counted, log) = subject()?;
        for round in 1..=3 {
            let_go_later(&counted, &log)?;
            let_go_later(&counted, &log)?;
            counted.drain();
            assert_eq!(read(&log.released), 2 * round);
            assert_eq!(read(&log.idle), round);
            counted.reopen();
        }
        Ok(())
    }

    #[test]
    fn so_does_dropping_the_object() -> Result {
        let (counted, log) = subject()?;
        let_go_later(&counted, &log)?;
        drop(counted);
        assert_eq!(read(&log.released), 1);
        assert_eq!(read(&log.idle), 1);
        assert_eq!(read(&log.dropped), 1);
        Ok(())
    }

    #[test]
    fn what_c_keeps_comes_back_whole() -> Result {
        let (counted, log) = subject()?;
        let held = get(&counted).ok_or(EBUSY)?;
        let raw = counted.into_raw();
        {
            // SAFETY: From `into_raw`; taken back below.
            let borrowed = unsafe { Counted::<Subject>::borrow_raw(&raw) };
            assert!(core::ptr::eq(&**borrowed, &*held));
        }
        drop(held);
        assert_eq!(read(&log.dropped), 0);
        // SAFETY: From `into_raw`, and taken back once.
        drop(unsafe { Counted::<Subject>::from_raw(raw) });
        assert_eq!(read(&log.dropped), 1);
        Ok(())
    }
}
