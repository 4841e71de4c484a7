// SPDX-License-Identifier: GPL-2.0-or-later

//! An array as md core sees it: `struct mddev`.
//!
//! C header: `drivers/md/md.h` (Linux 7.3). The type parameter says in which context a reference
//! was had, and by that what may be done with it.

use super::rdev::Rdev;
use crate::bindings;
use core::marker::PhantomData;
use kernel::{error::to_result, interop::list::CList, prelude::*, str::CStr, types::Opaque};

/// `reconfig_mutex` is held, in process context: sleeping and changing the array are allowed.
pub(crate) enum Reconfig {}

/// Any context, interrupt handlers included: nothing may sleep.
pub(crate) enum Io {}

/// A `struct mddev`, used in context `C`.
///
/// # Invariants
///
/// 1. References to this type point to a valid mddev.
/// 2. A reference to a `Mddev<Reconfig>` exists only while the mddev's `reconfig_mutex` is held.
#[repr(transparent)]
pub(crate) struct Mddev<C> {
    mddev: Opaque<bindings::mddev>,
    _context: PhantomData<C>,
}

impl<C> Mddev<C> {
    /// # Safety
    ///
    /// - `mddev` is valid for `'a`.
    /// - If `C` is [`Reconfig`], `reconfig_mutex` is held for `'a` by the running task.
    pub(super) unsafe fn from_raw<'a>(mddev: *mut bindings::mddev) -> &'a Self {
        // INVARIANT: 1 and 2 by the safety requirements.
        // SAFETY: `Mddev` is transparent over the C type; the pointer is valid as required.
        unsafe { &*mddev.cast() }
    }

    pub(in crate::abstractions) fn as_raw(&self) -> *mut bindings::mddev {
        self.mddev.get()
    }

    /// The name of the array's disk, such as `md0`.
    pub(crate) fn name(&self) -> &CStr {
        // SAFETY: By invariant 1 the mddev is valid.
        let name = unsafe { bindings::mdname(self.as_raw()) };
        // SAFETY: `mdname` gives the name of the array's disk, a C string that changes no more and
        // lives as long as the mddev.
        unsafe { CStr::from_char_ptr(name) }
    }

    /// Tells md core that something about the members has changed, so that it writes the
    /// superblocks and looks for paths to add and to remove. Wakes md core's thread.
    pub(crate) fn members_changed(&self) {
        // SAFETY: By invariant 1 the mddev is valid.
        let flags = unsafe { &raw mut (*self.as_raw()).sb_flags };
        let changed = bindings::mddev_sb_flags_MD_SB_CHANGE_DEVS as usize;
        // SAFETY: `sb_flags` is a word of bits that is changed by the bit helpers only.
        unsafe { bindings::set_bit(changed, flags) };
        self.request_recovery();
    }

    /// Asks md core to look for members to add and to remove. Wakes md core's thread. Any context.
    pub(crate) fn request_recovery(&self) {
        // SAFETY: By invariant 1 the mddev is valid.
        let recovery = unsafe { &raw mut (*self.as_raw()).recovery };
        let needed = bindings::recovery_flags_MD_RECOVERY_NEEDED as usize;
        // SAFETY: `recovery` is a word of bits that is changed by the bit helpers only.
        unsafe { bindings::set_bit(needed, recovery) };
        // SAFETY: By invariant 1 the mddev is valid.
        let thread = unsafe { &raw mut (*self.as_raw()).thread };
        // SAFETY: The field is valid, and looked at under RCU; there may be no thread.
        unsafe { bindings::md_wakeup_thread(thread) };
    }

    /// Sets how many slots have no working member, as md core and `mdadm` show it. The caller's
    /// own lock orders the calls.
    pub(crate) fn set_degraded(&self, degraded: u32) {
        let degraded = degraded.try_into().unwrap_or(i32::MAX);
        // SAFETY: By invariant 1 the mddev is valid.
        let field = unsafe { &raw mut (*self.as_raw()).degraded };
        // SAFETY: The field is valid. C readers take no lock: the store must not be torn.
        unsafe { field.write_volatile(degraded) };
    }

    /// Forbids or allows the block layer to look for partitions on the array. It holds a lock while
    /// it reads, for which everybody waits who opens the array. What was asked for meanwhile is not
    /// made up for: it would be at the next open, which may be of an array with no path again. Any
    /// context.
    pub(crate) fn set_partition_scan(&self, allowed: bool) {
        // SAFETY: By invariant 1 the mddev is valid; `Personality` runs on arrays with a disk only.
        let disk = unsafe { (*self.as_raw()).gendisk };
        // SAFETY: The disk lives as long as the mddev.
        let state = unsafe { &raw mut (*disk).state };
        let bit = bindings::GD_SUPPRESS_PART_SCAN as usize;
        if allowed {
            // SAFETY: `state` is a word of bits that is changed by the bit helpers only.
            unsafe { bindings::clear_bit(bit, state) };
        } else {
            // SAFETY: As above.
            unsafe { bindings::set_bit(bit, state) };
        }
    }

