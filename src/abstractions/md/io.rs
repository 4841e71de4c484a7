// SPDX-License-Identifier: GPL-2.0-or-later

//! An I/O of an array on its way through one of the array's paths.
//!
//! C headers: `include/linux/bio.h`, `include/linux/blkdev.h`, C sources: `block/bio.c`,
//! `block/blk-core.c` (Linux 7.3).
//!
//! A [`Remap`] is one allocation: a clone of the submitter's bio, which shares its data, with all
//! else that the I/O needs in the front pad. It is had from [`Fresh::new`], given to the block layer
//! by [`Fresh::submit`], comes back in [`Personality::complete`], and may then be ended or kept in a
//! [`List`] and [submitted](Remap::submit) again. In flight nobody but the block layer has it.
//!
//! A `Remap` holds a reference to its array, so that the array cannot stop before it has ended. An
//! I/O that may have to wait for long is put on a [`Shelf`] instead, as a [`Shelved`], for which
//! nobody waits.

use super::{array::Array, personality::Personality, rdev::Member};
use crate::{
    abstractions::{
        bio::{Bio, BioSet, Chain, Kind, Op, Status},
        percpu::Counter,
        percpu_ref::{Idle, Ref},
        trace,
    },
    bindings,
};
use core::{
    mem::{ManuallyDrop, MaybeUninit},
    ptr::{self, NonNull},
};
use kernel::{ffi::c_ulong, prelude::*, sync::Arc};

/// A way to the disk: something that owns a [`Member`].
pub(crate) trait Path: Idle {
    /// The member that I/O is sent to. Always the same one.
    fn member(&self) -> &Member;

    /// What counts the I/Os that are sent to it.
    fn sent(&self) -> &Counter;
}

/// How the memory for an I/O is had.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Memory {
    /// Waited for, unless the submitter forbids it.
    Wait,
    /// If there is some.
    Try,
}

/// What stands in front of a clone.
///
/// A clone's `Pad` is initialised as long as there is a [`Remap`] for it or it is in flight, but for
/// `path`. On a [`Shelf`] all but `path` and `array` is.
pub(super) struct Pad<P: Personality> {
    original: Bio,
    /// When the original was accounted as started, in jiffies; zero if it was not.
    started: c_ulong,
    /// The path that the clone is in flight on. Initialised while it is.
    path: MaybeUninit<Ref<P::Path>>,
    data: P::PerIo,
    /// Dropped last: the array, and all that belongs to it, may go with it.
    array: ManuallyDrop<Ref<Array<P>>>,
}

/// An I/O that is not in flight: linear, so that it is submitted or ended and not forgotten.
///
/// # Invariants
///
/// 1. `clone` points to a clone allocated from the bio set of the array in its pad, and the pad is
///    initialised.
/// 2. The clone is not in flight and in no list; nobody but the owner of this value uses it.
pub(crate) struct Remap<P: Personality> {
    clone: NonNull<bindings::bio>,
    _pad: core::marker::PhantomData<Pad<P>>,
}

// SAFETY: A bio that is not in flight may be used by any thread, and so may all that the pad holds.
unsafe impl<P: Personality> Send for Remap<P> {}

impl<P: Personality> Remap<P> {
    fn pad_ptr(&self) -> *mut Pad<P> {
        Self::pad_of(self.clone.as_ptr())
    }

    fn pad_of(clone: *mut bindings::bio) -> *mut Pad<P> {
        clone.cast::<Pad<P>>().wrapping_sub(1)
    }

    fn pad(&self) -> &Pad<P> {
        // SAFETY: By invariants 1 and 2 the pad is initialised, and borrowed through `self` only.
        unsafe { &*self.pad_ptr() }
    }

    fn pad_mut(&mut self) -> &mut Pad<P> {
        // SAFETY: As in `pad`.
        unsafe { &mut *self.pad_ptr() }
    }

    /// The array that the I/O belongs to.
    pub(crate) fn array(&self) -> &Array<P> {
        &self.pad().array
    }

