// SPDX-License-Identifier: GPL-2.0-or-later

//! The safe layer between md core, the block layer and the driver.
//!
//! All `unsafe` of the module is below this point. What is here knows nothing of multipath: each
//! submodule wraps one C interface and would serve another md personality as well.

pub(crate) mod bio;
pub(crate) mod designator;
pub(crate) mod log;
pub(crate) mod md;
pub(crate) mod once;
pub(crate) mod percpu;
pub(crate) mod percpu_ref;
pub(crate) mod rcu;
pub(crate) mod release;
pub(crate) mod trace;
