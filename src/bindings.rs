// SPDX-License-Identifier: GPL-2.0-or-later

//! What bindgen makes of `drivers/md/md.h`, of the C helpers and of a few constants.
//!
//! C headers: `drivers/md/md.h` (Linux 7.3), [`src/helpers/`](../helpers). Types and functions of
//! other headers are the kernel crate's own bindings. Only [`crate::abstractions`] uses this
//! module.

#![allow(
    clippy::all,
    clippy::multiple_unsafe_ops_per_block,
    clippy::undocumented_unsafe_blocks,
    dead_code,
    improper_ctypes,
    missing_docs,
    non_camel_case_types,
    non_snake_case,
    non_upper_case_globals,
    unreachable_pub,
    unsafe_op_in_unsafe_fn
)]

use kernel::ffi;

pub(crate) use kernel::bindings::*;

include!(env!("MD_MULTIPATH_BINDINGS"));