    /// A reference to the array, for when it is needed beyond the I/O.
    pub(crate) fn array_ref(&self) -> Ref<Array<P>> {
        Ref::clone(&self.pad().array)
    }

    /// The driver's own part.
    pub(crate) fn data(&self) -> &P::PerIo {
        &self.pad().data
    }

    /// The driver's own part, to change.
    pub(crate) fn data_mut(&mut self) -> &mut P::PerIo {
        &mut self.pad_mut().data
    }

    /// What the I/O does.
    pub(crate) fn op(&self) -> Op {
        self.pad().original.op()
    }

    /// The submitter's bio.
    pub(crate) fn original(&self) -> &Bio {
        &self.pad().original
    }

    /// How the clone ended the last time it was submitted.
    pub(crate) fn status(&self) -> Status {
        // SAFETY: By invariants 1 and 2 the clone is valid and nobody writes to it.
        Status::from_raw(unsafe { self.clone.as_ref() }.bi_status)
    }

    /// The clone, for what traces it.
    pub(in crate::abstractions) fn clone_raw(&self) -> *mut bindings::bio {
        self.clone.as_ptr()
    }

    /// For an I/O that failed on a member. A driver may learn from an error that its device cannot discard
    /// or write zeroes after all, and says so from then on (C: `blk_queue_disable_write_zeroes`). The
    /// array then says so, too: it is the array's limit that tells the submitter to do it in another way.
    /// Any context.
    pub(crate) fn follow_limits(&self, member: &Member) {
        let mddev = self.array().mddev();
        match self.op().kind {
            Kind::Discard if !member.rdev().can_discard() => mddev.disable_discard(),
            Kind::WriteZeroes if !member.rdev().can_write_zeroes() => mddev.disable_write_zeroes(),
            _ => {}
        }
    }

    /// Sends the I/O down a path. With `failfast`, lower layers do not repeat what failed on the
    /// way to the disk. Without, they do not merge it with another I/O: that may fail fast, and some
    /// drivers end a request as its first part has it. Process context: it may sleep. The completion may
    /// run before this returns.
    pub(crate) fn submit(self, path: Ref<P::Path>, failfast: bool) {
        let clone = self.clone.as_ptr();
        // SAFETY: By invariants 1 and 2 the clone is valid and used by nobody else.
        if unsafe { (*clone).bi_end_io }.is_some() {
            // SAFETY: As above; the clone is one of `original`, and it has been in flight.
            unsafe { rearm(clone, self.original().as_raw()) };
        }
        if !failfast {
            // SAFETY: As above.
            unsafe { (*clone).bi_opf |= bindings::REQ_NOMERGE };
        }
        // SAFETY: The clone is new, or as good as new.
        unsafe { self.send(path, failfast) };
    }

    /// [Submits](Self::submit) a clone.
    ///
    /// # Safety
    ///
    /// - The clone has not been in flight since it was made or [made as good as new](rearm).
    #[inline(always)]
    unsafe fn send(mut self, path: Ref<P::Path>, failfast: bool) {
        let clone = self.clone.as_ptr();
        let original = self.pad().original.as_raw();
        let member = path.member();

        // SAFETY: By invariants 1 and 2, for this and the lines up to the submission. The path
        // holds the member, whose device is open.
        unsafe { (*clone).bi_bdev = member.bdev() };
        // SAFETY: See above. By the safety requirement it is the position of the original.
        let sector = unsafe { (*clone).bi_iter.bi_sector };
        // SAFETY: See above.
        unsafe { (*clone).bi_iter.bi_sector = sector.wrapping_add(member.data_offset()) };
        // SAFETY: See above.
        unsafe { (*clone).bi_end_io = Some(Self::end_io) };
        // The block layer takes every read-ahead for one that fails fast in each way, and expects that
        // one in a request has no flags but these.
        if failfast && !self.original().is_read_ahead() {
            // SAFETY: See above.
            unsafe { (*clone).bi_opf |= bindings::REQ_FAILFAST_TRANSPORT };
        }
        // SAFETY: See above; both bios have a device.
        unsafe { bindings::bio_clone_blkg_association(clone, original) };
        path.sent().increment();
        trace::map(&self, member);
        self.pad_mut().path.write(path);
        // The block layer owns the clone from here on.
        let _ = ManuallyDrop::new(self);
        // SAFETY: The clone is complete, with a device, a sector and an end function.
        unsafe { bindings::submit_bio_noacct(clone) };
    }

