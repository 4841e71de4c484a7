// SPDX-License-Identifier: GPL-2.0-or-later

//! Sets of slots, and the choice among them. Plain data that depends on `core` alone.

use core::fmt;

/// A set of slots, numbered from 0 to 63.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Slots(u64);

impl Slots {
    /// No slot.
    pub(crate) const NONE: Self = Self(0);

    /// How many slots there can be.
    pub(crate) const MAX: usize = u64::BITS as usize;

    /// The set of one slot; empty if there is no such slot.
    #[inline]
    pub(crate) const fn one(slot: usize) -> Self {
        if slot < Self::MAX {
            Self(1 << slot)
        } else {
            Self::NONE
        }
    }

    /// The set of the slots below `count`.
    pub(crate) const fn below(count: usize) -> Self {
        if count < Self::MAX {
            Self((1 << count) - 1)
        } else {
            Self(u64::MAX)
        }
    }

    /// The slots of this set that are higher than `slot`.
    #[inline]
    pub(crate) const fn after(self, slot: usize) -> Self {
        if slot < Self::MAX {
            Self(self.0 & u64::MAX << slot << 1)
        } else {
            Self::NONE
        }
    }

    /// A set from its bits, slot 0 the lowest.
    #[inline]
    pub(crate) const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// The bits of a set.
    #[inline]
    pub(crate) const fn bits(self) -> u64 {
        self.0
    }

    /// How many slots are in the set.
    pub(crate) const fn len(self) -> usize {
        self.0.count_ones() as usize
    }

    /// Whether no slot is in the set.
    #[inline]
    pub(crate) const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether `slot` is in the set.
    #[inline]
    pub(crate) const fn contains(self, slot: usize) -> bool {
        self.0 & Self::one(slot).0 != 0
    }

    /// The slots that are in either set.
    #[inline]
    pub(crate) const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The slots of this set that are not in the other.
    #[inline]
    pub(crate) const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// The slots that are in both sets.
    pub(crate) const fn common(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// The lowest slot.
    #[inline]
    pub(crate) const fn first(self) -> Option<usize> {
        if self.is_empty() {
            None
        } else {
            Some(self.0.trailing_zeros() as usize)
        }
    }

    /// The slots, lowest first.
    pub(crate) fn iter(self) -> impl Iterator<Item = usize> {
        let mut rest = self;
        core::iter::from_fn(move || {
            let slot = rest.first()?;
            rest = rest.without(Self::one(slot));
            Some(slot)
        })
    }
}

/// What becomes of a path that is said to have failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// It was not in use: there is nothing to take away.
    NotUsed,
    /// It is the last one that is usable, and stays so.
    Last,
    /// It is not used any more; these are left.
    Failed(Slots),
}

/// Decides on the failure of the path in `slot`.
pub(crate) const fn fail(usable: Slots, slot: usize) -> Failure {
    let left = usable.without(Slots::one(slot));
    if !usable.contains(slot) {
        Failure::NotUsed
    } else if left.is_empty() {
        Failure::Last
    } else {
        Failure::Failed(left)
    }
}

/// Those of the slots that have the highest priority among them.
pub(crate) fn highest(slots: Slots, priority: impl Fn(usize) -> i32) -> Slots {
    let mut best = Slots::NONE;
    let mut top = i32::MIN;
    for slot in slots.iter() {
        let priority = priority(slot);
        if priority > top || best.is_empty() {
            top = priority;
            best = Slots::one(slot);
        } else if priority == top {
            best = best.with(Slots::one(slot));
        }
    }
    best
}

/// The slot for a new path: the one it had before if that is free, else the first free one.
pub(crate) const fn choose(taken: Slots, count: usize, before: Option<usize>) -> Option<usize> {
    let free = Slots::below(count).without(taken);
    match before {
        Some(slot) if free.contains(slot) => Some(slot),
        _ => free.first(),
    }
}

/// An array's part of its line in `/proc/mdstat`: ` [2/1] [_U]`.
pub(crate) struct StatusLine {
    /// The number of slots.
    pub(crate) count: usize,
    /// Those with a working path.
    pub(crate) usable: Slots,
}

impl fmt::Display for StatusLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, " [{}/{}] [", self.count, self.usable.len())?;
        for slot in 0..self.count {
            f.write_str(if self.usable.contains(slot) { "U" } else { "_" })?;
        }
        f.write_str("]")
    }
}
