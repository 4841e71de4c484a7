// SPDX-License-Identifier: GPL-2.0-or-later

//! What a disk calls itself: `enum blk_unique_id` and the bytes that go with it.
//!
//! C header: `include/linux/blkdev.h` (Linux 7.3). Plain data that depends on `core` alone.

use core::fmt;

/// A kind of designator, of those that the block layer knows. SCSI numbers them so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The vendor's name, and what the vendor made of it.
    T10 = 1,
    /// Of SCSI and NVMe: EUI-64, or NVMe's NGUID.
    Eui64 = 2,
    /// World-wide name.
    Naa = 3,
}

impl Kind {
    /// Every kind.
    pub(crate) const ALL: [Self; 3] = [Self::T10, Self::Eui64, Self::Naa];
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::T10 => "T10",
            Self::Eui64 => "EUI-64",
            Self::Naa => "NAA",
        })
    }
}

/// The bytes of a designator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Designator {
    bytes: [u8; Self::MAX],
    len: usize,
}

impl Designator {
    /// How many bytes a designator has at most.
    pub(crate) const MAX: usize = 16;

    /// A designator from its first `len` bytes. None if there are none, or more than there can be.
    pub(crate) fn new(bytes: [u8; Self::MAX], len: usize) -> Option<Self> {
        let mut this = Self { bytes, len };
        // What follows the designator is not part of it.
        this.bytes.get_mut(len..)?.fill(0);
        (len > 0).then_some(this)
    }
}

/// In hexadecimal digits.
impl fmt::Display for Designator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.bytes
            .iter()
            .take(self.len)
            .try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}