    /// The block layer has done with a clone.
    ///
    /// # Safety
    ///
    /// - Only the block layer may call this, for a clone that [`submit`](Self::submit) gave it.
    unsafe extern "C" fn end_io(clone: *mut bindings::bio) {
        // INVARIANT: 1, as `submit` had it; 2, as the block layer gives the clone back.
        let mut this = Self {
            // SAFETY: By the safety requirement the clone is valid.
            clone: unsafe { NonNull::new_unchecked(clone) },
            _pad: core::marker::PhantomData,
        };
        let status = this.status();
        // SAFETY: `submit` has written it, and the clone comes back once for each time that it was
        // submitted. It is not used again before `submit` writes another.
        let path = unsafe { this.pad_mut().path.assume_init_read() };
        P::complete(this, path, status);
    }

    /// Ends the original, and with it the I/O. Any context.
    pub(crate) fn end(self, status: Status) {
        let mut this = ManuallyDrop::new(self);
        // SAFETY: By invariant 1 the pad is initialised; the field is not used after this.
        let _array = unsafe { ManuallyDrop::take(&mut this.pad_mut().array) };
        // SAFETY: By invariants 1 and 2; `_array` holds the set until the end of this function.
        unsafe { end_clone::<P>(this.clone, status) };
    }
}

impl<P: Personality> Drop for Remap<P> {
    fn drop(&mut self) {
        kernel::pr_err_once!("an I/O was dropped before it was ended; it ends with an error\n");
        // INVARIANT: The new value takes over from `self`, which is gone when this returns.
        let this = Self {
            clone: self.clone,
            _pad: core::marker::PhantomData,
        };
        this.end(Status::IoErr);
    }
}

/// A [`Remap`] that has not been in flight.
///
/// # Invariants
///
/// 1. Its clone has not been submitted.
pub(crate) struct Fresh<P: Personality>(Remap<P>);

impl<P: Personality> Fresh<P> {
    /// Clones `original`, which is accounted to the array's disk from now on. Sleeps if `memory` and
    /// the submitter allow it. `data` is called when there is a clone.
    ///
    /// # Errors
    ///
    /// Gives `original` back, with the status to end it with:
    /// - [`Status::Again`]: sleeping would be needed, and the submitter forbids it.
    /// - [`Status::Resource`]: sleeping would be needed, and `memory` forbids it; or there is no
    ///   memory for a copy of the integrity or encryption context.
    #[inline]
    pub(crate) fn new(
        array: Ref<Array<P>>,
        original: Bio,
        memory: Memory,
        data: impl FnOnce(&P) -> P::PerIo,
    ) -> core::result::Result<Self, (Bio, Status)> {
        // The bio set lays the pad out before the clone, which is aligned to eight bytes.
        const { assert!(align_of::<Pad<P>>() <= 8 && size_of::<Pad<P>>() % 8 == 0) };

        let gfp = match memory {
            Memory::Wait if !original.is_nowait() => bindings::GFP_NOIO,
            _ => bindings::GFP_NOWAIT,
        };
        // SAFETY: The original is valid, and so is the set; no device is chosen yet.
        let clone = unsafe {
            bindings::bio_alloc_clone(ptr::null_mut(), original.as_raw(), gfp, array.bios.as_raw())
        };
        let Some(clone) = NonNull::new(clone) else {
            let status = match original.is_nowait() {
                true => Status::Again,
                false => Status::Resource,
            };
            return Err((original, status));
        };
        let pad = Pad {
            data: data(&array),
            started: start_accounting(&original),
            original,
            path: MaybeUninit::uninit(),
            array: ManuallyDrop::new(array),
        };
        // INVARIANT: 1, as the pad is written here; 2, as the clone is new.
        let this = Remap {
            clone,
            _pad: core::marker::PhantomData,
        };
        // SAFETY: The set was made with a front pad of the size of `Pad<P>`.
        unsafe { this.pad_ptr().write(pad) };
        // INVARIANT: 1, as nobody has submitted it.
        Ok(Self(this))
    }

