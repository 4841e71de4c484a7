// SPDX-License-Identifier: GPL-2.0-or-later

//! Tracepoints: what becomes of an array's bios.
//!
//! C header: [`src/helpers/trace.h`](../helpers/trace.h). In tracefs they are below
//! `events/md_multipath`. [`map`] costs next to nothing while nothing is traced. Each of the others
//! costs a call, traced or not: they are not for the way of an I/O that succeeds. Any context.

use super::{
    bio::Status,
    md::{Array, Member, Personality, Remap, Shelved},
};
use crate::bindings;
#[cfg(CONFIG_TRACEPOINTS)]
use kernel::jump_label::static_branch_unlikely;
use kernel::str::{CStr, CStrExt as _};

/// An I/O's clone goes to `member`. The block layer's own trace of that is made here, too.
#[cfg(CONFIG_TRACEPOINTS)]
#[inline(always)]
pub(super) fn map<P: Personality>(io: &Remap<P>, member: &Member) {
    // Each key has its own call, as it costs instructions to join what two keys say.
    #[expect(
        clippy::multiple_unsafe_ops_per_block,
        reason = "inside `static_branch_unlikely`"
    )]
    // SAFETY: The key of a tracepoint is a static key that C defines.
    let remaps = unsafe {
        static_branch_unlikely!(
            bindings::__tracepoint_block_bio_remap,
            bindings::tracepoint,
            key
        )
    };
    if remaps {
        // SAFETY: The clone of an I/O that is not in flight is valid.
        return unsafe { map_traced(io.array(), io.original(), io.clone_raw(), member) };
    }
    #[expect(
        clippy::multiple_unsafe_ops_per_block,
        reason = "inside `static_branch_unlikely`"
    )]
    // SAFETY: As above.
    let maps = unsafe {
        static_branch_unlikely!(
            bindings::__tracepoint_md_multipath_map,
            bindings::tracepoint,
            key
        )
    };
    if maps {
        // SAFETY: As above.
        unsafe { map_traced(io.array(), io.original(), io.clone_raw(), member) };
    }
}

/// This kernel traces nothing.
#[cfg(not(CONFIG_TRACEPOINTS))]
#[inline(always)]
pub(super) fn map<P: Personality>(_: &Remap<P>, _: &Member) {}

/// # Safety
///
/// - `clone` is valid and has a device.
#[cfg(CONFIG_TRACEPOINTS)]
#[cold]
#[inline(never)]
unsafe fn map_traced<P: Personality>(
    array: &Array<P>,
    original: &super::bio::Bio,
    clone: *mut bindings::bio,
    member: &Member,
) {
    let slot = member.slot() as u32;
    // SAFETY: The original is valid until it is ended.
    let sector = unsafe { (*original.as_raw()).bi_iter.bi_sector };
    // SAFETY: As in `error`; the clone is valid by the safety requirement.
    unsafe { bindings::trace_map(array.mddev().as_raw(), clone, sector, slot) };
}

/// An I/O has come back from the path in `slot` with an error.
pub(crate) fn error<P: Personality>(io: &Remap<P>, slot: usize, status: Status) {
    let (mddev, bio) = raw(io);
    // SAFETY: An I/O's array and its original are valid until it ends.
    unsafe { bindings::trace_error(mddev, bio, slot as u32, status.to_raw()) };
}

/// The driver has judged an I/O that came back with an error. `verdict` says how.
pub(crate) fn verdict<P: Personality>(
    io: &Remap<P>,
    slot: usize,
    status: Status,
    verdict: &'static CStr,
) {
    let (mddev, bio) = raw(io);
    let verdict = verdict.as_char_ptr();
    // SAFETY: As in `error`; the text is a C string.
    unsafe { bindings::trace_verdict(mddev, bio, slot as u32, status.to_raw(), verdict) };
}

/// An I/O goes down the path in `slot`, having failed elsewhere.
pub(crate) fn retry<P: Personality>(io: &Remap<P>, slot: usize) {
    let (mddev, bio) = raw(io);
    // SAFETY: The original is valid until it is ended.
    let sector = unsafe { (*bio).bi_iter.bi_sector };
    // SAFETY: As in `error`.
    unsafe { bindings::trace_retry(mddev, bio, sector, slot as u32) };
}

/// An I/O waits for a path.
pub(crate) fn park<P: Personality>(io: &Remap<P>) {
    let (mddev, bio) = raw(io);
    // SAFETY: As in `error`.
    unsafe { bindings::trace_park(mddev, bio) };
}

/// An I/O that has waited for a path waits no longer: it is tried again, or ends.
pub(crate) fn release<P: Personality>(array: &Array<P>, io: &Shelved<P>) {
    // SAFETY: The array's mddev is valid, and the original is until it ends.
    unsafe { bindings::trace_release(array.mddev().as_raw(), io.original().as_raw()) };
}

/// The array's mddev and the original of an I/O, which are valid until it ends.
fn raw<P: Personality>(io: &Remap<P>) -> (*mut bindings::mddev, *mut bindings::bio) {
    (io.array().mddev().as_raw(), io.original().as_raw())
}