    /// Reports a member to md core as failed, which asks the personality's `error` what becomes
    /// of it (C: `md_error`). Any context.
    pub(crate) fn fail(&self, rdev: &Rdev) {
        // SAFETY: By invariant 1 and that of `Rdev` both are valid. `md_error` may be called in
        // any context. It looks at the personality again after it has asked that, without a lock. Whoever
        // reports for an I/O has a reference to the array, for which `quiesce` waits before the personality
        // goes. Two things are not covered, and then md core may follow a null pointer between its two looks:
        // an array that somebody else has just suspended is stopped without `quiesce` (`mddev_detach`); and
        // I/O that was parked may be sent after it. The driver does not report the last path while any is
        // parked, but does for one that fails again after all were sent. For both, nobody may have the array
        // open, or it would not be stopped, and yet it has I/O, which fails just then.
        unsafe { bindings::md_error(self.as_raw(), rdev.as_raw()) };
    }

    fn queue(&self) -> *mut bindings::request_queue {
        // SAFETY: By invariant 1 the mddev is valid; `Personality` runs on arrays with a disk only.
        let disk = unsafe { (*self.as_raw()).gendisk };
        // SAFETY: The disk lives as long as the mddev.
        unsafe { (*disk).queue }
    }

    /// The array discards nothing from here on (C: `blk_queue_disable_discard`). Any context.
    pub(crate) fn disable_discard(&self) {
        // SAFETY: The queue lives as long as the mddev. Its limit is read without a lock.
        unsafe { bindings::blk_queue_disable_discard(self.queue()) };
    }

    /// The array writes no zeroes by itself from here on (C: `blk_queue_disable_write_zeroes`). Any
    /// context.
    pub(crate) fn disable_write_zeroes(&self) {
        // SAFETY: As in `disable_discard`.
        unsafe { bindings::blk_queue_disable_write_zeroes(self.queue()) };
    }
}

impl Mddev<Reconfig> {
    /// The number of slots asked for.
    pub(crate) fn raid_disks(&self) -> i32 {
        // SAFETY: By invariant 1 the mddev is valid; by 2 nobody changes the field.
        unsafe { (*self.as_raw()).raid_disks }
    }

    /// The number of slots that a reshape would add (or remove, if negative).
    pub(crate) fn delta_disks(&self) -> i32 {
        // SAFETY: As in `raid_disks`.
        unsafe { (*self.as_raw()).delta_disks }
    }

    /// Whether a reshape would change the chunk size or the layout.
    pub(crate) fn geometry_changes(&self) -> bool {
        let mddev = self.as_raw();
        // SAFETY: As in `raid_disks`, for this and the next three.
        let chunk = unsafe { (*mddev).chunk_sectors };
        // SAFETY: See above.
        let new_chunk = unsafe { (*mddev).new_chunk_sectors };
        // SAFETY: See above.
        let layout = unsafe { (*mddev).layout };
        // SAFETY: See above.
        let new_layout = unsafe { (*mddev).new_layout };
        (chunk, layout) != (new_chunk, new_layout)
    }

    /// The size of the smallest member, in sectors.
    pub(crate) fn dev_sectors(&self) -> u64 {
        // SAFETY: As in `raid_disks`.
        unsafe { (*self.as_raw()).dev_sectors }
    }

    /// Whether a write-intent bitmap was asked for.
    pub(crate) fn wants_bitmap(&self) -> bool {
        let mddev = self.as_raw();
        // SAFETY: As in `raid_disks`.
        let file = unsafe { (*mddev).bitmap_info.file };
        // SAFETY: As in `raid_disks`.
        let offset = unsafe { (*mddev).bitmap_info.offset };
        !file.is_null() || offset != 0
    }

    /// Sets the size of the array, in sectors.
    pub(crate) fn set_array_sectors(&self, sectors: u64) {
        // SAFETY: By invariants 1 and 2, which are what `md_set_array_sectors` asks for.
        unsafe { bindings::md_set_array_sectors(self.as_raw(), sectors) };
    }

    /// Tells md core that the members never need a resync. Without it an array that was built
    /// without superblocks waits for one and adds no member.
    pub(crate) fn never_resyncs(&self) {
        // SAFETY: As in `raid_disks`; the field is md core's to read under the same lock.
        unsafe { (*self.as_raw()).resync_offset = u64::MAX };
    }