    /// The array that the I/O belongs to.
    #[inline]
    pub(crate) fn array(&self) -> &Array<P> {
        self.0.array()
    }

    /// [Sends](Remap::submit) the I/O down a path. It may be merged with others.
    #[inline(always)]
    pub(crate) fn submit(self, path: Ref<P::Path>, failfast: bool) {
        // SAFETY: By invariant 1.
        unsafe { self.0.send(path, failfast) };
    }
}

impl<P: Personality> From<Fresh<P>> for Remap<P> {
    fn from(fresh: Fresh<P>) -> Self {
        fresh.0
    }
}

/// Ends the original of a clone, and frees the clone. Any context.
///
/// # Safety
///
/// - `clone` is a valid clone, not in flight, and used by nobody else from here on.
/// - Its pad is initialised but for the reference to the array, and the set that it came from stays
///   until this returns.
#[inline]
unsafe fn end_clone<P: Personality>(clone: NonNull<bindings::bio>, status: Status) {
    // SAFETY: By the safety requirements; the pad is not used after this.
    let pad = unsafe { Remap::<P>::pad_of(clone.as_ptr()).read() };
    if pad.started != 0 {
        end_accounting(&pad.original, pad.started);
    }
    // SAFETY: By the safety requirements.
    unsafe { bindings::bio_put(clone.as_ptr()) };
    pad.original.end(status);
    // The rest of the pad is dropped here, without the reference to the array; there is no path.
}

/// Makes a clone that has been in flight as good as new, without an allocation.
///
/// What lower layers may have changed is set again: the position, the operation's flags, the
/// status, the count of splits. What the clone shares with or copied from the original and no layer
/// changes stays: data, protection information, priority, hints.
///
/// # Safety
///
/// - `clone` is a valid clone of `original`, was in flight, and is used by nobody else.
/// - `original` is valid and has not been ended.
#[cold]
unsafe fn rearm(clone: *mut bindings::bio, original: *mut bindings::bio) {
    // These two outlive a completion: who else holds the bio, and whether its cgroup counts it.
    const KEPT: u16 = 1 << bindings::BIO_REFFED | 1 << bindings::BIO_CGROUP_ACCT;
    const CLONED: u16 = 1 << bindings::BIO_CLONED;

    // SAFETY: By the safety requirements: nobody else uses the clone.
    let bio = unsafe { &mut *clone };
    // A part of a request is ended while it still points to the next one.
    bio.bi_next = ptr::null_mut();
    // Whether the clone goes back to the cache or to the slab was settled when it was allocated. Who
    // submits it now may sleep, whatever its first submitter wanted.
    // SAFETY: By the safety requirements, for this and the reads below. Parts that were split off
    // the original write to its status and count alone.
    let opf = unsafe { (*original).bi_opf };
    let opf = opf & !(bindings::REQ_ALLOC_CACHE | bindings::REQ_NOWAIT);
    bio.bi_opf = opf | (bio.bi_opf & bindings::REQ_ALLOC_CACHE);
    bio.bi_flags = (bio.bi_flags & KEPT) | CLONED;
    bio.bi_status = Status::Ok.to_raw();
    // SAFETY: See above.
    bio.bi_iter = unsafe { (*original).bi_iter };
    bio.__bi_remaining.counter = 1;
    bio.__bindgen_anon_1.bi_cookie = bindings::blk_qc_t::MAX;
    // SAFETY: See above.
    bio.bi_bvec_gap_bit = unsafe { (*original).bi_bvec_gap_bit };
    // SAFETY: See above.
    bio.bi_io_vec = unsafe { (*original).bi_io_vec };
    #[cfg(CONFIG_BLK_CGROUP_IOCOST)]
    {
        bio.bi_iocost_cost = 0;
    }

    // Protection information that the submitter gave was copied with the clone, and its iterator
    // has moved with the data. Of a clone that was split only a part may have its reference tags as the
    // disk has them; tags that are so are left alone when it is done again.
    #[cfg(CONFIG_BLK_DEV_INTEGRITY)]
    {
        // SAFETY: See above.
        let from: *mut bindings::bio_integrity_payload = unsafe { (*original).bi_integrity }.cast();
        let to: *mut bindings::bio_integrity_payload = bio.bi_integrity.cast();
        if !from.is_null() && !to.is_null() {
            // SAFETY: A bio's integrity payload lives as long as the bio.
            let iter = unsafe { (*from).bip_iter };
            // SAFETY: As above; the payload is the clone's own.
            unsafe { (*to).bip_iter = iter };
            // SAFETY: As above.
            unsafe { (*to).bip_flags &= !bindings::BIP_MAPPED_INTEGRITY };
        }
    }
}

