// SPDX-License-Identifier: GPL-2.0-or-later

//! Which of the usable paths an I/O takes. Plain data that depends on `core` alone.

use super::slots::Slots;

/// How the paths of an array share its I/O.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Policy {
    /// The path in the lowest slot takes everything.
    #[default]
    First,
    /// Each path in turn takes [`RUN`](Policy::RUN) I/Os of a CPU.
    RoundRobin,
    /// The path with the fewer I/Os in flight of two, one in use and each other in turn, takes the
    /// next ones of a CPU.
    QueueDepth,
}

impl Policy {
    const ALL: [Self; 3] = [Self::First, Self::RoundRobin, Self::QueueDepth];

    /// How many I/Os of a CPU `round-robin` sends down a path before it takes the next, so that
    /// neighbouring I/Os stay together.
    pub(crate) const RUN: u32 = 8;

    /// How many I/Os of a CPU `queue-depth` sends down a path before it compares again.
    pub(crate) const RECHECK: u32 = 4;

    /// The policy of a name.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|policy| policy.name() == name)
    }

    /// The name of a policy.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::RoundRobin => "round-robin",
            Self::QueueDepth => "queue-depth",
        }
    }

    /// The policy of a number that [`number`](Self::number) gave.
    #[inline]
    pub(crate) const fn from_number(number: u32) -> Self {
        match number {
            0 => Self::First,
            1 => Self::RoundRobin,
            _ => Self::QueueDepth,
        }
    }

    /// The policy as a number.
    pub(crate) const fn number(self) -> u32 {
        match self {
            Self::First => 0,
            Self::RoundRobin => 1,
            Self::QueueDepth => 2,
        }
    }
}

/// The lowest priority that a path can have.
pub(crate) const LOWEST: i32 = -1000;

/// The priority that a text gives, if it gives one.
pub(crate) fn priority(text: &str) -> Option<i32> {
    let priority = text.parse().ok()?;
    (LOWEST..=1000).contains(&priority).then_some(priority)
}

/// A CPU's place in its round. One number, which each I/O of the CPU counts up.
///
/// From the low end: the I/Os of the run so far, modulo [`RUN`](Policy::RUN); the slot that takes
/// them, to which a full run adds one; the slot that was last compared with it. The number is a
/// hint: no harm is done if two I/Os see the same one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cursor(u32);

impl Cursor {
    const SLOTS: u32 = Slots::MAX as u32;

    /// A cursor from its number.
    #[inline]
    pub(crate) const fn from_bits(bits: u32) -> Self {
        Self(bits)
    }

    /// The number of a cursor.
    #[inline]
    pub(crate) const fn bits(self) -> u32 {
        self.0
    }

    /// At the start of a run on `slot`, which was compared with `other`.
    const fn at(slot: usize, other: usize) -> Self {
        Self((other as u32 * Self::SLOTS + slot as u32) * Policy::RUN)
    }

    const fn run(self) -> u32 {
        self.0 % Policy::RUN
    }

    const fn slot(self) -> usize {
        (self.0 / Policy::RUN % Self::SLOTS) as usize
    }

    const fn other(self) -> usize {
        (self.0 / Policy::RUN / Self::SLOTS % Self::SLOTS) as usize
    }

    /// The slot of the run, if the CPU stays there under either policy that has runs: what most I/Os
    /// do. Otherwise it is up to the policy.
    #[inline]
    pub(crate) const fn stays(self, usable: Slots) -> Option<usize> {
        let slot = self.slot();
        if self.run() % Policy::RECHECK != 0 && usable.contains(slot) {
            Some(slot)
        } else {
            None
        }
    }
}

/// Where a CPU's next I/O goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Choice {
    pub(crate) slot: usize,
    /// The CPU's new place, if it is not the one that the I/O has counted up.
    pub(crate) moved: Option<Cursor>,
}

impl Choice {
    #[inline]
    const fn stay(slot: usize) -> Self {
        Self { slot, moved: None }
    }

    const fn go(slot: usize, other: usize) -> Self {
        Self {
            slot,
            moved: Some(Cursor::at(slot, other)),
        }
    }
}

/// The first of the slots after `slot`, round the end.
#[inline]
fn first_after(slots: Slots, slot: usize) -> Option<usize> {
    slots.after(slot).first().or_else(|| slots.first())
}

/// The first usable slot from `slot` on, round the end.
fn first_from(usable: Slots, slot: usize) -> Option<usize> {
    usable
        .without(Slots::below(slot))
        .first()
        .or_else(|| usable.first())
}

/// Each usable slot in turn, for a run.
#[inline]
pub(crate) fn round_robin(usable: Slots, cursor: Cursor) -> Option<Choice> {
    let slot = cursor.slot();
    if usable.contains(slot) {
        return Some(Choice::stay(slot));
    }
    let slot = first_from(usable, slot)?;
    Some(Choice::go(slot, slot))
}

/// The slot in use, until another has no more I/Os in flight. Every so often, when the CPU does not
/// [stay](Cursor::stays), it is compared with one other, each in its turn: so the cost does not depend on
/// how many there are. Equals share.
#[inline]
pub(crate) fn queue_depth(
    usable: Slots,
    cursor: Cursor,
    depth: impl Fn(usize) -> i32,
) -> Option<Choice> {
    let slot = cursor.slot();
    let others = usable.without(Slots::one(slot));
    let Some(other) = first_after(others, cursor.other()) else {
        return usable.contains(slot).then_some(Choice::go(slot, slot));
    };
    if usable.contains(slot) && depth(slot) < depth(other) {
        return Some(Choice::go(slot, other));
    }
    Some(Choice::go(other, other))
}
