// SPDX-License-Identifier: GPL-2.0-or-later

//! Block I/O: the bio that is handed to a driver, and the set that clones of it come from.
//!
//! C headers: `include/linux/bio.h`, `include/linux/blk_types.h`, C source: `block/bio.c`
//! (Linux 7.3). What a clone is and how it travels is in [`super::md::io`].

use crate::bindings;
use core::{mem::ManuallyDrop, ptr::NonNull};
use kernel::{error::to_result, prelude::*, types::Opaque};

pub(crate) mod chain;
pub(crate) mod op;
pub(crate) mod status;

pub(crate) use chain::Chain;
pub(crate) use op::{Kind, Op};
pub(crate) use status::Status;

// `Kind` and `Status` are written without the kernel's headers; they must agree.
const _: () = {
    assert!(Kind::Read.to_raw() as u32 == bindings::req_op_REQ_OP_READ);
    assert!(Kind::Write.to_raw() as u32 == bindings::req_op_REQ_OP_WRITE);
    assert!(Kind::Flush.to_raw() as u32 == bindings::req_op_REQ_OP_FLUSH);
    assert!(Kind::Discard.to_raw() as u32 == bindings::req_op_REQ_OP_DISCARD);
    assert!(Kind::SecureErase.to_raw() as u32 == bindings::req_op_REQ_OP_SECURE_ERASE);
    assert!(Kind::ZoneAppend.to_raw() as u32 == bindings::req_op_REQ_OP_ZONE_APPEND);
    assert!(Kind::WriteZeroes.to_raw() as u32 == bindings::req_op_REQ_OP_WRITE_ZEROES);
    assert!(Kind::ZoneOpen.to_raw() as u32 == bindings::req_op_REQ_OP_ZONE_OPEN);
    assert!(Kind::ZoneClose.to_raw() as u32 == bindings::req_op_REQ_OP_ZONE_CLOSE);
    assert!(Kind::ZoneFinish.to_raw() as u32 == bindings::req_op_REQ_OP_ZONE_FINISH);
    assert!(Kind::ZoneReset.to_raw() as u32 == bindings::req_op_REQ_OP_ZONE_RESET);
    assert!(Kind::ZoneResetAll.to_raw() as u32 == bindings::req_op_REQ_OP_ZONE_RESET_ALL);
    assert!(Kind::DriverIn.to_raw() as u32 == bindings::req_op_REQ_OP_DRV_IN);
    assert!(Kind::DriverOut.to_raw() as u32 == bindings::req_op_REQ_OP_DRV_OUT);
    assert!(bindings::REQ_OP_MASK == u8::MAX as u32);
    assert!(Status::Ok.to_raw() == bindings::BLK_STS_OK);
    assert!(Status::NotSupp.to_raw() == bindings::BLK_STS_NOTSUPP);
    assert!(Status::Timeout.to_raw() == bindings::BLK_STS_TIMEOUT);
    assert!(Status::NoSpc.to_raw() == bindings::BLK_STS_NOSPC);
    assert!(Status::Transport.to_raw() == bindings::BLK_STS_TRANSPORT);
    assert!(Status::Target.to_raw() == bindings::BLK_STS_TARGET);
    assert!(Status::ResvConflict.to_raw() == bindings::BLK_STS_RESV_CONFLICT);
    assert!(Status::Medium.to_raw() == bindings::BLK_STS_MEDIUM);
    assert!(Status::Protection.to_raw() == bindings::BLK_STS_PROTECTION);
    assert!(Status::Resource.to_raw() == bindings::BLK_STS_RESOURCE);
    assert!(Status::IoErr.to_raw() == bindings::BLK_STS_IOERR);
    assert!(Status::DmRequeue.to_raw() == bindings::BLK_STS_DM_REQUEUE);
    assert!(Status::Again.to_raw() == bindings::BLK_STS_AGAIN);
    assert!(Status::DevResource.to_raw() == bindings::BLK_STS_DEV_RESOURCE);
    assert!(Status::ZoneOpenResource.to_raw() == bindings::BLK_STS_ZONE_OPEN_RESOURCE);
    assert!(Status::ZoneActiveResource.to_raw() == bindings::BLK_STS_ZONE_ACTIVE_RESOURCE);
    assert!(Status::Offline.to_raw() == bindings::BLK_STS_OFFLINE);
    assert!(Status::DurationLimit.to_raw() == bindings::BLK_STS_DURATION_LIMIT);
    assert!(Status::Inval.to_raw() == bindings::BLK_STS_INVAL);
};

/// A bio that this side has to end: linear, so that it is ended once and not forgotten.
///
/// # Invariants
///
/// 1. `bio` points to a valid bio that was submitted and not ended.
/// 2. Ending it is up to the owner of this value alone.
pub(crate) struct Bio {
    bio: NonNull<bindings::bio>,
}

// SAFETY: A bio may be ended by any thread and in any context.
unsafe impl Send for Bio {}

// SAFETY: `&Bio` only reads fields that do not change before the bio is ended.
unsafe impl Sync for Bio {}

