// SPDX-License-Identifier: GPL-2.0-or-later

//! md personalities.
//!
//! C header: `drivers/md/md.h`, C source: `drivers/md/md.c` (Linux 7.3).
//!
//! A driver implements [`Personality`] and registers it. For every running array md core keeps one
//! [`Array`] of it, made by [`Personality::run`] and freed when the array stops. Whatever may
//! outlive a callback holds a counted reference:
//!
//! | holder | holds | until |
//! |---|---|---|
//! | md core (`mddev->private`) | the array itself | `->free` |
//! | an I/O in flight ([`Remap`]) | a [`Ref`] to the array and one to its path | it ends |
//! | an I/O on a [`Shelf`] | the bio set alone: nobody waits for it | it ends or is taken back |
//! | a path of the driver | a [`Member`], which md core must not free | it is dropped |
//!
//! `->quiesce` and `->free` wait for the references to the array, so that the mddev, the array, its
//! bio set and the driver's data are there for as long as an I/O is in flight. The adapters in
//! [`personality`] do that waiting; the driver decides what an I/O does.
//!
//! [`Ref`]: super::percpu_ref::Ref

pub(crate) mod array;
pub(crate) mod attribute;
pub(crate) mod debug;
pub(crate) mod event;
pub(crate) mod io;
pub(crate) mod mddev;
mod noio;
pub(crate) mod personality;
pub(crate) mod rdev;
pub(crate) mod thread;

pub(crate) use array::Array;
pub(crate) use attribute::{Entry, MemberEntry, MemberSetting, Setting};
pub(crate) use debug::{DebugEntry, DebugFile};
pub(crate) use io::{Fresh, List, Memory, Path, Remap, Shelf, Shelved};
pub(crate) use mddev::{Mddev, Reconfig};
pub(crate) use personality::{Personality, Registration};
pub(crate) use rdev::{Flag, Member, Members, Name, Rdev};

/// How many slots an array may have, and thereby how many paths at a time.
pub(crate) const MAX_SLOTS: usize = 64;
