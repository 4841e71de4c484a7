// SPDX-License-Identifier: GPL-2.0-or-later

//! Events for user space: uevents of an array's disk.
//!
//! C header: `include/linux/kobject.h`, C source: `lib/kobject_uevent.c` (Linux 7.3).

use super::{mddev::Mddev, noio::NoIo};
use crate::bindings;
use core::ptr;
use kernel::{error::to_result, fmt, prelude::*, str::CString};

/// Sends a `change` event of the array's disk with `variables`, each `NAME=value`. Process context;
/// sleeps. It takes a lock of all uevents, whose holder may wait for memory, and so for I/O of this
/// array: whatever that I/O depends on must not call this.
///
/// # Errors
///
/// - `ENOMEM`: no memory for the event, or more variables than an event has room for.
/// - Any other: nobody could be told.
pub(crate) fn change<const N: usize, C>(
    mddev: &Mddev<C>,
    variables: [fmt::Arguments<'_>; N],
) -> Result {
    let _noio = NoIo::enter();
    let mut texts = KVec::with_capacity(N, GFP_KERNEL)?;
    for variable in variables {
        texts.push(CString::try_from_fmt(variable)?, GFP_KERNEL)?;
    }
    let mut environment = KVec::with_capacity(N + 1, GFP_KERNEL)?;
    for text in &texts {
        environment.push(text.as_char_ptr().cast_mut(), GFP_KERNEL)?;
    }
    environment.push(ptr::null_mut(), GFP_KERNEL)?;
    // SAFETY: The mddev is valid by its invariant, and arrays without a disk are not run.
    let disk = unsafe { (*mddev.as_raw()).gendisk };
    // SAFETY: The disk lives as long as the mddev.
    let whole = unsafe { (*disk).part0 };
    // SAFETY: As above; a disk has its whole device.
    let kobj = unsafe { &raw mut (*whole).bd_device.kobj };
    // SAFETY: The kobject is valid; the environment ends with a null, its texts are C strings, and
    // none is written to.
    to_result(unsafe {
        bindings::kobject_uevent_env(
            kobj,
            bindings::kobject_action_KOBJ_CHANGE,
            environment.as_mut_ptr(),
        )
    })
}
