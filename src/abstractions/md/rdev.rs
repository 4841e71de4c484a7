// SPDX-License-Identifier: GPL-2.0-or-later

//! A member of an array as md core sees it: `struct md_rdev`.
//!
//! C header: `drivers/md/md.h` (Linux 7.3).

use super::{
    mddev::{Io, Mddev, Reconfig},
    MAX_SLOTS,
};
use crate::{
    abstractions::designator::{Designator, Kind},
    bindings,
};
use core::ptr::NonNull;
use kernel::{
    fmt,
    prelude::*,
    sync::{
        atomic::{ordering, Atomic},
        Arc,
    },
    types::Opaque,
};

/// A bit of `md_rdev.flags`. A member is never both faulty and in sync.
#[derive(Clone, Copy)]
pub(crate) enum Flag {
    /// It works.
    InSync,
    /// It failed, and is not used any more.
    Faulty,
    /// Its owner wants it to be used when there is no other (`mdadm --write-mostly`).
    WriteMostly,
}

impl Flag {
    fn bit(self) -> usize {
        let bit = match self {
            Self::InSync => bindings::flag_bits_In_sync,
            Self::Faulty => bindings::flag_bits_Faulty,
            Self::WriteMostly => bindings::flag_bits_WriteMostly,
        };
        bit as usize
    }
}

/// A `struct md_rdev`.
///
/// # Invariants
///
/// 1. References to this type point to a valid rdev that is bound to an array.
#[repr(transparent)]
pub(crate) struct Rdev {
    rdev: Opaque<bindings::md_rdev>,
}

impl Rdev {
    /// # Safety
    ///
    /// - `rdev` is valid, and bound to an array, for `'a`.
    pub(super) unsafe fn from_raw<'a>(rdev: *mut bindings::md_rdev) -> &'a Self {
        // INVARIANT: 1 by the safety requirement.
        // SAFETY: `Rdev` is transparent over the C type; the pointer is valid as required.
        unsafe { &*rdev.cast() }
    }

    pub(super) fn as_raw(&self) -> *mut bindings::md_rdev {
        self.rdev.get()
    }

    /// Whether both are the same member.
    pub(crate) fn is(&self, other: &Self) -> bool {
        core::ptr::eq(self, other)
    }

    fn flags(&self) -> *mut usize {
        // SAFETY: By invariant 1 the rdev is valid.
        unsafe { &raw mut (*self.as_raw()).flags }
    }

    /// Whether a flag is set. Any context.
    pub(crate) fn test(&self, flag: Flag) -> bool {
        // SAFETY: The word is valid; it is changed by others, bit by bit and atomically, so that
        // it is read once and whole.
        let flags = unsafe { self.flags().read_volatile() };
        flags & (1 << flag.bit()) != 0
    }

    /// Sets a flag. Any context.
    pub(crate) fn set(&self, flag: Flag) {
        // SAFETY: The word is valid and is changed by the bit helpers only.
        unsafe { bindings::set_bit(flag.bit(), self.flags()) };
    }

    /// Clears a flag. Any context.
    pub(crate) fn clear(&self, flag: Flag) {
        // SAFETY: As in `set`.
        unsafe { bindings::clear_bit(flag.bit(), self.flags()) };
    }

    /// The slot that the member is in, if it is in one.
    pub(crate) fn slot(&self) -> Option<usize> {
        // SAFETY: The field is changed under `reconfig_mutex` and read without it, so that it is
        // read once and whole.
        let slot = unsafe { self.raid_disk().read_volatile() };
        slot.try_into().ok()
    }

    fn raid_disk(&self) -> *mut i32 {
        // SAFETY: By invariant 1 the rdev is valid.
        unsafe { &raw mut (*self.as_raw()).raid_disk }
    }

    fn set_raid_disk(&self, _mddev: &Mddev<Reconfig>, raid_disk: i32) {
        // SAFETY: `reconfig_mutex` is held, under which the field changes; see `slot`.
        unsafe { self.raid_disk().write_volatile(raid_disk) };
    }

    fn is_of(&self, mddev: &Mddev<Reconfig>) -> bool {
        // SAFETY: By invariant 1 the rdev is valid, and bound; the field does not change meanwhile.
        let owner = unsafe { (*self.as_raw()).mddev };
        owner == mddev.as_raw()
    }

