// SPDX-License-Identifier: GPL-2.0-or-later

//! md's `multipath` personality (level -4).
//!
//! Several block devices that are paths to one disk become one md device. Each bio goes down one
//! in-sync path; when a path fails, its bios are retried on another by a thread of the array.
//!
//! # Layers
//!
//! - [`bindings`]: what bindgen makes of md core's private header. Generated, private.
//! - [`abstractions`]: the safe layer. All `unsafe` is there.
//! - [`multipath`]: the driver, without one `unsafe`. Its decisions are plain functions over plain
//!   data that depend on `core` alone, and are tested on the host as well.
//!
//! # An I/O's way
//!
//! 1. `make_request` (submitter's context): under an RCU guard the policy picks one of the preferred
//!    paths, and a reference to it is taken. The bio is cloned, with all state of the I/O in the
//!    clone's front pad, and submitted to the path. A flush is a bio like any other, but that it takes
//!    a path whose device has a write cache, if there is one: by others nobody would be asked.
//! 2. `complete` (any context): success ends the original. A failure gets a verdict from
//!    `multipath::verdict`: the error goes up, or the path is failed, or it becomes a suspect;
//!    for the latter two the I/O goes on the retry list, and the retry thread is woken. An I/O that
//!    succeeds convicts its suspects.
//! 3. The retry thread takes the whole list and sends each I/O down a path that it has not tried;
//!    a write may have to wait for that (`write_retry_hold_ms`).
//! 4. If there is no path to try: the I/O ends with its last error if a path that is still in use
//!    may be right about it. If all of these were told to fail fast, one is tried again, and not told
//!    so; if it is a flush, once more after that. Else no path works, and the I/O is parked
//!    (`multipath::parking`), or ends as well.
//!
//! # Threads
//!
//! md core's thread of the array does md core's housekeeping, which may write superblocks and wait
//! for them. The retry thread does all that is said above. It may wait in the submission of an I/O,
//! for a request of a device that hangs; what is due meanwhile is done when that is over.
//!
//! # Locks, outermost first
//!
//! `reconfig_mutex` (md core) → one of: the gate of the array or of a path (`Counted`), the writer
//! lock of the slot table (`rcu::Pointer`), the members' settings (`Array::member_files`), the files
//! in debugfs (`Array::debug`), what is known of the disk, `state` of the array, the retry lists, the
//! queue of events. None of these is taken inside another, but the queue of events inside `state`.
//! `mddev->lock` (md core) is held around `status`, which takes an RCU guard alone. `state`, the lock
//! of the retry lists and that of the events are taken with interrupts off, in any context. Settings
//! are read and written without `reconfig_mutex`. No lock is taken on the way of an I/O that succeeds.
//!
//! # Who holds what
//!
//! | object | owned by | kept alive by | freed |
//! |---|---|---|---|
//! | array | md core (`mddev->private`) | each I/O that has not ended, unless it is parked | `free`, after the last of these |
//! | slot table | array | RCU guards | a grace period after it was replaced |
//! | path | slot table | each I/O in flight on it | with the table it is in, once idle |
//! | rdev | md core | the `Member` in its path | after `hot_remove_disk` succeeded, or `free` |
//! | clone, with its front pad | whoever has the `Remap` or `Shelved`; in flight the block layer | – | when the I/O ends |
//! | bio set | array | each parked I/O | with the last of these |
//!
//! A path that failed is closed: no I/O starts on it, and when the last one is back it asks md core
//! to remove it. Removal waits for no I/O; until then it answers `EBUSY`. `quiesce` and `free` wait
//! for the I/Os of the array but for those that are parked; the retry thread is there to retry them
//! meanwhile, and where it is not, what would be retried fails. `free` ends what is parked.
//!
//! # Limits of parking
//!
//! What is parked keeps its clone. With memory exhausted to the last, and the bio set's reserve
//! parked, a submitter that has its path already may wait for a clone, and md core for the submitter
//! before it adds a path, until `no_path_timeout_ms` is over. New I/O that comes while others are
//! parked never waits for that reserve: it fails if there is no memory for a second.

#![deny(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::multiple_unsafe_ops_per_block,
    clippy::undocumented_unsafe_blocks,
    clippy::unwrap_used,
    unsafe_op_in_unsafe_fn
)]

mod abstractions;
mod bindings;
mod multipath;

use abstractions::{
    md::Registration,
    release::{parameter, with_flag},
};
use kernel::prelude::*;
use multipath::Multipath;

/// Declares the module: `$flag` is the type of a parameter that is on or off, `$on` its value when on.
macro_rules! declare {
    ($flag:ident, $on:tt) => {
        module! {
            type: Module,
            name: "md_multipath",
            authors: ["The md_multipath authors"],
            description: "md multipath personality: several paths to one disk",
            license: "GPL",
            alias: ["md-level--4", "md-multipath", "md-personality-7", "multipath"],
            params: {
                no_path_timeout_ms: u32 {
                    default: 0,
                    description: "Default of new arrays: how long I/O waits for a path when none works, in ms (0: it fails at once)",
                },
                no_path_max_parked: u32 {
                    default: 4096,
                    description: "Default of new arrays: how many I/Os may wait for a path",
                },
                write_retry_hold_ms: u32 {
                    default: 0,
                    description: "Default of new arrays: how long a failed write waits before it goes down another path, in ms",
                },
                same_disk_check: $flag {
                    default: $on,
                    description: "Refuse paths that lead to another disk or have another size (default: yes)",
                },
            },
        }
    };
}
with_flag!(declare);

/// What the settings of a new array are: `no_path_timeout_ms`, `no_path_max_parked`,
/// `write_retry_hold_ms`.
fn defaults() -> [u32; 3] {
    [
        parameter(&module_parameters::no_path_timeout_ms),
        parameter(&module_parameters::no_path_max_parked),
        parameter(&module_parameters::write_retry_hold_ms),
    ]
}

/// The loaded module: the registered personality.
struct Module {
    _registration: Registration<Multipath>,
}

impl kernel::Module for Module {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        if !multipath::are_valid(defaults()) {
            pr_err!("a parameter is out of the range of its setting\n");
            return Err(EINVAL);
        }
        Ok(Self {
            _registration: Registration::new()?,
        })
    }
}
