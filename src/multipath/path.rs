// SPDX-License-Identifier: GPL-2.0-or-later

//! A path, and the table of them by slot.

use super::{
    counters::Counters,
    policy,
    slots::{self, Slots},
    verdict::History,
};
use crate::abstractions::{
    md::{self, Flag, Member},
    once::load_relaxed,
    percpu::{Counter, Gauge},
    percpu_ref::{Counted, Idle},
};
use kernel::{
    prelude::*,
    sync::{
        atomic::{ordering, Atomic},
        Arc,
    },
};

/// A path to the disk: a member of the array in its slot.
///
/// Each I/O in flight on the path holds a reference. The path is closed when it fails, and then no
/// I/O starts on it.
pub(crate) struct Path {
    member: Member,
    /// The set of its slot.
    own: Slots,
    /// Its number; see [`History`]. Changed under `reconfig_mutex`.
    number: Atomic<u32>,
    /// I/O takes the paths of the highest priority. Changed under the array's `state`.
    priority: Atomic<i32>,
    /// The I/Os in flight on it that were sent under a policy that looks at this.
    in_flight: Gauge,
    counters: Counters,
}

impl Path {
    /// A path with a priority, unless its member is marked as `write-mostly`: then it has the lowest.
    pub(crate) fn new(member: Member, number: u32, priority: i32) -> Result<Arc<Counted<Self>>> {
        let priority = match member.rdev().test(Flag::WriteMostly) {
            true => policy::LOWEST,
            false => priority,
        };
        let path = Counted::new(Self {
            priority: Atomic::new(priority),
            own: Slots::one(member.slot()),
            member,
            number: Atomic::new(number),
            in_flight: Gauge::new()?,
            counters: Counters::new()?,
        })?;
        Ok(Arc::new(path, GFP_KERNEL)?)
    }

    pub(crate) fn slot(&self) -> usize {
        self.member.slot()
    }

    /// The set of its slot.
    #[inline]
    pub(crate) fn own(&self) -> Slots {
        self.own
    }

    pub(crate) fn number(&self) -> u32 {
        load_relaxed(&self.number)
    }

    pub(crate) fn counters(&self) -> &Counters {
        &self.counters
    }

    pub(crate) fn priority(&self) -> i32 {
        load_relaxed(&self.priority)
    }

    pub(crate) fn set_priority(&self, priority: i32) {
        // ORDERING: The array's `state` orders it; who reads it without takes any value.
        self.priority.store(priority, ordering::Relaxed);
    }

    #[inline]
    pub(crate) fn in_flight(&self) -> &Gauge {
        &self.in_flight
    }
}

impl Idle for Path {
    /// The last I/O on a failed path is back: md core may remove the path now.
    fn idle(&self) {
        if self.member.rdev().test(Flag::Faulty) {
            self.member.mddev().request_recovery();
        }
    }
}

impl md::Path for Path {
    fn member(&self) -> &Member {
        &self.member
    }

    fn sent(&self) -> &Counter {
        &self.counters.sent
    }
}

/// The paths by slot. It is never changed, but replaced by another, under RCU.
pub(crate) struct Table {
    slots: KVec<Option<Arc<Counted<Path>>>>,
}

impl Table {
    /// A table of `count` empty slots.
    pub(crate) fn empty(count: usize) -> Result<Self> {
        let mut slots = KVec::with_capacity(count, GFP_KERNEL)?;
        for _ in 0..count {
            slots.push(None, GFP_KERNEL)?;
        }
        Ok(Self { slots })
    }

    /// A copy of this table, with another path in `slot`, or none.
    pub(crate) fn replaced(
        &self,
        slot: usize,
        path: Option<Arc<Counted<Path>>>,
    ) -> Result<KBox<Self>> {
        let mut slots = KVec::with_capacity(self.slots.len(), GFP_KERNEL)?;
        for path in &self.slots {
            slots.push(path.clone(), GFP_KERNEL)?;
        }
        *slots.get_mut(slot).ok_or(EINVAL)? = path;
        Ok(KBox::new(Self { slots }, GFP_KERNEL)?)
    }

    /// A copy of this table with `count` slots.
    ///
    /// # Errors
    ///
    /// - `EBUSY`: there is a path in a slot that would go.
    pub(crate) fn resized(&self, count: usize) -> Result<KBox<Self>> {
        let mut table = Self::empty(count)?;
        for path in self.slots.iter().flatten() {
            table.place(path.clone()).map_err(|_| EBUSY)?;
        }
        Ok(KBox::new(table, GFP_KERNEL)?)
    }

    /// Puts a path into its slot, before anybody else sees the table.
    ///
    /// # Errors
    ///
    /// - `EINVAL`: there is no such slot, or it is taken.
    pub(crate) fn place(&mut self, path: Arc<Counted<Path>>) -> Result {
        match self.slots.get_mut(path.slot()) {
            Some(slot @ None) => {
                *slot = Some(path);
                Ok(())
            }
            _ => Err(EINVAL),
        }
    }

    /// The number of slots.
    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    /// The path in a slot.
    #[inline]
    pub(crate) fn get(&self, slot: usize) -> Option<&Arc<Counted<Path>>> {
        self.slots.get(slot)?.as_ref()
    }

    /// Those of the slots whose paths have the highest priority.
    pub(crate) fn highest(&self, slots: Slots) -> Slots {
        slots::highest(slots, |slot| {
            self.get(slot)
                .map_or(policy::LOWEST, |path| path.priority())
        })
    }

    /// The slots that have a path, working or not.
    pub(crate) fn taken(&self) -> Slots {
        let mut taken = Slots::NONE;
        for path in self.slots.iter().flatten() {
            taken = taken.with(Slots::one(path.slot()));
        }
        taken
    }

    /// A path gets the number `newest`: none stays too far behind.
    pub(crate) fn keep_up(&self, newest: u32) {
        for path in self.slots.iter().flatten() {
            let number = History::kept_up(path.number(), newest);
            // ORDERING: Whoever reads it meanwhile may take either.
            path.number.store(number, ordering::Relaxed);
        }
    }

    /// Closes all paths, so that dropping the table waits for all of them at once.
    pub(crate) fn close(&self) {
        for path in self.slots.iter().flatten() {
            path.close();
        }
    }
}
