// SPDX-License-Identifier: GPL-2.0-or-later

//! What `mdmultipath` is made of: [`model`] reads sysfs and the module's debugfs, and where they do not say
//! what an array is, [`superblock`]; [`check`] judges it, [`report`] writes it; [`watch`] hears uevents;
//! [`convert`] translates from and to device mapper.

pub mod check;
pub mod convert;
pub mod model;
pub mod report;
pub mod superblock;
pub mod sysfs;
pub mod watch;
