// SPDX-License-Identifier: GPL-2.0-or-later

//! What is to be told about paths, from contexts that cannot tell it: a queue without allocations.
//! Plain data that depends on `core` alone.

use super::slots::Slots;
use core::ffi::CStr;

/// What happened to a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// It is not used any more.
    Failed,
    /// It is back in the slot that it was in.
    Reinstated,
    /// It is new.
    Added,
    /// It has left its slot.
    Removed,
}

impl Kind {
    /// The event's name.
    pub(crate) const fn name(self) -> &'static CStr {
        match self {
            Self::Failed => c"PATH_FAILED",
            Self::Reinstated => c"PATH_REINSTATED",
            Self::Added => c"PATH_ADDED",
            Self::Removed => c"PATH_REMOVED",
        }
    }
}

/// What is to be told about the path in a slot. `N` is what the path is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Event<N> {
    pub(crate) slot: usize,
    pub(crate) kind: Kind,
    pub(crate) name: N,
    /// How many paths work after it.
    pub(crate) left: usize,
    /// How many events of the slot this one stands for: itself, and those before that were not
    /// told in time.
    pub(crate) times: u32,
}

/// The events that wait to be told: one for each slot, the last one. The slots come in the order of
/// their last events.
pub(crate) struct Queue<N> {
    waiting: [Option<(u64, Event<N>)>; Slots::MAX],
    /// How many events there were.
    count: u64,
}

impl<N: Copy> Queue<N> {
    pub(crate) const fn new() -> Self {
        Self {
            waiting: [None; Slots::MAX],
            count: 0,
        }
    }

    /// Adds an event, which takes the place of the one that waits for its slot. An event of a slot
    /// that cannot be is dropped.
    pub(crate) fn push(&mut self, slot: usize, kind: Kind, name: N, left: usize) {
        let Some(place) = self.waiting.get_mut(slot) else {
            return;
        };
        let before = place.as_ref().map_or(0, |(_, event)| event.times);
        self.count = self.count.wrapping_add(1);
        let event = Event {
            slot,
            kind,
            name,
            left,
            times: before.saturating_add(1),
        };
        *place = Some((self.count, event));
    }

    /// Takes the oldest event.
    pub(crate) fn pop(&mut self) -> Option<Event<N>> {
        let oldest = self
            .waiting
            .iter_mut()
            .filter(|place| place.is_some())
            .min_by_key(|place| place.as_ref().map(|(number, _)| *number))?;
        oldest.take().map(|(_, event)| event)
    }
}
