// SPDX-License-Identifier: GPL-2.0-or-later

//! What a failed I/O says about the path it failed on, and where it goes from there. Plain
//! functions over plain data that depend on `core` alone.

use super::{parking::Ms, slots::Slots};
use crate::abstractions::bio::{Kind, Op, Status};
use core::ffi::CStr;

/// What is to be done with an I/O that came back from a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It succeeded.
    Done,
    /// Its error is the disk's own answer, or nobody minds: it goes up, and no path is blamed.
    Fail,
    /// The path is down: fail it, and try another.
    PathDown,
    /// It may have been the path or the disk: try another first.
    Ambiguous,
}

impl Verdict {
    /// The verdict's name, as traces have it.
    pub(crate) const fn name(self) -> &'static CStr {
        match self {
            Self::Done => c"done",
            Self::Fail => c"fail",
            Self::PathDown => c"path down",
            Self::Ambiguous => c"ambiguous",
        }
    }
}

/// Judges an I/O by how it ended. `live` says whether the path's device is still there,
/// with a size, and not offline.
pub(crate) const fn verdict(op: Op, status: Status, live: bool) -> Verdict {
    match status {
        Status::Ok => Verdict::Done,
        _ if op.read_ahead => Verdict::Fail,
        // The submitter did not want to wait, which is not the device's fault, dead or alive.
        Status::Again => Verdict::Fail,
        _ if !live => Verdict::PathDown,
        // As every disk can do it, it may be the path that leads to no disk any more: an NVMe controller
        // says so from when the namespace was detached from it, and its device stays until a rescan.
        Status::NotSupp if op.is_plain() => Verdict::Ambiguous,
        Status::NotSupp
        | Status::NoSpc
        | Status::Target
        | Status::ResvConflict
        | Status::Medium
        | Status::Protection
        | Status::DurationLimit
        | Status::Inval
        | Status::ZoneOpenResource
        | Status::ZoneActiveResource => Verdict::Fail,
        Status::Transport | Status::Offline => Verdict::PathDown,
        Status::IoErr
        | Status::Timeout
        | Status::Resource
        | Status::DevResource
        | Status::DmRequeue
        | Status::Other(_) => Verdict::Ambiguous,
    }
}

/// What an I/O ends with that no path has done, of which `status` is what was said last, or `Ok` if it was not
/// sent. Who flushes a device takes `NotSupp` for success (C: `blkdev_fsync`). But a disk that is asked for a flush has
/// a cache, and can do it: those who say so lead to no disk.
pub(crate) const fn ending(op: Op, status: Status) -> Status {
    match (op.kind, status) {
        (_, Status::Ok) | (Kind::Flush, Status::NotSupp) => Status::IoErr,
        _ => status,
    }
}

/// What it means that an I/O has no path left to try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exhausted {
    /// A path that is still in use has failed it as well, and took its time: it is the disk's answer.
    Answer,
    /// The paths in these slots are in use and have failed it as well, but what they said may pass. One
    /// of them is to [take its time](History::try_again).
    Hasty(Slots),
    /// No path that is left works.
    NoPath,
}

/// What is to be remembered of an I/O in one bit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Mark {
    /// The path that it is on counts it as in flight.
    Counted = 1,
    /// Something depends on how it ends: what it failed on before, or those that wait behind it.
    Watched = 2,
    /// It has started over after it was held; see [`History::renew`].
    Renewed = 4,
    /// The path that it is on takes its time: it is a retry that was not told to fail fast, and lower
    /// layers do not merge it with what was.
    Patient = 8,
    /// A path that took its time has failed it, and may be right.
    Answered = 16,
    /// A path that took its time has failed it, but may have answered another I/O; see
    /// [`History::may_be_hasty`].
    Heard = 32,
}

impl Mark {
    /// Those that count when the I/O succeeds.
    const ON_SUCCESS: u32 = Self::Counted as u32 | Self::Watched as u32;
    const BITS: u32 = 6;
}

