// SPDX-License-Identifier: GPL-2.0-or-later

//! Parts of a task's life in which memory must not be had by writing to disks.
//!
//! C header: `include/linux/sched/mm.h` (Linux 7.3).

use crate::bindings;
use kernel::types::NotThreadSafe;

/// Memory is allocated without waiting for I/O as long as this lives.
///
/// Members are added and removed with the array's I/O suspended, and the array's threads are what
/// its I/O waits for: to wait there for memory that is to be written to the array would be to wait
/// for ever.
///
/// # Invariants
///
/// 1. `flags` is what `memalloc_noio_save` gave to this task.
pub(super) struct NoIo {
    flags: u32,
    _task: NotThreadSafe,
}

impl NoIo {
    pub(super) fn enter() -> Self {
        // INVARIANT: 1, directly.
        Self {
            // SAFETY: May be called in process context, by any task for itself.
            flags: unsafe { bindings::memalloc_noio_save() },
            _task: NotThreadSafe,
        }
    }
}

impl Drop for NoIo {
    fn drop(&mut self) {
        // SAFETY: By invariant 1; the value does not leave its task. Scopes nest as values do.
        unsafe { bindings::memalloc_noio_restore(self.flags) };
    }
}