/// Accounts a bio as started on its own disk, if the disk's `iostats` are on. Gives the time in
/// jiffies, zero if it was not accounted.
#[inline]
fn start_accounting(bio: &Bio) -> c_ulong {
    let bio = bio.as_raw();
    // SAFETY: The bio is valid.
    let bdev = unsafe { (*bio).bi_bdev };
    // SAFETY: A submitted bio has a device.
    let queue = unsafe { (*bdev).bd_queue };
    // SAFETY: A device has a queue for as long as it is open.
    let features = unsafe { &raw const (*queue).limits.features };
    // SAFETY: As above; the word changes by whole stores.
    let features = unsafe { features.read_volatile() };
    if features & bindings::BLK_FEAT_IO_STAT == 0 {
        return 0;
    }
    // SAFETY: The bio is valid.
    unsafe { bindings::bio_start_io_acct(bio) }
}

/// Accounts a bio as done that [`start_accounting`] started.
#[inline]
fn end_accounting(bio: &Bio, started: c_ulong) {
    let bio = bio.as_raw();
    // SAFETY: A valid, submitted bio has a device.
    let bdev = unsafe { (*bio).bi_bdev };
    // SAFETY: The bio is valid and was accounted to that device.
    unsafe { bindings::bio_end_io_acct_remapped(bio, started, bdev) };
}

/// A first-in first-out list of I/Os, which needs no memory of its own.
///
/// Dropping it ends what is in it with an error.
///
/// # Invariants
///
/// 1. What is in `chain` are clones of which [`Remap`]s were made: the list owns them as such.
pub(crate) struct List<P: Personality> {
    chain: Chain,
    _owns: core::marker::PhantomData<Remap<P>>,
}

impl<P: Personality> List<P> {
    /// Makes an empty list.
    pub(crate) const fn new() -> Self {
        // INVARIANT: 1, for nothing.
        Self {
            chain: Chain::new(),
            _owns: core::marker::PhantomData,
        }
    }

    /// Appends an I/O.
    pub(crate) fn push(&mut self, io: Remap<P>) {
        // INVARIANT: 1, directly.
        // SAFETY: By the invariants of `Remap` the clone is valid and owned here.
        unsafe { self.chain.push(ManuallyDrop::new(io).clone) };
    }

    /// Takes the first I/O.
    pub(crate) fn pop(&mut self) -> Option<Remap<P>> {
        // INVARIANT: Both of `Remap` by invariant 1, as the clone has left the chain.
        Some(Remap {
            clone: self.chain.pop()?,
            _pad: core::marker::PhantomData,
        })
    }

    /// The driver's part of the first I/O.
    pub(crate) fn first(&self) -> Option<&P::PerIo> {
        // SAFETY: By invariant 1 the clone has a pad with data, borrowed through `self` only.
        Some(unsafe { data_of::<P>(self.chain.first()?) })
    }

    /// Takes all, and leaves the list empty.
    pub(crate) fn take(&mut self) -> Self {
        core::mem::replace(self, Self::new())
    }
}

