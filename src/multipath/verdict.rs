// SPDX-License-Identifier: GPL-2.0-or-later

//! What a failed I/O says about the path it failed on, and where it goes from there. Plain
//! functions over plain data that depend on `core` alone.

use super::{parking::Ms, slots::Slots};
use crate::abstractions::bio::{Op, Status};
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

/// Judges an I/O by how it ended. `live` says whether the path's device is still there, and not offline.
pub(crate) const fn verdict(op: Op, status: Status, live: bool) -> Verdict {
    match status {
        Status::Ok => Verdict::Done,
        _ if op.read_ahead => Verdict::Fail,
        // The submitter did not want to wait, which is not the device's fault, dead or alive.
        Status::Again => Verdict::Fail,
        _ if !live => Verdict::PathDown,
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

/// What it means that an I/O has no path left to try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exhausted {
    /// A path that is still in use has failed it as well, and may be right: it is the disk's answer.
    Answer,
    /// No path that is left works.
    NoPath,
}

/// What is to be remembered of an I/O in one bit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Mark {
    /// The path that it is on counts it as in flight.
    Counted = 1,
    /// It has started over after it was held; see [`History::renew`].
    Renewed = 2,
    /// Something depends on how it ends: what it failed on before, or those that wait behind it.
    Watched = 4,
}

impl Mark {
    const BITS: u32 = 8;
    const ALL: u32 = (1 << Self::BITS) - 1;
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
    /// `known`, without its highest byte, and a bit for each [`Mark`] below it. Every byte here is one
    /// of each I/O in flight.
    word: u32,
    /// Since when it has waited for its retry, if it is one that has to.
    pub(crate) held_at: Ms,
}

impl History {
    /// The history of a new I/O. `known` is read after the I/O's first path was picked.
    #[inline]
    pub(crate) const fn new(known: u32) -> Self {
        Self {
            tried: Slots::NONE,
            suspects: Slots::NONE,
            word: known << Mark::BITS,
            held_at: 0,
        }
    }

    /// The I/O failed on the path in `slot`. If the path is a `suspect`, success on another will
    /// convict it.
    pub(crate) const fn failed_on(&mut self, slot: usize, suspect: bool) {
        self.tried = self.tried.with(Slots::one(slot));
        if suspect {
            self.suspects = self.suspects.with(Slots::one(slot));
            self.mark(Mark::Watched, true);
        }
    }

    /// Forgets slots that have got another path since. `entered` tells the number of the path in a
    /// slot; `known` is the highest number given out, read before.
    pub(crate) fn refresh(&mut self, known: u32, entered: impl Fn(usize) -> Option<u32>) {
        for slot in self.tried.iter() {
            if entered(slot).is_some_and(|number| self.is_newer(number)) {
                self.tried = self.tried.without(Slots::one(slot));
                self.suspects = self.suspects.without(Slots::one(slot));
            }
        }
        self.word = known << Mark::BITS | self.word & Mark::ALL;
    }

    /// Whether an I/O has a mark.
    #[inline]
    pub(crate) const fn is_marked(&self, mark: Mark) -> bool {
        self.word & mark as u32 != 0
    }

    /// Whether an I/O has no mark.
    #[inline]
    pub(crate) const fn is_unmarked(&self) -> bool {
        self.word & Mark::ALL == 0
    }

    /// Whether an I/O has this mark and no other.
    #[inline]
    pub(crate) const fn is_marked_only(&self, mark: Mark) -> bool {
        self.word & Mark::ALL == mark as u32
    }

    /// Gives an I/O a mark, or takes it away.
    #[inline]
    pub(crate) const fn mark(&mut self, mark: Mark, on: bool) {
        self.word = self.word & !(mark as u32) | if on { mark as u32 } else { 0 };
    }

    /// The I/O has waited before its retry. If it has tried all of the usable, those that were said
    /// to be down may be up by now: they are to be tried once more.
    pub(crate) fn renew(&mut self, usable: Slots) {
        if self.untried(usable).is_empty() && !self.is_marked(Mark::Renewed) {
            let again = usable.without(self.suspects);
            self.tried = self.tried.without(again);
            self.mark(Mark::Renewed, true);
        }
    }

    /// Whether a path with this number entered its slot after the I/O last looked.
    pub(crate) const fn is_newer(&self, number: u32) -> bool {
        // Numbers wrap; an I/O does not live through eight million additions.
        let known = self.word & !Mark::ALL;
        (number << Mark::BITS).wrapping_sub(known) as i32 > 0
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
        if self.suspects.common(usable).is_empty() {
            Exhausted::NoPath
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
