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
    /// The path with the fewest I/Os in flight takes the next ones of a CPU.
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
            1 => Self::RoundRobin,
            2 => Self::QueueDepth,
            _ => Self::First,
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

/// The slot that takes a CPU's `turn`-th I/O under `round-robin`.
#[inline]
pub(crate) fn round_robin(usable: Slots, turn: u32) -> Option<usize> {
    let count = usable.len() as u32;
    if count == 0 {
        return None;
    }
    usable.nth(turn / Policy::RUN % count)
}

/// The slot with the fewest I/Os in flight; of equals the one after `last`, so that they share.
pub(crate) fn shallowest(
    usable: Slots,
    last: usize,
    depth: impl Fn(usize) -> usize,
) -> Option<usize> {
    let after = usable.without(Slots::below(last.saturating_add(1)));
    let before = usable.without(after);
    after
        .iter()
        .chain(before.iter())
        .min_by_key(|slot| depth(*slot))
}
