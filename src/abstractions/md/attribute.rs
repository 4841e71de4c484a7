// SPDX-License-Identifier: GPL-2.0-or-later

//! Settings: files of an array in `/sys/block/mdX/md/`, beside md's own, and of its members in
//! `/sys/block/mdX/md/dev-Y/`, in a directory with the personality's name.
//!
//! C headers: `drivers/md/md.h` (`struct md_sysfs_entry`), `include/linux/sysfs.h`,
//! `include/linux/kobject.h` (Linux 7.3).
//!
//! The files come when an array starts and go before it is freed; those of a member come when it
//! enters a slot and go before md core may free its rdev. Their going waits for whoever is inside
//! `show` or `store`, mostly with `reconfig_mutex` held and I/O suspended. `show` and `store` hold
//! none of md core's locks and must not take any, nor wait for I/O, so that nobody waits in a
//! circle. Only `CAP_SYS_ADMIN` may write.

use super::{
    array::Array,
    mddev::{Mddev, Reconfig},
    personality::Personality,
    rdev::Rdev,
};
use crate::{abstractions::release::set_functions, bindings};
use core::{
    marker::PhantomData,
    mem::MaybeUninit,
    ptr::{self, NonNull},
};
use kernel::{
    error::{from_result, to_result},
    ffi::c_char,
    fmt::Write,
    page::PAGE_SIZE,
    prelude::*,
    str::{as_char_ptr_in_const_context, CStr, Formatter},
};

/// One setting of the arrays of personality `P`.
pub(crate) trait Setting<P: Personality> {
    /// The file's name.
    const NAME: &'static CStr;

    /// Writes the value, without an end of line. Process context.
    ///
    /// # Errors
    ///
    /// Any; reading fails with it.
    fn show(array: &Array<P>, out: &mut Formatter<'_>) -> Result;

    /// Takes a new value: what was written, without white space around it. Process context.
    ///
    /// # Errors
    ///
    /// - `EINVAL`: this is no value of the setting, which stays as it was.
    fn store(array: &Array<P>, value: &str) -> Result;
}

/// A [`Setting`] as the C side sees it.
pub(crate) struct Entry<P: Personality> {
    entry: bindings::md_sysfs_entry,
    _personality: PhantomData<P>,
}

// SAFETY: An entry is constant.
unsafe impl<P: Personality> Sync for Entry<P> {}

impl<P: Personality> Entry<P> {
    /// The entry of a setting.
    pub(crate) const fn of<S: Setting<P>>() -> Self {
        // SAFETY: Zeroes are a valid `md_sysfs_entry`: no name, no functions, and with lockdep a
        // key of its own.
        let mut entry: bindings::md_sysfs_entry = unsafe { MaybeUninit::zeroed().assume_init() };
        entry.attr.name = as_char_ptr_in_const_context(S::NAME);
        entry.attr.mode = 0o644;
        entry.show = Some(Self::show::<S>);
        entry.store = Some(Self::store::<S>);
        Self {
            entry,
            _personality: PhantomData,
        }
    }

    /// # Safety
    ///
    /// - `mddev` is valid, and runs `P` until this returns.
    /// - `page` is a page, for this call alone.
    unsafe extern "C" fn show<S: Setting<P>>(
        mddev: *mut bindings::mddev,
        page: *mut c_char,
    ) -> isize {
        // SAFETY: By the first safety requirement.
        let array = unsafe { Array::of(mddev) };
        // SAFETY: By the second safety requirement.
        unsafe { show(page, |out| S::show(array, out)) }
    }