    /// Takes the rdev out of its slot, unless a [`Member`] is in there.
    pub(crate) fn leave_slot(&self, mddev: &Mddev<Reconfig>, members: &Members) {
        let is_free = || self.slot().is_some_and(|slot| members.is_free(slot));
        if members.is_of(mddev) && self.is_of(mddev) && is_free() {
            self.set_raid_disk(mddev, -1);
        }
    }

    /// The slot that the member was in before it left, if md core remembers one.
    pub(crate) fn saved_slot(&self, _mddev: &Mddev<Reconfig>) -> Option<usize> {
        // SAFETY: By invariant 1 the rdev is valid; the field is changed under `reconfig_mutex`,
        // which is held.
        let slot = unsafe { (*self.as_raw()).saved_raid_disk };
        slot.try_into().ok()
    }

    /// How much of the device there is for data, in sectors.
    pub(crate) fn sectors(&self, _mddev: &Mddev<Reconfig>) -> u64 {
        // SAFETY: As in `saved_slot`.
        let sectors = unsafe { (*self.as_raw()).sectors };
        if sectors != 0 {
            return sectors;
        }
        // md core leaves the size out where it adds a member without a superblock.
        self.capacity()
    }

    /// Where data begin on the device, in sectors. It changes in a reshape only, which personalities
    /// here do not have.
    pub(crate) fn data_offset(&self) -> u64 {
        // SAFETY: By invariant 1 the rdev is valid.
        unsafe { (*self.as_raw()).data_offset }
    }

    /// Whether the member's superblock lies among the data of an array that takes `sectors` of each
    /// member, as md core asks when it starts an array (C: `md_run`).
    pub(crate) fn superblock_is_in_data(&self, mddev: &Mddev<Reconfig>, sectors: u64) -> bool {
        // SAFETY: As in `saved_slot`.
        let superblock = unsafe { (*self.as_raw()).sb_start };
        let start = self.data_offset();
        mddev.is_persistent() && superblock > start && start.saturating_add(sectors) > superblock
    }

    fn bdev(&self) -> *mut bindings::block_device {
        // SAFETY: By invariant 1 the rdev is valid and bound, and while it is bound its device
        // does not change.
        unsafe { (*self.as_raw()).bdev }
    }

    /// The size of a logical block, in bytes.
    pub(crate) fn logical_block_size(&self) -> u32 {
        // SAFETY: The device of a bound rdev is open.
        unsafe { bindings::bdev_logical_block_size(self.bdev()) }
    }

    /// The size of the device, in sectors, whatever of it is for data.
    pub(crate) fn device_sectors(&self) -> u64 {
        // SAFETY: The device of a bound rdev is open.
        let sectors = unsafe { &raw const (*self.bdev()).bd_nr_sectors };
        // SAFETY: The field is valid. It may change at any time, so that it is read once and whole.
        unsafe { sectors.read_volatile() }
    }

    /// The sector of its disk that the device begins at: not zero for a partition.
    pub(crate) fn device_start(&self) -> u64 {
        // SAFETY: The device of a bound rdev is open.
        unsafe { (*self.bdev()).bd_start_sect }
    }

    /// What the device's disk calls itself (C: `get_unique_id`), in names of one kind. SCSI and
    /// NVMe answer from what they have read when the disk was found, device mapper asks the disk
    /// below, and others have no names. Process context; no I/O.
    pub(crate) fn designator(&self, kind: Kind) -> Option<Designator> {
        // SAFETY: The device of a bound rdev is open, and thereby valid.
        let disk = unsafe { (*self.bdev()).bd_disk };
        // SAFETY: A block device holds its disk.
        let operations = unsafe { (*disk).fops };
        // SAFETY: A disk's operations are constant, and an open disk's module stays.
        let get = unsafe { (*operations).get_unique_id }?;
        let mut bytes = [0; Designator::MAX];
        // SAFETY: The disk is open, and these are its operations; it writes 16 bytes at most.
        let len = unsafe { get(disk, bytes.as_mut_ptr(), kind as bindings::blk_unique_id) };
        // Without a name it is an error, or zero.
        Designator::new(bytes, len.try_into().ok()?)
    }

    /// Whether the device has zones.
    pub(crate) fn is_zoned(&self) -> bool {
        // SAFETY: The device of a bound rdev is open.
        unsafe { bindings::bdev_is_zoned(self.bdev()) }
    }