impl<P: Personality> Drop for List<P> {
    fn drop(&mut self) {
        while let Some(io) = self.pop() {
            io.end(Status::IoErr);
        }
    }
}

/// The driver's part of an I/O.
///
/// # Safety
///
/// - `clone` is valid for `'a`, and so are the data in its pad, which nobody changes meanwhile.
unsafe fn data_of<'a, P: Personality>(clone: NonNull<bindings::bio>) -> &'a P::PerIo {
    // SAFETY: By the safety requirement.
    unsafe { &(*Remap::<P>::pad_of(clone.as_ptr())).data }
}

/// An I/O off a [`Shelf`]: it holds no reference to its array, which may stop meanwhile. Linear,
/// like a [`Remap`].
///
/// # Invariants
///
/// 1. `clone` points to a clone allocated from `bios`, and its pad is initialised but for the
///    reference to the array.
/// 2. The clone is not in flight and in no list; nobody but the owner of this value uses it.
pub(crate) struct Shelved<P: Personality> {
    clone: NonNull<bindings::bio>,
    bios: Arc<BioSet>,
    _pad: core::marker::PhantomData<Pad<P>>,
}

// SAFETY: As for `Remap`.
unsafe impl<P: Personality> Send for Shelved<P> {}

impl<P: Personality> Shelved<P> {
    /// Takes the I/O back as one of `array`.
    ///
    /// # Errors
    ///
    /// Gives it back if it is not one of that array's.
    pub(crate) fn resume(
        self,
        array: Ref<Array<P>>,
    ) -> core::result::Result<Remap<P>, (Self, Ref<Array<P>>)> {
        if !Arc::ptr_eq(&self.bios, &array.bios) {
            return Err((self, array));
        }
        let clone = self.clone;
        let mut this = ManuallyDrop::new(self);
        // SAFETY: By invariant 1 the pad is a valid place.
        let place = unsafe { &raw mut (*Remap::<P>::pad_of(clone.as_ptr())).array };
        // SAFETY: As above; it holds no value now.
        unsafe { place.write(ManuallyDrop::new(array)) };
        // The reference to the set goes; `array` has one.
        // SAFETY: `this` is not used, nor dropped, after this.
        unsafe { ptr::drop_in_place(&mut this.bios) };
        // INVARIANT: 1, as the pad is complete again, and the set is the array's; 2 by 2.
        Ok(Remap {
            clone,
            _pad: core::marker::PhantomData,
        })
    }

    /// What the I/O does.
    pub(crate) fn op(&self) -> Op {
        self.original().op()
    }

    /// The submitter's bio.
    pub(in crate::abstractions) fn original(&self) -> &Bio {
        // SAFETY: By invariants 1 and 2 the pad's original is initialised, and borrowed through
        // `self` only.
        unsafe { &(*Remap::<P>::pad_of(self.clone.as_ptr())).original }
    }

    /// How the clone ended the last time it was submitted; `Ok` if it was not.
    pub(crate) fn status(&self) -> Status {
        // SAFETY: By invariants 1 and 2 the clone is valid and nobody writes to it.
        Status::from_raw(unsafe { self.clone.as_ref() }.bi_status)
    }

    /// Ends the original, and with it the I/O. Any context while the array is there; else process
    /// context, as the bio set may go with it.
    pub(crate) fn end(self, status: Status) {
        let clone = self.clone;
        let mut this = ManuallyDrop::new(self);
        // SAFETY: By invariants 1 and 2; `bios` is dropped after this.
        unsafe { end_clone::<P>(clone, status) };
        // SAFETY: `this` is not used, nor dropped, after this.
        unsafe { ptr::drop_in_place(&mut this.bios) };
    }
}

impl<P: Personality> Drop for Shelved<P> {
    fn drop(&mut self) {
        kernel::pr_err_once!("an I/O was dropped before it was ended; it ends with an error\n");
        // SAFETY: By invariants 1 and 2; `self` is gone after this but for `bios`, which is dropped
        // then.
        unsafe { end_clone::<P>(self.clone, Status::IoErr) };
    }
}