    /// # Safety
    ///
    /// - `mddev` is valid, and runs `P` until this returns.
    /// - `text` is `len` bytes, for this call alone.
    unsafe extern "C" fn store<S: Setting<P>>(
        mddev: *mut bindings::mddev,
        text: *const c_char,
        len: usize,
    ) -> isize {
        // SAFETY: By the first safety requirement.
        let array = unsafe { Array::of(mddev) };
        // SAFETY: By the second safety requirement.
        unsafe { store(text, len, |value| S::store(array, value)) }
    }
}

/// Writes a value and the end of its line to a page of sysfs, and gives the length or an errno.
///
/// # Safety
///
/// - `page` is a page, for this call alone.
unsafe fn show(page: *mut c_char, value: impl FnOnce(&mut Formatter<'_>) -> Result) -> isize {
    from_result(|| {
        // SAFETY: By the safety requirement.
        let page = unsafe { core::slice::from_raw_parts_mut(page.cast(), PAGE_SIZE) };
        let mut out = Formatter::new(page);
        value(&mut out)?;
        out.write_str("\n")?;
        Ok(i16::try_from(out.bytes_written())?.into())
    })
}

/// Hands on what was written, without white space around it, and gives the length or an errno.
///
/// # Safety
///
/// - `text` is `len` bytes, for this call alone.
unsafe fn store(text: *const c_char, len: usize, take: impl FnOnce(&str) -> Result) -> isize {
    from_result(|| {
        // SAFETY: By the safety requirement.
        let text = unsafe { core::slice::from_raw_parts(text.cast(), len) };
        let value = core::str::from_utf8(text).map_err(|_| EINVAL)?;
        take(value.trim_ascii())?;
        Ok(len.try_into()?)
    })
}

/// Makes the files of all settings.
///
/// # Errors
///
/// - `ENOMEM`: some were not made. [`remove`] is to be called all the same.
///
/// # Safety
///
/// - `mddev` is valid, and runs `P` until [`remove`] is called.
pub(super) unsafe fn create<P: Personality>(mddev: *mut bindings::mddev) -> Result {
    // SAFETY: By the safety requirement.
    let kobj = unsafe { &raw mut (*mddev).kobj };
    P::SETTINGS.iter().try_for_each(|setting| {
        // SAFETY: The mddev's kobj lives as long as the mddev; the entry is constant, and of the
        // kind that md core's `sysfs_ops` expect below this kobj.
        to_result(unsafe { bindings::sysfs_create_file_ns(kobj, &setting.entry.attr, ptr::null()) })
    })
}

/// Removes the files of all settings, and waits for those who read or write them.
///
/// # Safety
///
/// - `mddev` is valid.
pub(super) unsafe fn remove<P: Personality>(mddev: *mut bindings::mddev) {
    // SAFETY: By the safety requirement.
    let kobj = unsafe { &raw mut (*mddev).kobj };
    for setting in P::SETTINGS {
        // SAFETY: As in `create`. A file that is not there is passed over.
        unsafe { bindings::sysfs_remove_file_ns(kobj, &setting.entry.attr, ptr::null()) };
    }
}

/// One setting of the members in the slots of an array of personality `P`.
pub(crate) trait MemberSetting<P: Personality> {
    /// The file's name.
    const NAME: &'static CStr;

    /// Writes the value, without an end of line. Process context.
    ///
    /// # Errors
    ///
    /// Any; reading fails with it.
    fn show(array: &Array<P>, rdev: &Rdev, out: &mut Formatter<'_>) -> Result;

    /// Takes a new value: what was written, without white space around it. Process context.
    ///
    /// # Errors
    ///
    /// - `EINVAL`: this is no value of the setting, which stays as it was.
    fn store(array: &Array<P>, rdev: &Rdev, value: &str) -> Result;
}

/// A [`MemberSetting`] as the C side sees it.
pub(crate) struct MemberEntry<P: Personality> {
    attr: bindings::kobj_attribute,
    _personality: PhantomData<P>,
}

// SAFETY: An entry is constant.
unsafe impl<P: Personality> Sync for MemberEntry<P> {}

impl<P: Personality> MemberEntry<P> {
    /// The entry of a setting.
    pub(crate) const fn of<S: MemberSetting<P>>() -> Self {
        // SAFETY: Zeroes are a valid `kobj_attribute`: no name, no functions, and with lockdep a
        // key of its own.
        let mut attr: bindings::kobj_attribute = unsafe { MaybeUninit::zeroed().assume_init() };
        attr.attr.name = as_char_ptr_in_const_context(S::NAME);
        attr.attr.mode = 0o644;
        set_functions(&mut attr, File::<P>::show::<S>, File::<P>::store::<S>);
        Self {
            attr,
            _personality: PhantomData,
        }
    }
}

/// A file of a member: its entry, and what it is about.
///
/// # Invariants
///
/// 1. As long as the file is there, `array` points to the running array, and `rdev` to an rdev in
///    one of its slots.
#[repr(C)]
struct File<P: Personality> {
    attr: bindings::kobj_attribute,
    array: NonNull<Array<P>>,
    rdev: NonNull<bindings::md_rdev>,
}

impl<P: Personality> File<P> {
    /// The array and the member of a file.
    ///
    /// # Safety
    ///
    /// - `attr` is the field of a `File<P>` that is there for `'a`.
    unsafe fn subject<'a>(attr: *mut bindings::kobj_attribute) -> (&'a Array<P>, &'a Rdev) {
        // SAFETY: By the safety requirement; `attr` is the first field.
        let this: &'a Self = unsafe { &*attr.cast() };
        // SAFETY: By invariant 1.
        let array = unsafe { this.array.as_ref() };
        // SAFETY: By invariant 1.
        let rdev = unsafe { Rdev::from_raw(this.rdev.as_ptr()) };
        (array, rdev)
    }

    /// # Safety
    ///
    /// - `attr` is the field of a `File<P>` that is there until this returns.
    /// - `page` is a page, for this call alone.
    unsafe extern "C" fn show<S: MemberSetting<P>>(
        _kobj: *mut bindings::kobject,
        attr: *mut bindings::kobj_attribute,
        page: *mut c_char,
    ) -> isize {
        // SAFETY: By the first safety requirement.
        let (array, rdev) = unsafe { Self::subject(attr) };
        // SAFETY: By the second safety requirement.
        unsafe { show(page, |out| S::show(array, rdev, out)) }
    }

    /// # Safety
    ///
    /// - `attr` is the field of a `File<P>` that is there until this returns.
    /// - `text` is `len` bytes, for this call alone.
    unsafe extern "C" fn store<S: MemberSetting<P>>(
        _kobj: *mut bindings::kobject,
        attr: *mut bindings::kobj_attribute,
        text: *const c_char,
        len: usize,
    ) -> isize {
        // SAFETY: Any task may ask this of itself.
        if !unsafe { bindings::capable(bindings::CAP_SYS_ADMIN as i32) } {
            return EACCES.to_errno() as isize;
        }
        // SAFETY: By the first safety requirement.
        let (array, rdev) = unsafe { Self::subject(attr) };
        // SAFETY: By the second safety requirement.
        unsafe { store(text, len, |value| S::store(array, rdev, value)) }
    }
}

/// The files of one member, and the directory they are in. Dropping it removes them, and waits for
/// those who read or write them.
///
/// # Invariants
///
/// 1. `directory` is a kobject below the one of the rdev of the same name; this value owns it.
/// 2. `files` does not move, and is not changed.
pub(super) struct MemberFiles<P: Personality> {
    directory: NonNull<bindings::kobject>,
    files: KVec<File<P>>,
    rdev: NonNull<bindings::md_rdev>,
}

// SAFETY: sysfs may be used from any CPU, and the files are not changed.
unsafe impl<P: Personality> Send for MemberFiles<P> {}

impl<P: Personality> MemberFiles<P> {
    /// Makes the files of all settings of members. Sleeps.
    ///
    /// # Errors
    ///
    /// - `ENOMEM`.
    ///
    /// # Safety
    ///
    /// - `rdev` is in a slot of `array`, and neither leaves it nor is the array freed before the
    ///   value is dropped.
    pub(super) unsafe fn new(
        _mddev: &Mddev<Reconfig>,
        array: &Array<P>,
        rdev: &Rdev,
    ) -> Result<Self> {
        // SAFETY: References are not null.
        let rdev = unsafe { NonNull::new_unchecked(rdev.as_raw()) };
        let mut files = KVec::with_capacity(P::MEMBER_SETTINGS.len(), GFP_KERNEL)?;
        for entry in P::MEMBER_SETTINGS {
            // INVARIANT: 1 of `File`, by the safety requirement: the file goes with the value.
            let file = File {
                attr: Self::attribute(entry),
                array: NonNull::from(array),
                rdev,
            };
            files.push(file, GFP_KERNEL)?;
        }
        // SAFETY: By the safety requirement the rdev is valid.
        let parent = unsafe { &raw mut (*rdev.as_ptr()).kobj };
        // SAFETY: A bound rdev's kobject is in sysfs; the name is a C string.
        let directory = unsafe { bindings::kobject_create_and_add(P::NAME.as_char_ptr(), parent) };
        // INVARIANT: 1, straight from its making; 2, as it is complete.
        let this = Self {
            directory: NonNull::new(directory).ok_or(ENOMEM)?,
            files,
            rdev,
        };
        for file in &this.files {
            // SAFETY: The directory is there; the attribute lives as long as the file, by 2 and as
            // dropping the value removes the file first. It is of the kind that a plain kobject's
            // `sysfs_ops` expect.
            to_result(unsafe {
                bindings::sysfs_create_file_ns(directory, &file.attr.attr, ptr::null())
            })?;
        }
        Ok(this)
    }

    /// The attribute of a file: a copy, as each file has its own.
    fn attribute(entry: &'static MemberEntry<P>) -> bindings::kobj_attribute {
        #[cfg_attr(not(CONFIG_DEBUG_LOCK_ALLOC), expect(unused_mut))]
        let mut attr = entry.attr;
        #[cfg(CONFIG_DEBUG_LOCK_ALLOC)]
        {
            // Lockdep's keys are static: the copies share the one of the entry.
            attr.attr.key = (&raw const entry.attr.attr.skey).cast_mut();
        }
        attr
    }

    /// Whether these are the files of `rdev`.
    pub(super) fn are_of(&self, rdev: &Rdev) -> bool {
        self.rdev.as_ptr() == rdev.as_raw()
    }
}

impl<P: Personality> Drop for MemberFiles<P> {
    fn drop(&mut self) {
        let directory = self.directory.as_ptr();
        // SAFETY: By invariant 1 the directory is there. Its files go with it, and whoever is in
        // one of them has left when this returns.
        unsafe { bindings::kobject_del(directory) };
        // SAFETY: By invariant 1 there is a reference to give back.
        unsafe { bindings::kobject_put(directory) };
    }
}
