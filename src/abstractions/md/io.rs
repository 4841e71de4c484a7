// SPDX-License-Identifier: GPL-2.0-or-later

//! An I/O of an array on its way through one of the array's paths.
//!
//! C headers: `include/linux/bio.h`, `include/linux/blkdev.h`, C sources: `block/bio.c`,
//! `block/blk-core.c` (Linux 7.3).
//!
//! A [`Remap`] is one allocation: a clone of the submitter's bio, which shares its data, with all
//! else that the I/O needs in the front pad. It is had from [`Remap::new`], given to the block
//! layer by [`Remap::submit`], comes back in [`Personality::complete`], and may then be ended or
//! kept in a [`List`] and submitted again. In flight nobody but the block layer has it.

use super::{array::Array, personality::Personality, rdev::Member};
use crate::{
    abstractions::{
        bio::{Bio, Op, Status},
        percpu_ref::{Idle, Ref},
    },
    bindings,
};
use core::{
    mem::ManuallyDrop,
    ptr::{self, NonNull},
};
use kernel::{ffi::c_ulong, prelude::*};

/// A way to the disk: something that owns a [`Member`].
pub(crate) trait Path: Idle {
    /// The member that I/O is sent to. Always the same one.
    fn member(&self) -> &Member;
}

/// What stands in front of a clone.
///
/// A clone's `Pad` is initialised as long as there is a [`Remap`] for it or it is in flight.
pub(super) struct Pad<P: Personality> {
    original: Bio,
    /// When the original was accounted as started, in jiffies; zero if it was not.
    started: c_ulong,
    /// The path that the clone is in flight on.
    path: Option<Ref<P::Path>>,
    data: P::PerIo,
    /// Dropped last: the array, and all that belongs to it, may go with it.
    array: Ref<Array<P>>,
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
    /// Clones `original`, which is accounted to the array's disk from now on. Sleeps, unless the
    /// submitter forbids it.
    ///
    /// # Errors
    ///
    /// Gives `original` back, with the status to end it with:
    /// - [`Status::Again`]: sleeping would be needed, and the submitter forbids it.
    /// - [`Status::Resource`]: no memory for a copy of the integrity or encryption context.
    pub(crate) fn new(
        array: Ref<Array<P>>,
        original: Bio,
        data: P::PerIo,
    ) -> core::result::Result<Self, (Bio, Status)> {
        // The bio set lays the pad out before the clone, which is aligned to eight bytes.
        const { assert!(align_of::<Pad<P>>() <= 8 && size_of::<Pad<P>>() % 8 == 0) };

        let (gfp, refusal) = if original.is_nowait() {
            (bindings::GFP_NOWAIT, Status::Again)
        } else {
            (bindings::GFP_NOIO, Status::Resource)
        };
        // SAFETY: The original is valid, and so is the set; no device is chosen yet.
        let clone = unsafe {
            bindings::bio_alloc_clone(ptr::null_mut(), original.as_raw(), gfp, array.bios.as_raw())
        };
        let Some(clone) = NonNull::new(clone) else {
            return Err((original, refusal));
        };
        let pad = Pad {
            started: start_accounting(&original),
            original,
            array,
            path: None,
            data,
        };
        // INVARIANT: 1, as the pad is written here; 2, as the clone is new.
        let this = Self {
            clone,
            _pad: core::marker::PhantomData,
        };
        // SAFETY: The set was made with a front pad of the size of `Pad<P>`.
        unsafe { this.pad_ptr().write(pad) };
        Ok(this)
    }

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
        self.pad().array.clone()
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
        let original = self.pad().original.as_raw();
        // SAFETY: The original is valid until it is ended.
        let opf = unsafe { (*original).bi_opf };
        Op {
            read_ahead: opf & bindings::REQ_RAHEAD != 0,
        }
    }

    /// How the clone ended the last time it was submitted.
    pub(crate) fn status(&self) -> Status {
        // SAFETY: By invariants 1 and 2 the clone is valid and nobody writes to it.
        Status::from_raw(unsafe { self.clone.as_ref() }.bi_status)
    }

    /// Sends the I/O down a path. With `failfast`, lower layers do not repeat what failed on the
    /// way to the disk. Process context: it may sleep. The completion may run before this returns.
    pub(crate) fn submit(mut self, path: Ref<P::Path>, failfast: bool) {
        let clone = self.clone.as_ptr();
        let original = self.pad().original.as_raw();
        // SAFETY: By invariants 1 and 2 the clone is valid and used by nobody else.
        if unsafe { (*clone).bi_end_io }.is_some() {
            // SAFETY: As above; the clone is one of `original`, and it has been in flight.
            unsafe { rearm(clone, original) };
        }
        let member = path.member();
        let bdev = member.bdev();
        // SAFETY: The original is valid until it is ended.
        let sector = unsafe { (*original).bi_iter.bi_sector };

        // SAFETY: By invariants 1 and 2, for this and the lines up to the submission. The path
        // holds the member, whose device is open.
        unsafe { (*clone).bi_bdev = bdev };
        // SAFETY: See above.
        unsafe { (*clone).bi_iter.bi_sector = sector.wrapping_add(member.data_offset()) };
        // SAFETY: See above.
        unsafe { (*clone).bi_end_io = Some(Self::end_io) };
        if failfast {
            // SAFETY: See above.
            unsafe { (*clone).bi_opf |= bindings::REQ_FAILFAST_TRANSPORT };
        }
        // SAFETY: See above; both bios have a device.
        unsafe { bindings::bio_clone_blkg_association(clone, original) };
        let mddev = self.pad().array.mddev().as_raw();
        // SAFETY: See above.
        let op = unsafe { (*clone).bi_opf } & bindings::REQ_OP_MASK;
        if op == bindings::req_op_REQ_OP_WRITE_ZEROES {
            // SAFETY: See above; the mddev lives as long as its array.
            unsafe { bindings::mddev_check_write_zeroes(mddev, clone) };
        }
        // SAFETY: As above.
        unsafe { bindings::mddev_trace_remap(mddev, clone, sector) };
        self.pad_mut().path = Some(path);
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
        match this.pad_mut().path.take() {
            Some(path) => P::complete(this, path, status),
            // `submit` always sets a path.
            None => this.end(Status::IoErr),
        }
    }

    /// Ends the original, and with it the I/O. Any context.
    pub(crate) fn end(self, status: Status) {
        let clone = ManuallyDrop::new(self).clone.as_ptr();
        // SAFETY: By invariant 1 the pad is initialised; it is not used after this.
        let pad = unsafe { Self::pad_of(clone).read() };
        // SAFETY: By invariants 1 and 2 the clone is valid and nobody else uses it. The array in
        // `pad`, and thereby the set, is still held.
        unsafe { bindings::bio_put(clone) };
        if pad.started != 0 {
            end_accounting(&pad.original, pad.started);
        }
        pad.original.end(status);
        // The reference to the array goes last, as the rest of the pad is dropped.
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

/// Makes a clone that has been in flight as good as new, without an allocation.
///
/// What lower layers may have changed is set again: the position, the operation's flags, the
/// status, the count of splits. What the clone shares with or copied from the original and no layer
/// changes stays: data, integrity payload, priority, hints.
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
    // has moved with the data.
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
/// 1. `head` and `tail` are the ends of a chain of clones linked by `bi_next`, or both null.
/// 2. Each clone in it is what a [`Remap`] was made of: the list owns it.
pub(crate) struct List<P: Personality> {
    head: *mut bindings::bio,
    tail: *mut bindings::bio,
    _owns: core::marker::PhantomData<Remap<P>>,
}

// SAFETY: The list owns `Remap`s, which are `Send`.
unsafe impl<P: Personality> Send for List<P> {}

impl<P: Personality> List<P> {
    /// Makes an empty list.
    pub(crate) const fn new() -> Self {
        // INVARIANT: 1 and 2, for nothing.
        Self {
            head: ptr::null_mut(),
            tail: ptr::null_mut(),
            _owns: core::marker::PhantomData,
        }
    }

    /// Appends an I/O.
    pub(crate) fn push(&mut self, io: Remap<P>) {
        let clone = ManuallyDrop::new(io).clone.as_ptr();
        // SAFETY: The clone is valid and owned here.
        unsafe { (*clone).bi_next = ptr::null_mut() };
        if self.tail.is_null() {
            self.head = clone;
        } else {
            // SAFETY: By invariants 1 and 2 the tail is a valid clone, owned here.
            unsafe { (*self.tail).bi_next = clone };
        }
        // INVARIANT: 1, as the new clone is linked and the last; 2, as it came from a `Remap`.
        self.tail = clone;
    }

    /// Takes the first I/O.
    pub(crate) fn pop(&mut self) -> Option<Remap<P>> {
        let clone = NonNull::new(self.head)?;
        // SAFETY: By invariants 1 and 2 the head is a valid clone, owned here.
        self.head = unsafe { clone.as_ref() }.bi_next;
        if self.head.is_null() {
            self.tail = ptr::null_mut();
        }
        // INVARIANT: Both of `Remap` by invariant 2, as the clone has left the list.
        Some(Remap {
            clone,
            _pad: core::marker::PhantomData,
        })
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