/// What an I/O remembers of the paths it failed on.
///
/// A slot may get another path while an I/O is under way. Each path that enters a slot gets a
/// number, higher than all before it in the array; `known` is the highest that this I/O can have
/// met. A path in a tried slot with a higher number is one that the I/O has not tried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct History {
    tried: Slots,
    suspects: Slots,
    /// From the lowest bit: one for each [`Mark`]; the slot of the path that has
    /// [answered](Mark::Answered); `known`, without its highest bits. Every byte here is one of each I/O
    /// in flight.
    word: u32,
    /// Since when it has waited for its retry, if it is one that has to.
    pub(crate) held_at: Ms,
}

impl History {
    const SLOT_BITS: u32 = (Slots::MAX - 1).ilog2() + 1;
    const KNOWN_SHIFT: u32 = Mark::BITS + Self::SLOT_BITS;
    const BELOW_KNOWN: u32 = (1 << Self::KNOWN_SHIFT) - 1;
    /// So far the number of a path may be behind the highest. What is twice as far behind would be newer.
    const REACH: u32 = 1 << (u32::BITS - Self::KNOWN_SHIFT - 2);

    /// The history of a new I/O. `known` is read after the I/O's first path was picked.
    #[inline]
    pub(crate) const fn new(known: u32) -> Self {
        Self {
            tried: Slots::NONE,
            suspects: Slots::NONE,
            word: known << Self::KNOWN_SHIFT,
            held_at: 0,
        }
    }

    /// The I/O failed on the path in `slot`. If the path is a `suspect`, success on another will
    /// convict it; and what it said may be the disk's answer, unless it [may have been
    /// hasty](Self::may_be_hasty): then it is asked again.
    pub(crate) const fn failed_on(&mut self, slot: usize, suspect: bool, flushes: bool) {
        self.tried = self.tried.with(Slots::one(slot));
        self.suspects = self.suspects.without(Slots::one(slot));
        if suspect {
            self.suspects = self.suspects.with(Slots::one(slot));
            self.mark(Mark::Watched, true);
            if self.is_marked(Mark::Patient) && self.may_be_hasty(flushes) {
                self.mark(Mark::Heard, true);
            } else if self.is_marked(Mark::Patient) {
                let others = self.word & !(Self::BELOW_KNOWN >> Mark::BITS << Mark::BITS);
                self.word = others | (slot as u32) << Mark::BITS;
                self.mark(Mark::Answered, true);
            }
        }
    }

    /// Whether the path that the I/O is on may say in haste what it says. If the I/O `flushes`, that holds
    /// until it has once been said by a path that took its time: the block layer has one request for all
    /// flushes of a device that wait, which fails fast if the one that started it does
    /// (C: `blk_kick_flush`).
    pub(crate) const fn may_be_hasty(&self, flushes: bool) -> bool {
        !self.is_marked(Mark::Patient) || flushes && !self.is_marked(Mark::Heard)
    }

    /// The path that has said, taking its time, what may be the disk's answer.
    const fn answered(&self) -> Slots {
        if self.is_marked(Mark::Answered) {
            Slots::one(((self.word & Self::BELOW_KNOWN) >> Mark::BITS) as usize)
        } else {
            Slots::NONE
        }
    }

    /// The path in `slot`, a suspect, is to be tried once more. As no other is left to try, it takes its
    /// time; if another comes before, it may have to be tried again.
    pub(crate) const fn try_again(&mut self, slot: usize) {
        self.tried = self.tried.without(Slots::one(slot));
    }