    /// Calls `f` for each member, bound to a slot or not, until it fails.
    pub(crate) fn try_for_each_rdev(&self, mut f: impl FnMut(&Rdev) -> Result) -> Result {
        // SAFETY: By invariant 1 the mddev is valid.
        let disks = unsafe { &raw mut (*self.as_raw()).disks };
        // The list links `md_rdev`s, to which `Rdev` is transparent, by this field.
        const OFFSET: usize = core::mem::offset_of!(bindings::md_rdev, same_set);
        // SAFETY: `disks` heads such a list, initialised; by invariant 2 it does not change
        // meanwhile.
        let disks = unsafe { CList::<Rdev, OFFSET>::from_raw(disks) };
        disks.iter().try_for_each(&mut f)
    }

    /// Sets the limits of the array's queue: those of all members stacked, with `REQ_NOWAIT`,
    /// atomic writes and integrity where all of them have it.
    ///
    /// There is no peer-to-peer DMA: `md_submit_bio` takes away the `REQ_NOMERGE` that keeps such a bio
    /// out of one request with others, which would be mapped as its first part is.
    ///
    /// # Errors
    ///
    /// - `EINVAL`: the integrity profiles of the members differ, or a sector is larger than a page.
    pub(crate) fn stack_limits(&self) -> Result {
        let mut limits = bindings::queue_limits::default();
        // SAFETY: `limits` is valid for writes.
        unsafe { bindings::md_init_stacking_limits(&mut limits) };
        // It has to be what `max_write_zeroes_sectors` is, which a device may take back at any time, and then
        // no member could be added. raid1 does without it for the same reason.
        limits.max_hw_wzeroes_unmap_sectors = 0;
        // SAFETY: As in `raid_disks`.
        limits.logical_block_size = unsafe { (*self.as_raw()).logical_block_size };
        limits.features |= bindings::BLK_FEAT_ATOMIC_WRITES | bindings::BLK_FEAT_NOWAIT;
        let flags = bindings::MDDEV_STACK_INTEGRITY;
        // SAFETY: By invariants 1 and 2; `limits` is initialised.
        to_result(unsafe { bindings::mddev_stack_rdev_limits(self.as_raw(), &mut limits, flags) })?;
        // SAFETY: The queue lives as long as the mddev; `limits` is initialised.
        to_result(unsafe { bindings::queue_limits_set(self.queue(), &mut limits) })
    }

    /// Narrows the limits of the array's queue to what a new member can do.
    ///
    /// # Errors
    ///
    /// - `EINVAL`: the member's sectors are larger than the array's.
    /// - `ENXIO`: its integrity profile differs.
    pub(crate) fn stack_new_rdev(&self, rdev: &Rdev) -> Result {
        // SAFETY: By invariants 1 and 2 and that of `Rdev`.
        to_result(unsafe { bindings::mddev_stack_new_rdev(self.as_raw(), rdev.as_raw()) })
    }

    /// Whether the array has superblocks.
    pub(crate) fn is_persistent(&self) -> bool {
        // SAFETY: As in `raid_disks`.
        unsafe { (*self.as_raw()).persistent != 0 }
    }

    /// How many members the superblock has room for; `None` where there is none.
    pub(crate) fn max_disks(&self) -> Option<i32> {
        // SAFETY: As in `raid_disks`.
        let max_disks = unsafe { (*self.as_raw()).max_disks };
        (max_disks != 0).then_some(max_disks)
    }

    /// Sets the number of slots: a reshape that was asked for is done.
    pub(crate) fn set_raid_disks(&self, raid_disks: i32) {
        let mddev = self.as_raw();
        // SAFETY: By invariant 1 the mddev is valid.
        let field = unsafe { &raw mut (*mddev).raid_disks };
        // SAFETY: The field is valid; by invariant 2 nobody else changes it. C readers take no lock:
        // the store must not be torn.
        unsafe { field.write_volatile(raid_disks) };
        // SAFETY: By invariant 1 the mddev is valid; by 2 nobody else changes the fields.
        unsafe { (*mddev).delta_disks = 0 };
        // SAFETY: As above.
        unsafe { (*mddev).reshape_backwards = 0 };
    }

    /// Sets how much each member gives, in sectors.
    pub(crate) fn set_dev_sectors(&self, sectors: u64) {
        let mddev = self.as_raw();
        // SAFETY: By invariant 1 the mddev is valid.
        let field = unsafe { &raw mut (*mddev).dev_sectors };
        // SAFETY: As in `set_raid_disks`.
        unsafe { field.write_volatile(sectors) };
        // SAFETY: As above.
        unsafe { (*mddev).resync_max_sectors = sectors };
    }

    /// The size that the user has set for the array, in sectors, if any; md core does not change it
    /// then.
    pub(crate) fn fixed_sectors(&self) -> Option<u64> {
        // SAFETY: As in `raid_disks`.
        let fixed = unsafe { (*self.as_raw()).external_size };
        // SAFETY: As in `raid_disks`.
        let sectors = unsafe { (*self.as_raw()).array_sectors };
        (fixed != 0).then_some(sectors)
    }
}
