// SPDX-License-Identifier: GPL-2.0-or-later

//! A running array: what md core keeps as `mddev->private`.

use super::{
    attribute::MemberFiles,
    debug::Directory,
    io::Pad,
    mddev::{Io, Mddev, Reconfig},
    personality::Personality,
    rdev::{Members, Rdev},
    thread::Thread,
};
use crate::{
    abstractions::{
        bio::BioSet,
        percpu_ref::{Counted, Idle},
    },
    bindings,
};
use core::{ops::Deref, ptr::NonNull};
use kernel::{
    new_mutex,
    prelude::*,
    str::CStr,
    sync::{Arc, Mutex},
};

/// How many I/Os of one array are sure to get their clone when memory is short. One would do for
/// progress.
const RESERVE: u32 = 16;

/// An array run by personality `P`. Dereferences to the driver's data.
///
/// # Invariants
///
/// 1. `mddev` is valid: `->free` of the personality drops the array before md core goes on.
#[pin_data]
pub(crate) struct Array<P: Personality> {
    mddev: NonNull<bindings::mddev>,
    members: Arc<Members>,
    /// The settings of the members in slots. Taken inside `reconfig_mutex`, and held while files
    /// come and go.
    #[pin]
    member_files: Mutex<KVec<MemberFiles<P>>>,
    /// The files in debugfs. Taken inside `reconfig_mutex`.
    #[pin]
    debug: Mutex<Option<Directory>>,
    pub(super) bios: Arc<BioSet>,
    /// Runs [`Personality::thread`].
    #[pin]
    pub(super) thread: Thread,
    /// Runs [`Personality::tell`].
    #[pin]
    pub(super) teller: Thread,
    #[pin]
    data: P,
}

// SAFETY: An mddev may be used from any CPU; the other fields are `Send`.
unsafe impl<P: Personality> Send for Array<P> {}

// SAFETY: As above; the other fields are `Sync`.
unsafe impl<P: Personality> Sync for Array<P> {}

impl<P: Personality> Idle for Array<P> {}

impl<P: Personality> Array<P> {
    /// # Safety
    ///
    /// - `mddev` stays valid until the array is dropped.
    /// - The array is dropped only when no [`Ref`](crate::abstractions::percpu_ref::Ref) to it is
    ///   left.
    pub(super) unsafe fn new(
        mddev: NonNull<bindings::mddev>,
        members: Arc<Members>,
        data: impl PinInit<P, Error>,
    ) -> impl PinInit<Self, Error> {
        // INVARIANT: 1 by the first safety requirement.
        try_pin_init!(Self {
            mddev,
            members,
            member_files <- new_mutex!(KVec::new()),
            debug <- new_mutex!(None),
            bios: {
                // SAFETY: Every bio of the set is the clone of a `Remap` or of a `Shelved`. Until
                // the clone is freed the one holds a reference to the array, which by the second
                // requirement keeps this reference to the set; the other holds one by itself.
                let set = unsafe { BioSet::new(RESERVE, size_of::<Pad<P>>()) };
                Arc::pin_init(set, GFP_KERNEL)?
            },
            thread <- Thread::none(),
            teller <- Thread::none(),
            data <- data,
        }? Error)
    }

    /// The array that an mddev runs.
    ///
    /// # Safety
    ///
    /// - `mddev` is valid, runs `P`, and does so for `'a`.
    pub(super) unsafe fn of<'a>(mddev: *mut bindings::mddev) -> &'a Counted<Self> {
        // SAFETY: By the safety requirement the mddev is valid.
        let private = unsafe { &(*mddev).private };
        // SAFETY: As the mddev runs `P`, this is what `Counted::into_raw` gave when it was started,
        // and it is not taken back before it stops.
        unsafe { Counted::borrow_raw(private) }
    }

    /// The array's mddev.
    pub(crate) fn mddev(&self) -> &Mddev<Io> {
        // SAFETY: By invariant 1; the context `Io` asks for nothing more.
        unsafe { Mddev::from_raw(self.mddev.as_ptr()) }
    }

    /// The name of the array's disk, such as `md0`.
    pub(crate) fn name(&self) -> &CStr {
        self.mddev().name()
    }

    /// Wakes the thread that runs [`Personality::thread`]. Any context.
    pub(crate) fn wake(&self) {
        self.thread.wake();
    }

    /// Wakes the thread that runs [`Personality::tell`]. Any context.
    pub(crate) fn wake_teller(&self) {
        self.teller.wake();
    }

    /// Makes the files in debugfs. Sleeps.
    ///
    /// # Safety
    ///
    /// - [`remove_debug_files`](Self::remove_debug_files) is called before the array is freed.
    pub(super) unsafe fn create_debug_files(&self, _mddev: &Mddev<Reconfig>) {
        // SAFETY: By the safety requirement.
        *self.debug.lock() = unsafe { Directory::new(self) };
    }

    /// Removes the files in debugfs, and waits for those who read them.
    pub(super) fn remove_debug_files(&self) {
        *self.debug.lock() = None;
    }

    /// Makes the settings of a member in a slot. Sleeps.
    ///
    /// # Errors
    ///
    /// - `ENOMEM`: it has none.
    ///
    /// # Safety
    ///
    /// - [`remove_member_files`](Self::remove_member_files) is called before the member leaves its
    ///   slot for good, or the array is freed.
    pub(super) unsafe fn create_member_files(
        &self,
        mddev: &Mddev<Reconfig>,
        rdev: &Rdev,
    ) -> Result {
        // SAFETY: By the safety requirement.
        let files = unsafe { MemberFiles::new(mddev, self, rdev) }?;
        Ok(self.member_files.lock().push(files, GFP_KERNEL)?)
    }

    /// Removes the settings of the members that `gone` tells of, and waits for those who read or
    /// write them.
    pub(super) fn remove_member_files(&self, gone: impl Fn(&MemberFiles<P>) -> bool) {
        self.member_files.lock().retain(|files| !gone(files));
    }

    /// What the array's members are counted in.
    pub(crate) fn members(&self) -> &Arc<Members> {
        &self.members
    }
}

impl<P: Personality> Deref for Array<P> {
    type Target = P;

    #[inline]
    fn deref(&self) -> &P {
        &self.data
    }
}