    /// Whether the device is still there. A driver may say that it is dead some time before it takes it
    /// away (`blk_mark_disk_dead`), or that its disk has no size: so does SCSI's when it looked at the disk
    /// again and got no answer. What is submitted from then on ends with
    /// [`IoErr`](crate::abstractions::bio::Status::IoErr), but for flushes, which may not get so far as to be
    /// refused; see [`has_write_cache`](Self::has_write_cache).
    pub(crate) fn is_live(&self) -> bool {
        // SAFETY: The device of a bound rdev is open, and thereby valid.
        let disk = unsafe { (*self.bdev()).bd_disk };
        // SAFETY: A block device holds its disk.
        let live = unsafe { bindings::disk_live(disk) };
        // SAFETY: As above.
        let dead = unsafe { bindings::disk_dead(disk) };
        // SAFETY: As above.
        live && !dead && unsafe { bindings::get_capacity(disk) } != 0
    }

    /// Whether the block layer is told that the disk has a volatile cache. Else it answers a flush by itself,
    /// and takes FUA off a write (C: `submit_bio_noacct`).
    pub(crate) fn has_write_cache(&self) -> bool {
        // SAFETY: The device of a bound rdev is open, and thereby valid.
        unsafe { bindings::bdev_write_cache(self.bdev()) }
    }

    /// Whether the device discards sectors, as far as its driver knows by now.
    pub(crate) fn can_discard(&self) -> bool {
        // SAFETY: The device of a bound rdev is open, and thereby valid.
        unsafe { bindings::bdev_max_discard_sectors(self.bdev()) != 0 }
    }

    /// Whether the device writes zeroes without being sent them, as far as its driver knows by now.
    pub(crate) fn can_write_zeroes(&self) -> bool {
        // SAFETY: As above.
        unsafe { bindings::bdev_write_zeroes_sectors(self.bdev()) != 0 }
    }

    /// Whether the device is a SCSI disk that was set offline, by hand or by its transport: it answers
    /// all I/O with [`IoErr`](crate::abstractions::bio::Status::IoErr) then.
    pub(crate) fn is_offline(&self) -> bool {
        // SAFETY: The device of a bound rdev is open, and thereby valid.
        let disk = unsafe { (*self.bdev()).bd_disk };
        // SAFETY: A block device holds its disk.
        unsafe { bindings::scsi_disk_is_offline(disk) }
    }

    /// The name of the device, such as `sda1`.
    pub(crate) fn name(&self) -> Name {
        let mut name = Name { text: [0; 40] };
        // SAFETY: The device of a bound rdev is open; at most `len` bytes are written, the last
        // one zero.
        unsafe { bindings::bdev_name(self.bdev(), name.text.as_mut_ptr(), name.text.len()) };
        name
    }

    /// How much there is on the device from where data begin, in sectors, superblocks included.
    pub(crate) fn capacity(&self) -> u64 {
        self.device_sectors().saturating_sub(self.data_offset())
    }
}

// `Designator` and `Kind` are written without the kernel's headers; they must agree.
const _: () = {
    assert!(Kind::T10 as u32 == bindings::blk_unique_id_BLK_UID_T10);
    assert!(Kind::Eui64 as u32 == bindings::blk_unique_id_BLK_UID_EUI64);
    assert!(Kind::Naa as u32 == bindings::blk_unique_id_BLK_UID_NAA);
};

/// The name of a block device, as the kernel's `%pg` prints it.
#[derive(Clone, Copy)]
pub(crate) struct Name {
    text: [u8; 40],
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = CStr::from_bytes_until_nul(&self.text).map_err(|_| fmt::Error)?;
        f.pad(text.to_str().map_err(|_| fmt::Error)?)
    }
}

/// How many [`Member`]s there are for each slot of an array: what tells whether md core may have a
/// slot's rdev back.
pub(crate) struct Members {
    /// Whose members they are; only compared.
    mddev: *mut bindings::mddev,
    counts: [Atomic<u32>; MAX_SLOTS],
}

// SAFETY: The pointer is never followed.
unsafe impl Send for Members {}

// SAFETY: As above.
unsafe impl Sync for Members {}

impl Members {
    pub(super) fn new(mddev: &Mddev<Reconfig>) -> Result<Arc<Self>> {
        Ok(Arc::new(
            Self {
                mddev: mddev.as_raw(),
                counts: [const { Atomic::new(0) }; MAX_SLOTS],
            },
            GFP_KERNEL,
        )?)
    }

