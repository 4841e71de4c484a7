// SPDX-License-Identifier: GPL-2.0-or-later

//! What an I/O does: the flags of `blk_opf_t` that matter when it fails.
//!
//! C header: `include/linux/blk_types.h` (Linux 7.3). Plain data that depends on `core` alone.

/// The operation of an I/O, as far as it decides what a failure means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Op {
    /// Nobody waits for it; it may fail for any reason.
    pub(crate) read_ahead: bool,
}