impl Bio {
    /// Takes over a bio.
    ///
    /// # Safety
    ///
    /// - `bio` is valid, was submitted and has not been ended.
    /// - Nobody else ends it from here on.
    pub(crate) unsafe fn from_raw(bio: *mut bindings::bio) -> Self {
        // SAFETY: A valid bio is not at address zero.
        let bio = unsafe { NonNull::new_unchecked(bio) };
        // INVARIANT: 1 and 2 by the safety requirements.
        Self { bio }
    }

    pub(crate) fn as_raw(&self) -> *mut bindings::bio {
        self.bio.as_ptr()
    }

    /// Hands the bio on, without ending it.
    pub(crate) fn into_raw(self) -> *mut bindings::bio {
        ManuallyDrop::new(self).bio.as_ptr()
    }

    fn opf(&self) -> bindings::blk_opf_t {
        // SAFETY: By invariant 1 the bio is valid.
        unsafe { (*self.as_raw()).bi_opf }
    }

    /// What the bio does.
    pub(crate) fn op(&self) -> Op {
        let opf = self.opf();
        let kind = match Kind::from_opf(opf) {
            Kind::Write if self.is_empty() => Kind::Flush,
            kind => kind,
        };
        Op {
            kind,
            read_ahead: self.is_read_ahead(),
            nowait: self.is_nowait(),
            flushes: kind == Kind::Flush || self.flushes(),
            atomic: opf & bindings::REQ_ATOMIC != 0,
        }
    }

    /// It has no sectors.
    fn is_empty(&self) -> bool {
        // SAFETY: By invariant 1 the bio is valid. Until it is ended nobody changes the field: what is
        // split off or advanced is a clone.
        unsafe { (*self.as_raw()).bi_iter.bi_size == 0 }
    }

    /// It asks for data to be on the medium: a flush, or a write with one before it or with FUA.
    #[inline]
    pub(crate) fn flushes(&self) -> bool {
        self.opf() & (bindings::REQ_PREFLUSH | bindings::REQ_FUA) != 0
    }

    /// Nobody waits for it; it may fail for any reason.
    #[inline]
    pub(crate) fn is_read_ahead(&self) -> bool {
        self.opf() & bindings::REQ_RAHEAD != 0
    }

    /// The submitter must not be made to sleep.
    #[inline]
    pub(crate) fn is_nowait(&self) -> bool {
        self.opf() & bindings::REQ_NOWAIT != 0
    }

    /// Ends the bio. An error that it has already, from a part that was split off it, is kept if
    /// `status` is none. Any context.
    #[inline]
    pub(crate) fn end(self, status: Status) {
        let bio = self.into_raw();
        if status != Status::Ok {
            // SAFETY: By invariant 1 the bio is valid. Its parts write errors only, as this does:
            // whichever comes last is one.
            unsafe { (*bio).bi_status = status.to_raw() };
        }
        // SAFETY: By invariants 1 and 2; `self` is gone, so that this is the only time.
        unsafe { bindings::bio_endio(bio) };
    }
}

impl Drop for Bio {
    fn drop(&mut self) {
        kernel::pr_err_once!("a bio was dropped before it was ended; it ends with an I/O error\n");
        // INVARIANT: The new value takes over from `self`, which is gone when this returns.
        Self { bio: self.bio }.end(Status::IoErr);
    }
}

/// A set that bios of one layout are allocated from, each with `front_pad` bytes before it.
///
/// # Invariants
///
/// 1. `set` is an initialised `bio_set` with a front pad of the size given to [`BioSet::new`].
#[pin_data(PinnedDrop)]
pub(crate) struct BioSet {
    #[pin]
    set: Opaque<bindings::bio_set>,
}

// SAFETY: A bio set is made for use by all CPUs in any context.
unsafe impl Send for BioSet {}

// SAFETY: As above.
unsafe impl Sync for BioSet {}

impl BioSet {
    /// Makes a set that can always give `reserve` bios at a time to those who may sleep, with a
    /// cache on every CPU. Sleeps.
    ///
    /// # Errors
    ///
    /// - `ENOMEM`: no memory for the slab, the reserve or the caches.
    ///
    /// # Safety
    ///
    /// - Every bio allocated from the set is freed before the set is dropped.
    pub(crate) unsafe fn new(reserve: u32, front_pad: usize) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            set <- Opaque::try_ffi_init(move |set: *mut bindings::bio_set| {
                let front_pad = u32::try_from(front_pad)?;
                // SAFETY: `set` is valid for writes and stays where it is. `bioset_init` expects
                // zeroes.
                unsafe { set.write_bytes(0, 1) };
                // SAFETY: As above. On failure it cleans up by itself.
                to_result(unsafe {
                    bindings::bioset_init(
                        set,
                        reserve,
                        front_pad,
                        bindings::BIOSET_PERCPU_CACHE as i32,
                    )
                })
            }),
        }? Error)
    }

    pub(crate) fn as_raw(&self) -> *mut bindings::bio_set {
        self.set.get()
    }
}

#[pinned_drop]
impl PinnedDrop for BioSet {
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: By invariant 1 the set is initialised, and by the promise given to `new` no bio
        // of it is left.
        unsafe { bindings::bioset_exit(self.set.get()) };
    }
}