    /// Whether they are the members of this array.
    fn is_of(&self, mddev: &Mddev<Reconfig>) -> bool {
        self.mddev == mddev.as_raw()
    }

    /// Whether nothing holds a member of this slot.
    pub(super) fn is_free(&self, slot: usize) -> bool {
        // ORDERING: Acquire pairs with the release in the drop of `Member`: when the count reads
        // zero, every access through the member is over.
        self.counts
            .get(slot)
            .is_none_or(|count| count.load(ordering::Acquire) == 0)
    }

    /// Whether nothing holds a member of any slot.
    pub(super) fn all_free(&self) -> bool {
        (0..MAX_SLOTS).all(|slot| self.is_free(slot))
    }
}

/// The right to use an rdev as the member in a slot. As long as there is one, md core neither
/// removes the rdev nor frees it: the adapters of `->hot_remove_disk` and `->free` see to that.
///
/// # Invariants
///
/// 1. `rdev` points to a valid rdev, bound to a running array, of which `mddev` and `bdev` are the
///    fields of those names.
/// 2. This value is counted in `members` under `slot`, which is the rdev's.
pub(crate) struct Member {
    rdev: NonNull<bindings::md_rdev>,
    mddev: NonNull<bindings::mddev>,
    bdev: NonNull<bindings::block_device>,
    data_offset: u64,
    slot: usize,
    members: Arc<Members>,
}

// SAFETY: An rdev, its array and its device may be used from any CPU.
unsafe impl Send for Member {}

// SAFETY: As above.
unsafe impl Sync for Member {}

impl Member {
    /// Puts `rdev` into a slot of its array. md core is told by [`Rdev::slot`] from now on; it is
    /// not in sync yet.
    ///
    /// # Errors
    ///
    /// - `EINVAL`: there is no such slot, or the three are not of one array.
    /// - `EBUSY`: the slot has a member, or the rdev is in another.
    pub(crate) fn new(
        mddev: &Mddev<Reconfig>,
        members: &Arc<Members>,
        rdev: &Rdev,
        slot: usize,
    ) -> Result<Self> {
        let count = members.counts.get(slot).ok_or(EINVAL)?;
        let raid_disk = i32::try_from(slot)?;
        if !members.is_of(mddev) || !rdev.is_of(mddev) {
            return Err(EINVAL);
        }
        if !members.is_free(slot) || rdev.slot().is_some_and(|other| other != slot) {
            return Err(EBUSY);
        }
        let bdev = NonNull::new(rdev.bdev()).ok_or(EINVAL)?;
        rdev.set_raid_disk(mddev, raid_disk);
        // ORDERING: The count goes up under `reconfig_mutex`, under which it is looked at.
        count.fetch_add(1, ordering::Relaxed);
        // INVARIANT: 1, as `rdev` is bound to the array that is `mddev`, and stays so while 2
        // holds; 2, as it was just counted and the slot set.
        Ok(Self {
            // SAFETY: References are not null.
            rdev: unsafe { NonNull::new_unchecked(rdev.as_raw()) },
            // SAFETY: As above.
            mddev: unsafe { NonNull::new_unchecked(mddev.as_raw()) },
            bdev,
            data_offset: rdev.data_offset(),
            slot,
            members: members.clone(),
        })
    }

    /// The member's rdev.
    pub(crate) fn rdev(&self) -> &Rdev {
        // SAFETY: By invariant 1.
        unsafe { Rdev::from_raw(self.rdev.as_ptr()) }
    }

    /// The slot that the member is in.
    pub(crate) fn slot(&self) -> usize {
        self.slot
    }

    /// The array that it is a member of.
    pub(crate) fn mddev(&self) -> &Mddev<Io> {
        // SAFETY: By invariant 1; the context `Io` asks for nothing more.
        unsafe { Mddev::from_raw(self.mddev.as_ptr()) }
    }

    pub(super) fn bdev(&self) -> *mut bindings::block_device {
        self.bdev.as_ptr()
    }

    /// Where data begin on the device, in sectors.
    pub(super) fn data_offset(&self) -> u64 {
        self.data_offset
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        if let Some(count) = self.members.counts.get(self.slot) {
            // ORDERING: Release: all use of the rdev comes before; see `Members::is_free`.
            count.fetch_sub(1, ordering::Release);
        }
    }
}