    /// Forgets slots that have got another path since, also one that is [to be tried
    /// again](Self::try_again). `entered` tells the number of the path in a slot; `known` is the highest
    /// number given out, read before.
    pub(crate) fn refresh(&mut self, known: u32, entered: impl Fn(usize) -> Option<u32>) {
        let met = self.tried.with(self.suspects).with(self.answered());
        for slot in met.iter() {
            if entered(slot).is_some_and(|number| self.is_newer(number)) {
                self.tried = self.tried.without(Slots::one(slot));
                self.suspects = self.suspects.without(Slots::one(slot));
                if self.answered().contains(slot) {
                    self.mark(Mark::Answered, false);
                }
            }
        }
        self.word = known << Self::KNOWN_SHIFT | self.word & Self::BELOW_KNOWN;
    }

    /// Whether an I/O has a mark.
    #[inline]
    pub(crate) const fn is_marked(&self, mark: Mark) -> bool {
        self.word & mark as u32 != 0
    }

    /// Whether nothing but its end is due when an I/O succeeds.
    #[inline]
    pub(crate) const fn is_plain(&self) -> bool {
        self.word & Mark::ON_SUCCESS == 0
    }

    /// Whether nothing but its end, and that it is [counted](Mark::Counted) no more, is due when an I/O
    /// succeeds.
    #[inline]
    pub(crate) const fn is_counted_only(&self) -> bool {
        self.word & Mark::ON_SUCCESS == Mark::Counted as u32
    }

    /// Gives an I/O a mark, or takes it away.
    #[inline]
    pub(crate) const fn mark(&mut self, mark: Mark, on: bool) {
        self.word = self.word & !(mark as u32) | if on { mark as u32 } else { 0 };
    }

    /// The I/O has waited before its retry; `known` and `entered` as for [`refresh`](Self::refresh). If it
    /// has tried all of the usable, those that were said to be down may be up by now: they are to be tried
    /// once more.
    pub(crate) fn renew(
        &mut self,
        known: u32,
        entered: impl Fn(usize) -> Option<u32>,
        usable: Slots,
    ) {
        // What it has not tried is no reason to start over.
        self.refresh(known, entered);
        let again = usable.without(self.suspects);
        let none_left = self.untried(usable).is_empty() && !again.is_empty();
        if none_left && !self.is_marked(Mark::Renewed) {
            self.tried = self.tried.without(again);
            self.mark(Mark::Renewed, true);
        }
    }

    /// Whether a path with this number entered its slot after the I/O last looked.
    pub(crate) const fn is_newer(&self, number: u32) -> bool {
        // Numbers wrap; an I/O does not live through a quarter of a million additions.
        let known = self.word & !Self::BELOW_KNOWN;
        (number << Self::KNOWN_SHIFT).wrapping_sub(known) as i32 > 0
    }

    /// The number that a path with this one is to have when the highest is `newest`: paths may live
    /// through any number of additions.
    pub(crate) const fn kept_up(number: u32, newest: u32) -> u32 {
        if newest.wrapping_sub(number) > Self::REACH {
            newest.wrapping_sub(Self::REACH)
        } else {
            number
        }
    }

    /// The slots whose paths the I/O has failed on.
    pub(crate) const fn tried(&self) -> Slots {
        self.tried
    }

    /// Which of these the I/O has not tried.
    pub(crate) const fn untried(&self, usable: Slots) -> Slots {
        usable.without(self.tried)
    }

    /// What to make of it when none of the usable is left to try.
    pub(crate) const fn exhausted(&self, usable: Slots) -> Exhausted {
        let in_use = self.suspects.common(usable);
        if in_use.is_empty() {
            Exhausted::NoPath
        } else if in_use.common(self.answered()).is_empty() {
            Exhausted::Hasty(in_use)
        } else {
            Exhausted::Answer
        }
    }

    /// The paths that success on another path convicts.
    #[inline]
    pub(crate) const fn suspects(&self) -> Slots {
        self.suspects
    }
}

/// Whether lower layers should fail an I/O fast that is sent to the path in `own`, the set of its
/// slot: unless no other path is left to try.
#[inline]
pub(crate) const fn failfast(untried: Slots, own: Slots) -> bool {
    !untried.without(own).is_empty()
}
