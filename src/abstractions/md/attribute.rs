// SPDX-License-Identifier: GPL-2.0-or-later

//! Settings of an array: files in `/sys/block/mdX/md/`, beside md's own.
//!
//! C headers: `drivers/md/md.h` (`struct md_sysfs_entry`), `include/linux/sysfs.h` (Linux 7.3).
//!
//! The files come when an array starts and go before it is freed, and their going waits for whoever
//! is inside [`Setting::show`] or [`Setting::store`]. These hold none of md core's locks and must
//! not take any, so that nobody waits in a circle. Only `CAP_SYS_ADMIN` may write; md core sees to
//! that.

use super::{array::Array, personality::Personality};
use crate::bindings;
use core::{marker::PhantomData, mem::MaybeUninit, ptr};
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
        from_result(|| {
            // SAFETY: By the second safety requirement.
            let page = unsafe { core::slice::from_raw_parts_mut(page.cast(), PAGE_SIZE) };
            let mut out = Formatter::new(page);
            // SAFETY: By the first safety requirement.
            S::show(unsafe { Array::of(mddev) }, &mut out)?;
            out.write_str("\n")?;
            Ok(i16::try_from(out.bytes_written())?.into())
        })
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
        from_result(|| {
            // SAFETY: By the second safety requirement.
            let text = unsafe { core::slice::from_raw_parts(text.cast(), len) };
            let value = core::str::from_utf8(text).map_err(|_| EINVAL)?;
            // SAFETY: By the first safety requirement.
            S::store(unsafe { Array::of(mddev) }, value.trim_ascii())?;
            Ok(len.try_into()?)
        })
    }
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