/// A first-in first-out list of I/Os for which nobody waits, which needs no memory of its own.
///
/// Dropping it ends what is on it with an error.
///
/// # Invariants
///
/// 1. What is in `chain` are clones of which [`Shelved`]s can be made, from `bios`, which is there
///    unless there is none of them: the shelf owns them as such.
pub(crate) struct Shelf<P: Personality> {
    chain: Chain,
    bios: Option<Arc<BioSet>>,
    _owns: core::marker::PhantomData<Shelved<P>>,
}

impl<P: Personality> Shelf<P> {
    /// Makes an empty shelf.
    pub(crate) const fn new() -> Self {
        // INVARIANT: 1, for nothing.
        Self {
            chain: Chain::new(),
            bios: None,
            _owns: core::marker::PhantomData,
        }
    }

    /// Appends an I/O, or puts it before all others if it is to be the `first`. Gives the reference
    /// to the array that it had, for the caller to drop, who may hold a lock that lies in the array.
    ///
    /// # Errors
    ///
    /// Gives it back if it is not of the same array as what is on the shelf.
    pub(crate) fn push(
        &mut self,
        mut io: Remap<P>,
        first: bool,
    ) -> core::result::Result<Ref<Array<P>>, Remap<P>> {
        let bios = io.array().bios.clone();
        match &self.bios {
            Some(own) if !Arc::ptr_eq(own, &bios) => return Err(io),
            Some(_) => {}
            None => self.bios = Some(bios),
        }
        // SAFETY: The pad is initialised; the field is not used until it is written anew.
        let array = unsafe { ManuallyDrop::take(&mut io.pad_mut().array) };
        // INVARIANT: 1, as the clone is from the set of its array.
        let clone = ManuallyDrop::new(io).clone;
        if first {
            // SAFETY: By the invariants of `Remap` the clone is valid and owned here.
            unsafe { self.chain.push_front(clone) };
        } else {
            // SAFETY: As above.
            unsafe { self.chain.push(clone) };
        }
        Ok(array)
    }

    /// Takes the first I/O.
    pub(crate) fn pop(&mut self) -> Option<Shelved<P>> {
        let bios = self.bios.clone()?;
        let clone = self.chain.pop()?;
        // INVARIANT: 1 by invariant 1; 2, as it has left the chain.
        Some(Shelved {
            clone,
            bios,
            _pad: core::marker::PhantomData,
        })
    }

    /// The driver's part of the first I/O.
    pub(crate) fn first(&self) -> Option<&P::PerIo> {
        // SAFETY: By invariant 1 the clone has a pad with data, borrowed through `self` only.
        Some(unsafe { data_of::<P>(self.chain.first()?) })
    }

    /// Takes all, and leaves the shelf empty.
    pub(crate) fn take(&mut self) -> Self {
        core::mem::replace(self, Self::new())
    }

    /// Appends all of another shelf of the same array.
    ///
    /// # Errors
    ///
    /// Gives the other back if it is not of the same array.
    pub(crate) fn append(&mut self, mut other: Self) -> core::result::Result<(), Self> {
        match (&self.bios, &other.bios) {
            (_, None) => return Ok(()),
            (Some(own), Some(bios)) if !Arc::ptr_eq(own, bios) => return Err(other),
            (_, Some(bios)) => self.bios = Some(bios.clone()),
        }
        // INVARIANT: 1, as both are of one set.
        self.chain.append(&mut other.chain);
        Ok(())
    }

    /// Brings the I/Os into the order of `key`, and leaves those of equal keys as they are. Keys
    /// wrap: of two the one comes first from which fewer steps up lead to the other.
    pub(crate) fn sort(&mut self, key: impl Fn(&P::PerIo) -> u32) {
        self.chain.sort(|clone| {
            // SAFETY: By invariant 1 the clone has a pad with data, borrowed through `self` only.
            key(unsafe { data_of::<P>(clone) })
        });
    }
}

impl<P: Personality> Drop for Shelf<P> {
    fn drop(&mut self) {
        while let Some(io) = self.pop() {
            io.end(Status::IoErr);
        }
    }
}
