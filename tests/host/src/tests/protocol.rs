// SPDX-License-Identifier: GPL-2.0-or-later

//! An I/O's way through an array: `src/multipath.rs` over plain data, in random schedules.
//!
//! [`Array`] does what the driver does, in the same order, with the driver's own `History`,
//! `verdict` and `slots` functions, but one memory access at a time: between any two, submitters,
//! devices, the array's thread and the administrator may do something else. What must hold is
//! checked against records of its own, which know paths by identity and verdicts by the table in
//! [`super::verdict`].
//!
//! This is the array without parking, in any number of paths and I/Os. Parking, the hold, quiesce and
//! stop are in the model of `tests/model`, for few.
//!
//! As in md core, paths are added and removed one at a time, while no bio is on its way in, and
//! I/O in flight and the thread go on.

use super::op;
use super::verdict::expected;
use crate::{
    abstractions::bio::{Kind as Operation, Op, Status},
    multipath::{
        event::{Kind, Queue},
        slots::{self, Failure, Slots},
        verdict::{ending, failfast, verdict, Exhausted, History, Mark, Verdict},
    },
};
use proptest::{
    prelude::*,
    test_runner::{TestError, TestRunner},
};
use std::{
    cell::Cell,
    collections::{BTreeMap, BTreeSet, VecDeque},
};

macro_rules! ensure {
    ($holds:expr, $($why:tt)+) => {
        if !$holds {
            return Err(format!($($why)+));
        }
    };
}

type Checked<T = ()> = Result<T, String>;

/// A path's identity: never used again.
type Id = usize;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Planted {
    Nothing,
    /// The number of a new path is given out before the path is in the table.
    NumberBeforeTable,
    /// A conviction does not ask whether the path in the slot is still the same.
    ConvictAnyone,
    /// An I/O's knowledge is taken from before its first path was picked.
    KnownTooEarly,
    /// A path picked by the thread is not checked for being unknown to the I/O.
    UnknownAccepted,
    /// The thread gives up without asking whether another path has come.
    GivesUpEarly,
    /// Retries start with a new history.
    Forgets,
    /// The last usable path can be failed.
    FailsLast,
    /// The reference to a path goes before the path is failed.
    DropsEarly,
    /// An ambiguous error fails the path at once.
    BlamesAtOnce,
    /// The thread drops the I/Os behind the first that finds no path.
    Loses,
    /// What paths that were told to fail fast have said is taken as the disk's answer.
    BelievesHaste,
    /// A path that is tried again stays a suspect, and is convicted by its own success.
    ConvictsItself,
    /// Events are told of when the lock has been given back under which the paths changed.
    TellsLate,
    /// What one path has said to a flush, taking its time, is taken as the disk's answer.
    BelievesOneFlush,
    /// The last path is believed to be down though it was told to fail fast.
    BelievesTheLast,
    /// … or though it took its time for a flush, but for the first time.
    BelievesTheLastOnce,
    /// A flush ends with what was said last, also where that is no error.
    BelievesARefusal,
}

/// One act of the schedule. `which` chooses among those that can.
#[derive(Clone, Debug)]
enum Act {
    Submit {
        read_ahead: bool,
        flushes: bool,
    },
    /// The next step of an I/O that some CPU works on.
    Io {
        which: usize,
    },
    /// A device completes an I/O.
    Complete {
        which: usize,
        status: u8,
        live: bool,
    },
    Thread,
    /// `mdadm --fail`, `--remove`, `--add`; only one at a time.
    Fail {
        which: usize,
    },
    Remove {
        which: usize,
    },
    Add {
        before: Option<usize>,
    },
    /// The next step of the administrator's command.
    Admin,
}

#[derive(Clone, Debug)]
struct Path {
    slot: usize,
    number: u32,
    closed: bool,
    refs: usize,
    faulty: bool,
    in_sync: bool,
}

/// `Multipath::pick`, which looks again as long as what is usable changes.
#[derive(Clone, Debug)]
enum Pick {
    ReadUsable,
    Dereference {
        usable: Slots,
        candidates: Slots,
    },
    TryEach {
        usable: Slots,
        candidates: Slots,
        rest: Slots,
        table: Vec<Option<Id>>,
    },
    ReadAgain {
        usable: Slots,
    },
    Got {
        path: Id,
        candidates: Slots,
    },
    Nothing,
}

/// `Multipath::error` for one path, behind `md_error`.
#[derive(Clone, Debug)]
enum Blame {
    Enter(Id),
    Lock {
        path: Id,
        table: Vec<Option<Id>>,
    },
    /// `left`: how many paths worked when it was failed.
    Close {
        path: Id,
        table: Vec<Option<Id>>,
        left: usize,
    },
    Over,
}

#[derive(Clone, Debug)]
enum Stage {
    Asked(Pick, u32),
    Chosen {
        path: Id,
        candidates: Slots,
        early: u32,
    },
    InFlight(Id),
    /// The path is down: it is failed, then the reference to it goes.
    Blaming {
        path: Id,
        blame: Blame,
    },
    /// Succeeded: the suspects are failed one after the other.
    Convicting {
        rest: Slots,
        blame: Blame,
        held: Option<Id>,
    },
    Waiting,
    Ended,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Try {
    path: Id,
    hasty: bool,
    /// Status, and whether the device was live.
    outcome: Option<(u8, bool)>,
    /// What it said was doubted.
    doubted: bool,
}

#[derive(Clone, Debug)]
struct Io {
    read_ahead: bool,
    /// It may be answered with others, which were told to fail fast.
    flushes: bool,
    stage: Stage,
    history: History,
    /// Every path it was sent down, whether in haste, and how that ended.
    tried: Vec<Try>,
    /// Paths that were the last when this I/O blamed them.
    spared: BTreeSet<Id>,
    /// Usable and untried when it began to look for a path.
    offered: BTreeSet<Id>,
}

#[derive(Clone, Debug)]
enum Retry {
    ReadNewest,
    Refresh { newest: u32 },
    Pick { newest: u32, pick: Pick },
    Check { path: Id, candidates: Slots },
}

#[derive(Clone, Debug)]
enum Admin {
    Idle,
    Failing(Blame),
    Removing(Id),
    Numbering { slot: usize },
    Publishing { slot: usize, number: u32 },
    Announcing { id: Id },
    Using { id: Id },
    Telling { id: Id, kind: Kind, left: usize },
}

struct Array {
    planted: Planted,
    /// I/O is spread over the paths, instead of going to the first.
    spread: bool,
    turn: usize,
    count: usize,
    usable: Slots,
    newest: u32,
    table: Vec<Option<Id>>,
    retries: VecDeque<usize>,
    paths: Vec<Path>,
    ios: Vec<Io>,
    batch: VecDeque<usize>,
    retrying: Option<(usize, Retry)>,
    admin: Admin,
    events: Queue<Id>,
}

impl Array {
    fn new(planted: Planted, count: usize, present: Slots, start: u32) -> Self {
        let mut this = Self {
            planted,
            spread: false,
            turn: 0,
            count,
            usable: present,
            newest: start,
            table: vec![None; count],
            retries: VecDeque::new(),
            paths: Vec::new(),
            ios: Vec::new(),
            batch: VecDeque::new(),
            retrying: None,
            admin: Admin::Idle,
            events: Queue::new(),
        };
        for slot in present.iter() {
            let id = this.path(slot, start);
            this.paths[id].in_sync = true;
            this.table[slot] = Some(id);
        }
        this
    }

    fn path(&mut self, slot: usize, number: u32) -> Id {
        self.paths.push(Path {
            slot,
            number,
            closed: false,
            refs: 0,
            faulty: false,
            in_sync: false,
        });
        self.paths.len() - 1
    }

    fn usable_paths(&self) -> BTreeSet<Id> {
        self.usable
            .iter()
            .filter_map(|slot| self.table[slot])
            .collect()
    }

    /// What may be looked at and found whole between any two steps.
    fn check(&self) -> Checked {
        ensure!(!self.usable.is_empty(), "no usable path is left");
        for slot in self.usable.iter() {
            let Some(id) = self.table[slot] else {
                return Err(format!("slot {slot} is usable and empty"));
            };
            let path = &self.paths[id];
            ensure!(path.slot == slot, "path {id} is in another's slot {slot}");
            ensure!(
                !path.faulty && path.in_sync,
                "path {id} is usable and faulty"
            );
        }
        let mut held = vec![0; self.paths.len()];
        for id in self.ios.iter().filter_map(Io::holds) {
            held[id] += 1;
        }
        for (id, path) in self.paths.iter().enumerate() {
            ensure!(
                path.refs >= held[id],
                "path {id} is in use without a reference"
            );
            let gone = !self.table.contains(&Some(id)) && path.faulty;
            ensure!(!gone || path.refs == 0, "path {id} was removed in use");
        }
        Ok(())
    }

    // --- steps that several have in common ---

    /// Any policy: what must hold does not depend on which path is taken.
    fn choose(&mut self, candidates: Slots) -> Option<usize> {
        if !self.spread || candidates.is_empty() {
            return candidates.first();
        }
        self.turn = self.turn.wrapping_mul(5).wrapping_add(3);
        candidates.iter().nth(self.turn / 8 % candidates.len())
    }

    fn pick(&mut self, pick: Pick, eligible: impl Fn(Slots) -> Slots) -> Pick {
        match pick {
            Pick::ReadUsable => Pick::Dereference {
                usable: self.usable,
                candidates: eligible(self.usable),
            },
            Pick::Dereference { usable, candidates } => Pick::TryEach {
                usable,
                candidates,
                rest: candidates,
                table: self.table.clone(),
            },
            Pick::TryEach {
                usable,
                candidates,
                rest,
                table,
            } => match self.choose(rest) {
                None => Pick::ReadAgain { usable },
                Some(slot) => match table[slot] {
                    Some(id) if !self.paths[id].closed => {
                        self.paths[id].refs += 1;
                        Pick::Got {
                            path: id,
                            candidates,
                        }
                    }
                    _ => Pick::TryEach {
                        usable,
                        candidates,
                        rest: rest.without(Slots::one(slot)),
                        table,
                    },
                },
            },
            Pick::ReadAgain { usable } if usable == self.usable => Pick::Nothing,
            Pick::ReadAgain { .. } => Pick::ReadUsable,
            done => done,
        }
    }

    /// `by`: the I/O that blames the path; the administrator needs no reason.
    fn blame(&mut self, blame: Blame, by: Option<usize>) -> Checked<Blame> {
        Ok(match blame {
            Blame::Enter(id) => {
                if let Some(io) = by {
                    self.ios[io].proves(id)?;
                }
                if self.paths[id].faulty {
                    return Ok(Blame::Over);
                }
                Blame::Lock {
                    path: id,
                    table: self.table.clone(),
                }
            }
            Blame::Lock { path: id, table } => {
                let slot = self.paths[id].slot;
                let failure = match slots::fail(self.usable, slot) {
                    Failure::Last if self.planted == Planted::FailsLast => {
                        Failure::Failed(Slots::NONE)
                    }
                    failure => failure,
                };
                match failure {
                    Failure::NotUsed => Blame::Over,
                    Failure::Last => {
                        let last = self.usable_paths() == BTreeSet::from([id]);
                        ensure!(last, "path {id} was spared and is not the last");
                        if let Some(io) = by {
                            self.ios[io].spared.insert(id);
                        }
                        Blame::Over
                    }
                    Failure::Failed(left) => {
                        ensure!(
                            self.usable.contains(slot) && self.table[slot] == Some(id),
                            "another path than {id} was failed"
                        );
                        self.usable = left;
                        self.paths[id].in_sync = false;
                        self.paths[id].faulty = true;
                        let left = self.usable.len();
                        if self.planted != Planted::TellsLate {
                            self.happened(id, Kind::Failed, left);
                        }
                        Blame::Close {
                            path: id,
                            table,
                            left,
                        }
                    }
                }
            }
            Blame::Close { path, table, left } => {
                if let Some(id) = table[self.paths[path].slot] {
                    ensure!(id == path, "path {id} was closed instead of {path}");
                    self.paths[id].closed = true;
                }
                if self.planted == Planted::TellsLate {
                    self.happened(path, Kind::Failed, left);
                }
                Blame::Over
            }
            Blame::Over => Blame::Over,
        })
    }

    fn happened(&mut self, id: Id, kind: Kind, left: usize) {
        self.events.push(self.paths[id].slot, kind, id, left);
    }

    /// What user space knows when it has been told all: the last event of each slot says what the slot
    /// is, and the last of all how many paths work.
    fn told(&mut self) -> Checked {
        let mut last = None;
        while let Some(event) = self.events.pop() {
            let usable = self.usable.contains(event.slot);
            let is_so = match event.kind {
                Kind::Added | Kind::Reinstated => usable,
                Kind::Failed => !usable && self.table[event.slot].is_some(),
                Kind::Removed => !usable && self.table[event.slot].is_none(),
            };
            ensure!(is_so, "the last that is told is {event:?}");
            last = Some(event.left);
        }
        let left = self.usable.len();
        ensure!(
            last.is_none_or(|last| last == left),
            "{last:?} paths are said to work, and {left} do"
        );
        Ok(())
    }

    fn put(&mut self, id: Id) -> Checked {
        ensure!(
            self.paths[id].refs > 0,
            "path {id}: a reference too many was dropped"
        );
        self.paths[id].refs -= 1;
        Ok(())
    }

    fn submit(&mut self, io: usize, id: Id, candidates: Slots) -> Checked {
        let path = &self.paths[id];
        let this = &mut self.ios[io];
        this.may_try(id)
            .map_err(|why| format!("I/O {io}: path {id} twice: {why}"))?;
        ensure!(
            candidates.contains(path.slot),
            "I/O {io}: path {id} was not eligible"
        );
        let hasty = failfast(candidates, Slots::one(path.slot));
        ensure!(
            hasty == (candidates.len() > 1),
            "I/O {io}: failfast for path {id} of {candidates:?}"
        );
        // What is sent first may be merged with what is told to fail fast.
        let hasty = hasty || this.tried.is_empty();
        this.history.mark(Mark::Patient, !hasty);
        this.tried.push(Try {
            path: id,
            hasty,
            outcome: None,
            doubted: false,
        });
        self.ios[io].stage = Stage::InFlight(id);
        Ok(())
    }

    fn end(&mut self, io: usize, status: Status) -> Checked {
        let usable = self.usable_paths();
        let this = &mut self.ios[io];
        ensure!(
            !matches!(this.stage, Stage::Ended),
            "I/O {io} was ended twice"
        );
        this.stage = Stage::Ended;
        let left: Vec<_> = this.offered.intersection(&usable).collect();
        let Some(&Try {
            path: last,
            outcome: Some((raw, live)),
            ..
        }) = this.tried.last()
        else {
            ensure!(this.tried.is_empty(), "I/O {io} was ended in flight");
            ensure!(
                status == Status::IoErr,
                "I/O {io}: {status:?} out of nothing"
            );
            ensure!(
                left.is_empty(),
                "I/O {io}: not sent, though {left:?} could be had"
            );
            return Ok(());
        };
        // That a flush cannot be done is success to whoever sent it.
        let expected_raw = if this.flushes && raw == 1 { 10 } else { raw };
        ensure!(
            status.to_raw() == expected_raw,
            "I/O {io} ended with {status:?}, path {last} said {raw}"
        );
        match expected(raw, this.read_ahead, live) {
            Verdict::Done => {
                for Try {
                    path: id, outcome, ..
                } in &this.tried
                {
                    let &Some((raw, live)) = outcome else {
                        return Err(format!("I/O {io} is in flight on path {id} as well"));
                    };
                    // What the path that it succeeded on said before has passed.
                    let guilty =
                        *id != last && expected(raw, this.read_ahead, live) != Verdict::Done;
                    ensure!(
                        !guilty || self.paths[*id].faulty || this.spared.contains(id),
                        "I/O {io}: path {id} is proven guilty and was let off"
                    );
                }
            }
            Verdict::Fail => {}
            Verdict::PathDown | Verdict::Ambiguous => {
                ensure!(
                    left.is_empty(),
                    "I/O {io} failed though {left:?} could be tried"
                );
                let doubtful: Vec<_> = this
                    .doubtful()
                    .filter(|t| usable.contains(&t.path))
                    .collect();
                ensure!(
                    doubtful.is_empty() || doubtful.iter().any(|t| !t.hasty),
                    "I/O {io} failed though none of these took its time: {doubtful:?}"
                );
                ensure!(
                    doubtful.is_empty() || !this.flushes || this.patient() > 1,
                    "I/O {io} flushes and failed though one path took its time: {doubtful:?}"
                );
            }
        }
        Ok(())
    }

    // --- the driver's functions ---

    fn make_request(&mut self, read_ahead: bool, flushes: bool) {
        self.ios.push(Io {
            read_ahead,
            flushes,
            stage: Stage::Asked(Pick::ReadUsable, self.newest),
            history: History::new(0),
            tried: Vec::new(),
            spared: BTreeSet::new(),
            offered: BTreeSet::new(),
        });
    }

    fn complete(&mut self, io: usize, raw: u8, live: bool) -> Checked {
        let Stage::InFlight(id) = self.ios[io].stage else {
            unreachable!()
        };
        let this = &mut self.ios[io];
        this.tried.last_mut().unwrap().outcome = Some((raw, live));
        let op = this.op();
        let status = Status::from_raw(raw);
        if status == Status::Ok {
            let own = match self.planted {
                Planted::ConvictsItself => Slots::NONE,
                _ => Slots::one(self.paths[id].slot),
            };
            let rest = this.history.suspects().without(own);
            this.stage = Stage::Convicting {
                rest,
                blame: Blame::Over,
                held: None,
            };
            return self.put(id);
        }
        match verdict(op, status, live) {
            Verdict::Done | Verdict::Fail => {
                self.end(io, status)?;
                self.put(id)
            }
            Verdict::PathDown => {
                self.ios[io].stage = Stage::Blaming {
                    path: id,
                    blame: Blame::Enter(id),
                };
                if self.planted == Planted::DropsEarly {
                    self.put(id)?;
                }
                Ok(())
            }
            Verdict::Ambiguous if self.planted == Planted::BlamesAtOnce => {
                self.ios[io].stage = Stage::Blaming {
                    path: id,
                    blame: Blame::Enter(id),
                };
                Ok(())
            }
            Verdict::Ambiguous => {
                self.put(id)?;
                self.push(io, id, true);
                Ok(())
            }
        }
    }

    fn may_be_merged(&self, io: usize) -> bool {
        self.ios[io].flushes && self.planted != Planted::BelievesOneFlush
    }

    fn push(&mut self, io: usize, id: Id, suspect: bool) {
        let slot = self.paths[id].slot;
        let flushes = self.may_be_merged(io);
        self.ios[io].history.failed_on(slot, suspect, flushes);
        self.ios[io].tried.last_mut().unwrap().doubted = suspect;
        self.ios[io].stage = Stage::Waiting;
        self.retries.push_back(io);
    }

    /// The next step of what runs in the submitter's context or in that of the completion.
    fn step(&mut self, io: usize) -> Checked {
        match self.ios[io].stage.clone() {
            Stage::Asked(Pick::Nothing, _) => self.end(io, Status::IoErr)?,
            Stage::Asked(Pick::Got { path, candidates }, early) => {
                self.ios[io].stage = Stage::Chosen {
                    path,
                    candidates,
                    early,
                };
            }
            Stage::Asked(pick, early) => {
                if matches!(pick, Pick::ReadUsable) {
                    self.ios[io].offered = self.usable_paths();
                }
                let pick = self.pick(pick, |usable| usable);
                self.ios[io].stage = Stage::Asked(pick, early);
            }
            Stage::Chosen {
                path,
                candidates,
                early,
            } => {
                let known = match self.planted {
                    Planted::KnownTooEarly => early.wrapping_sub(1),
                    _ => self.newest,
                };
                self.ios[io].history = History::new(known);
                self.submit(io, path, candidates)?;
            }
            Stage::Blaming {
                path,
                blame: Blame::Over,
            } => {
                if self.planted != Planted::DropsEarly {
                    self.put(path)?;
                }
                // As in `failed`, where nothing waits for a path.
                let slot = self.paths[path].slot;
                let live = |this: &Try| this.outcome.is_some_and(|(_, live)| live);
                let flushes =
                    self.may_be_merged(io) && self.planted != Planted::BelievesTheLastOnce;
                let suspect = self.ios[io].tried.last().is_some_and(live)
                    && self.usable.contains(slot)
                    && self.ios[io].history.may_be_hasty(flushes)
                    && self.planted != Planted::BelievesTheLast;
                self.push(io, path, suspect);
            }
            Stage::Blaming { path, blame } => {
                let blame = self.blame(blame, Some(io))?;
                self.ios[io].stage = Stage::Blaming { path, blame };
            }
            Stage::Convicting {
                rest,
                blame: Blame::Over,
                held: Some(id),
            } => {
                self.put(id)?;
                self.ios[io].stage = Stage::Convicting {
                    rest,
                    blame: Blame::Over,
                    held: None,
                };
            }
            Stage::Convicting {
                rest,
                blame: Blame::Over,
                held: None,
            } => {
                let Some(slot) = rest.first() else {
                    return self.end(io, Status::Ok);
                };
                let rest = rest.without(Slots::one(slot));
                let anyone = self.planted == Planted::ConvictAnyone;
                let suspect = self.table[slot].filter(|&id| {
                    let path = &self.paths[id];
                    (anyone || !self.ios[io].history.is_newer(path.number)) && !path.closed
                });
                let blame = match suspect {
                    Some(id) => {
                        self.paths[id].refs += 1;
                        Blame::Enter(id)
                    }
                    None => Blame::Over,
                };
                self.ios[io].stage = Stage::Convicting {
                    rest,
                    blame,
                    held: suspect,
                };
            }
            Stage::Convicting { rest, blame, held } => {
                let blame = self.blame(blame, Some(io))?;
                self.ios[io].stage = Stage::Convicting { rest, blame, held };
            }
            Stage::InFlight(_) | Stage::Waiting | Stage::Ended => unreachable!(),
        }
        Ok(())
    }

    /// The next step of the array's thread.
    fn thread(&mut self) -> Checked {
        let Some((io, retry)) = self.retrying.take() else {
            if self.batch.is_empty() {
                self.batch = std::mem::take(&mut self.retries);
            }
            self.retrying = self.batch.pop_front().map(|io| (io, Retry::ReadNewest));
            return Ok(());
        };
        let next = match retry {
            Retry::ReadNewest => Retry::Refresh {
                newest: self.newest,
            },
            Retry::Refresh { newest } => {
                let mut history = match self.planted {
                    Planted::Forgets => History::new(newest),
                    _ => self.ios[io].history,
                };
                history.refresh(newest, |slot| {
                    let id = self.table.get(slot).copied()??;
                    Some(self.paths[id].number)
                });
                self.ios[io].history = history;
                Retry::Pick {
                    newest,
                    pick: Pick::ReadUsable,
                }
            }
            Retry::Pick {
                newest,
                pick: Pick::Nothing,
            } if (newest != self.newest
                || !self.ios[io].history.untried(self.usable).is_empty())
                && self.planted != Planted::GivesUpEarly =>
            {
                Retry::ReadNewest
            }
            Retry::Pick {
                pick: Pick::Nothing,
                ..
            } => {
                // `Multipath::exhausted`
                let hasty = match self.ios[io].history.exhausted(self.usable) {
                    Exhausted::Hasty(slots) if self.planted != Planted::BelievesHaste => {
                        self.choose(slots)
                    }
                    _ => None,
                };
                if let Some(slot) = hasty {
                    self.ios[io].history.try_again(slot);
                    self.retrying = Some((io, Retry::ReadNewest));
                    return Ok(());
                }
                let last = self.ios[io].tried.last().and_then(|last| last.outcome);
                let status = Status::from_raw(last.map_or(0, |(raw, _)| raw));
                let status = match self.planted {
                    Planted::BelievesARefusal => status,
                    _ => ending(self.ios[io].op(), status),
                };
                if self.planted == Planted::Loses {
                    self.batch.clear();
                }
                return self.end(io, status);
            }
            Retry::Pick {
                pick: Pick::Got { path, candidates },
                ..
            } => Retry::Check { path, candidates },
            Retry::Pick { newest, pick } => {
                if matches!(pick, Pick::ReadUsable) {
                    let mut offered = self.usable_paths();
                    offered.retain(|&id| self.ios[io].tried.iter().all(|tried| tried.path != id));
                    self.ios[io].offered = offered;
                }
                let history = self.ios[io].history;
                let pick = self.pick(pick, |usable| history.untried(usable));
                Retry::Pick { newest, pick }
            }
            Retry::Check { path, candidates } => {
                let unknown = self.ios[io].history.is_newer(self.paths[path].number);
                if !unknown || self.planted == Planted::UnknownAccepted {
                    return self.submit(io, path, candidates);
                }
                self.put(path)?;
                Retry::ReadNewest
            }
        };
        self.retrying = Some((io, next));
        Ok(())
    }

    /// The next step of the administrator's command.
    fn admin(&mut self) -> Checked {
        self.admin = match std::mem::replace(&mut self.admin, Admin::Idle) {
            Admin::Idle | Admin::Failing(Blame::Over) => Admin::Idle,
            Admin::Failing(blame) => Admin::Failing(self.blame(blame, None)?),
            Admin::Removing(id) => {
                let slot = self.paths[id].slot;
                ensure!(
                    self.table[slot] == Some(id),
                    "path {id} lost its slot {slot}"
                );
                self.table[slot] = None;
                Admin::Telling {
                    id,
                    kind: Kind::Removed,
                    left: self.usable.len(),
                }
            }
            Admin::Numbering { slot } if self.planted == Planted::NumberBeforeTable => {
                self.newest = self.newest.wrapping_add(1);
                Admin::Publishing {
                    slot,
                    number: self.newest,
                }
            }
            Admin::Numbering { slot } => Admin::Publishing {
                slot,
                number: self.newest.wrapping_add(1),
            },
            Admin::Publishing { slot, number } => {
                ensure!(self.table[slot].is_none(), "slot {slot} has a path already");
                let id = self.path(slot, number);
                self.table[slot] = Some(id);
                Admin::Announcing { id }
            }
            Admin::Announcing { id } => {
                self.newest = self.paths[id].number;
                Admin::Using { id }
            }
            Admin::Using { id } => {
                self.usable = self.usable.with(Slots::one(self.paths[id].slot));
                self.paths[id].in_sync = true;
                let (kind, left) = (Kind::Added, self.usable.len());
                if self.planted == Planted::TellsLate {
                    Admin::Telling { id, kind, left }
                } else {
                    self.happened(id, kind, left);
                    Admin::Idle
                }
            }
            Admin::Telling { id, kind, left } => {
                let left = match self.planted {
                    Planted::TellsLate => left,
                    _ => self.usable.len(),
                };
                self.happened(id, kind, left);
                Admin::Idle
            }
        };
        Ok(())
    }

    // --- the schedule ---

    /// md core suspends the array for this.
    fn suspended(&self) -> bool {
        !matches!(self.admin, Admin::Idle | Admin::Failing(_))
    }

    fn may_suspend(&self) -> bool {
        let coming_in = |io: &Io| matches!(io.stage, Stage::Asked(..) | Stage::Chosen { .. });
        matches!(self.admin, Admin::Idle) && !self.ios.iter().any(coming_in)
    }

    fn those(&self, that: impl Fn(&Stage) -> bool) -> Vec<usize> {
        (0..self.ios.len())
            .filter(|&io| that(&self.ios[io].stage))
            .collect()
    }

    fn runnable(&self) -> Vec<usize> {
        self.those(|stage| !matches!(stage, Stage::InFlight(_) | Stage::Waiting | Stage::Ended))
    }

    fn in_flight(&self) -> Vec<usize> {
        self.those(|stage| matches!(stage, Stage::InFlight(_)))
    }

    /// Does what can be done at this moment; the rest of a schedule is passed over.
    fn act(&mut self, act: &Act) -> Checked {
        let nth = |all: &[usize], which: usize| all.get(which % all.len().max(1)).copied();
        match *act {
            Act::Submit {
                read_ahead,
                flushes,
            } => {
                if !self.suspended() {
                    self.make_request(read_ahead, flushes);
                }
            }
            Act::Io { which } => {
                if let Some(io) = nth(&self.runnable(), which) {
                    self.step(io)?;
                }
            }
            Act::Complete {
                which,
                status,
                live,
            } => {
                if let Some(io) = nth(&self.in_flight(), which) {
                    self.complete(io, status, live)?;
                }
            }
            Act::Thread => self.thread()?,
            Act::Fail { which } => {
                let members: Vec<_> = self.table.iter().flatten().copied().collect();
                if let (Admin::Idle, Some(id)) = (&self.admin, nth(&members, which)) {
                    self.admin = Admin::Failing(Blame::Enter(id));
                }
            }
            Act::Remove { which } => {
                let mut members: Vec<_> = self.table.iter().flatten().copied().collect();
                members.retain(|&id| self.paths[id].faulty);
                if let (true, Some(id)) = (self.may_suspend(), nth(&members, which)) {
                    // `hot_remove`, up to the table's update.
                    let path = &mut self.paths[id];
                    if !path.in_sync && !self.usable.contains(path.slot) {
                        path.closed = true;
                        if path.refs == 0 {
                            self.admin = Admin::Removing(id);
                        }
                    }
                }
            }
            Act::Add { before } => {
                let mut taken = Slots::NONE;
                for id in self.table.iter().flatten() {
                    taken = taken.with(Slots::one(self.paths[*id].slot));
                }
                if let (true, Some(slot)) =
                    (self.may_suspend(), slots::choose(taken, self.count, before))
                {
                    self.admin = Admin::Numbering { slot };
                }
            }
            Act::Admin => self.admin()?,
        }
        self.check()
    }

    fn run(&mut self, schedule: &[Act], rest: &[(u8, bool)]) -> Checked {
        for act in schedule {
            self.act(act)?;
        }
        // Nothing new comes; everybody goes on in turn. How many steps that may take follows from
        // each I/O trying each path at most twice, and one of them a third time.
        let mut rest = rest.iter().copied().cycle();
        let bound = (self.ios.len() + 1) * (self.paths.len() + 2) * (self.count + 20) * 8;
        for _ in 0..bound {
            self.admin()?;
            self.thread()?;
            let mut idle = true;
            for io in self.runnable() {
                self.step(io)?;
                idle = false;
            }
            for io in self.in_flight() {
                let (status, live) = rest.next().unwrap_or((0, true));
                self.complete(io, status, live)?;
                idle = false;
            }
            self.check()?;
            let admin = matches!(self.admin, Admin::Idle);
            let thread = self.retrying.is_none() && self.batch.is_empty();
            if idle && admin && thread && self.retries.is_empty() {
                break;
            }
        }
        for (io, this) in self.ios.iter().enumerate() {
            ensure!(
                matches!(this.stage, Stage::Ended),
                "I/O {io} never ends: {:?}",
                this.stage
            );
        }
        for (id, path) in self.paths.iter().enumerate() {
            ensure!(
                path.refs == 0,
                "path {id}: {} references are left",
                path.refs
            );
        }
        self.told()
    }
}

impl Try {
    fn is_heard(&self) -> bool {
        !self.hasty && self.doubted
    }
}

impl Io {
    fn op(&self) -> Op {
        Op {
            kind: if self.flushes {
                Operation::Flush
            } else {
                Operation::Read
            },
            flushes: self.flushes,
            ..op(self.read_ahead)
        }
    }

    fn holds(&self) -> Option<Id> {
        match self.stage {
            Stage::Chosen { path, .. } | Stage::Blaming { path, .. } => Some(path),
            Stage::InFlight(path) => Some(path),
            Stage::Convicting { held, .. } => held,
            _ => None,
        }
    }

    /// A path is tried once, and again if it was told to fail fast and what it said may pass. What took
    /// its time as well was said by a path that is no more, or was the first to be said so to a flush.
    fn may_try(&self, id: Id) -> Checked {
        for (i, before) in self.tried.iter().enumerate() {
            if before.path != id {
                continue;
            }
            ensure!(
                self.is_doubtful(i),
                "it is down, or has answered: {before:?}"
            );
            let others = &self.tried[i + 1..];
            ensure!(
                before.hasty
                    || others.iter().any(|other| other.path != id && !other.hasty)
                    || (self.flushes && self.patient() < 2),
                "it took its time: {before:?}"
            );
        }
        Ok(())
    }

    /// What the path said in this try may be its own or the disk's error, or be over if it is given time.
    fn is_doubtful(&self, i: usize) -> bool {
        let this = &self.tried[i];
        let in_haste = || this.hasty || self.flushes && !self.tried[..i].iter().any(Try::is_heard);
        this.outcome
            .is_some_and(|(raw, live)| match expected(raw, self.read_ahead, live) {
                Verdict::Ambiguous => true,
                Verdict::PathDown => live && in_haste(),
                _ => false,
            })
    }

    /// How many times a path that took its time has said what was doubted.
    fn patient(&self) -> usize {
        self.tried.iter().filter(|this| this.is_heard()).count()
    }

    /// The paths that may be to blame or not, by what they said last.
    fn doubtful(&self) -> impl Iterator<Item = &Try> {
        self.tried.iter().enumerate().filter_map(|(i, this)| {
            let later = &self.tried[i + 1..];
            (self.is_doubtful(i) && later.iter().all(|other| other.path != this.path))
                .then_some(this)
        })
    }

    /// What this I/O saw proves the path guilty: the path is down, or it failed where another
    /// succeeded.
    fn proves(&self, id: Id) -> Checked {
        let succeeded = self
            .tried
            .last()
            .is_some_and(|last| last.path != id && matches!(last.outcome, Some((0, _))));
        for tried in &self.tried {
            let Some((raw, live)) = tried.outcome.filter(|_| tried.path == id) else {
                continue;
            };
            match expected(raw, self.read_ahead, live) {
                Verdict::PathDown => return Ok(()),
                Verdict::Ambiguous if succeeded => return Ok(()),
                _ => {}
            }
        }
        Err(format!(
            "path {id} is blamed without proof: {:?}",
            self.tried
        ))
    }
}

/// Statuses as they matter, and now and then any other.
fn status() -> impl Strategy<Value = u8> {
    prop_oneof![
        6 => Just(0),
        3 => Just(4),
        1 => Just(16),
        6 => Just(10),
        2 => Just(2),
        1 => Just(7),
        1 => Just(1),
        1 => Just(12),
        1 => any::<u8>(),
    ]
}

fn live() -> impl Strategy<Value = bool> {
    prop::bool::weighted(0.9)
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        4 => (0u32..10).prop_map(|kind| Act::Submit {
            read_ahead: kind == 0,
            flushes: kind < 4 && kind > 0,
        }),
        24 => (0usize..8).prop_map(|which| Act::Io { which }),
        8 => (0usize..8, status(), live())
            .prop_map(|(which, status, live)| Act::Complete { which, status, live }),
        20 => Just(Act::Thread),
        4 => (0usize..8).prop_map(|which| Act::Fail { which }),
        6 => (0usize..8).prop_map(|which| Act::Remove { which }),
        5 => prop::option::weighted(0.7, 0usize..5).prop_map(|before| Act::Add { before }),
        24 => Just(Act::Admin),
    ]
}

#[derive(Clone, Debug)]
struct Case {
    count: usize,
    present: u64,
    start: u32,
    spread: bool,
    schedule: Vec<Act>,
    rest: Vec<(u8, bool)>,
}

fn case() -> impl Strategy<Value = Case> {
    (
        prop_oneof![4 => Just(2usize), 2 => Just(3usize), 1 => 1usize..=6, 1 => Just(64usize)],
        any::<u64>(),
        prop_oneof![
            Just(0),
            Just(u32::MAX),
            Just(u32::MAX - 2),
            Just(i32::MAX as u32)
        ],
        any::<bool>(),
        prop::collection::vec(act(), 0..250),
        prop::collection::vec((status(), live()), 1..8),
    )
        .prop_map(|(count, present, start, spread, schedule, rest)| {
            let all = Slots::below(count).bits();
            // Mostly full; never empty.
            let present = if present % 4 == 0 {
                present >> 2 & all
            } else {
                all
            };
            Case {
                count,
                present: if present == 0 { 1 } else { present },
                start,
                spread,
                schedule,
                rest,
            }
        })
}

fn play(planted: Planted, case: &Case) -> Result<Array, String> {
    let present = Slots::from_bits(case.present);
    let mut array = Array::new(planted, case.count, present, case.start);
    array.spread = case.spread;
    array.check()?;
    array.run(&case.schedule, &case.rest)?;
    Ok(array)
}

proptest! {
    #![proptest_config(super::config(2_000))]

    #[test]
    fn every_schedule_keeps_the_promises(case in case()) {
        if let Err(why) = play(Planted::Nothing, &case) {
            return Err(TestCaseError::fail(why));
        }
    }

    /// With no command in between, what an I/O ends with follows from what the paths answer.
    #[test]
    fn an_io_alone_goes_through_the_paths_in_order(
        count in 1usize..=64,
        answers in prop::collection::vec((status(), live()), 128),
        read_ahead in prop::bool::weighted(0.2),
        flushes: bool,
    ) {
        let flushes = flushes && !read_ahead;
        let mut array = Array::new(Planted::Nothing, count, Slots::below(count), 0);
        array.make_request(read_ahead, flushes);
        array.run(&[], &answers).map_err(TestCaseError::fail)?;

        let mut tried = Vec::new();
        let mut down = BTreeSet::new();
        let mut unproven = BTreeSet::new();
        let mut answers = answers.iter().copied();
        // How many are to take their time, before that is the answer.
        let mut doubts = if flushes { 2 } else { 1 };
        // Each path; then, as long as none took its time, those that may be to blame once more.
        let mut next = (0 < count).then_some(0);
        while let Some(path) = next {
            let hasty = tried.len() + 1 < count || tried.is_empty();
            let (raw, live) = answers.next().unwrap();
            tried.push((path, hasty, Some((raw, live))));
            unproven.remove(&path);
            match expected(raw, read_ahead, live) {
                Verdict::Done => {
                    down.append(&mut unproven);
                    break;
                }
                Verdict::Fail => break,
                // The last one stays, and is asked again if it had no time.
                Verdict::PathDown if down.len() + 1 < count => _ = down.insert(path),
                Verdict::PathDown if live && (hasty || doubts > 1) => {
                    unproven.insert(path);
                    doubts -= usize::from(!hasty);
                }
                Verdict::PathDown => {}
                Verdict::Ambiguous => {
                    unproven.insert(path);
                    doubts -= usize::from(!hasty);
                    if doubts == 0 {
                        break;
                    }
                }
            }
            next = if tried.len() < count {
                Some(tried.len())
            } else {
                unproven.first().copied()
            };
        }
        let seen = array.ios[0].tried.iter();
        prop_assert_eq!(seen.map(|t| (t.path, t.hasty, t.outcome)).collect::<Vec<_>>(), tried);
        let faulty: BTreeSet<_> = (0..count).filter(|&id| array.paths[id].faulty).collect();
        prop_assert_eq!(faulty, down);
    }
}

/// Whether the schedules reach what they are for: a property over cases that never happen says
/// nothing.
#[test]
fn schedules_reach_the_cases_that_matter() {
    let seen: [Cell<usize>; 11] = Default::default();
    let mut runner = TestRunner::new(super::config(6_000));
    let played = runner.run(&case(), |case| {
        let array = play(Planted::Nothing, &case).map_err(TestCaseError::fail)?;
        let mut slots = BTreeMap::<usize, usize>::new();
        for path in &array.paths {
            *slots.entry(path.slot).or_default() += 1;
        }
        let last = |io: &Io| io.tried.last().and_then(|last| last.outcome);
        let twice = |io: &Io| {
            let paths: BTreeSet<_> = io.tried.iter().map(|tried| tried.path).collect();
            paths.len() < io.tried.len()
        };
        let ios = || array.ios.iter();
        let reached = [
            ios().any(|io| io.tried.len() > 1 && matches!(last(io), Some((0, _)))),
            ios().any(|io| io.tried.len() > 1 && !matches!(last(io), Some((0, _)))),
            ios().any(|io| io.tried.len() > 2),
            ios().any(|io| !io.spared.is_empty()),
            array.paths.iter().any(|path| path.faulty),
            slots.values().any(|&paths| paths > 1),
            // Two paths of one slot, tried by one I/O.
            ios().any(|io| {
                let paths: BTreeSet<_> = io.tried.iter().map(|tried| tried.path).collect();
                let slots: BTreeSet<_> = paths.iter().map(|&id| array.paths[id].slot).collect();
                slots.len() < paths.len()
            }),
            // A path that was hasty at first.
            ios().any(|io| twice(io) && matches!(last(io), Some((0, _)))),
            ios().any(|io| twice(io) && !matches!(last(io), Some((0, _)))),
            // A flush that one path is asked for three times.
            ios().any(|io| {
                let times = |id| io.tried.iter().filter(|tried| tried.path == id).count();
                io.flushes && (0..array.paths.len()).any(|id| times(id) > 2)
            }),
            // An ambiguous error from every path: the disk's answer.
            array.ios.len() > 1
                && array.paths.iter().all(|path| !path.faulty)
                && ios().any(|io| {
                    io.tried.len() == array.paths.len()
                        && io.tried.len() > 1
                        && !matches!(last(io), Some((0, _)))
                }),
        ];
        for (seen, reached) in seen.iter().zip(reached) {
            seen.set(seen.get() + usize::from(reached));
        }
        Ok(())
    });
    assert!(played.is_ok(), "{played:?}");
    for (what, seen) in seen.iter().enumerate() {
        assert!(seen.get() > 0, "case {what} was never seen");
    }
}

/// Each mistake that the model can be given is found.
fn is_found(planted: Planted) {
    let mut runner = TestRunner::new(ProptestConfig {
        cases: 50_000,
        failure_persistence: None,
        max_shrink_iters: 0,
        ..ProptestConfig::default()
    });
    let found = runner.run(&case(), |case| match play(planted, &case) {
        Ok(_) => Ok(()),
        Err(why) => Err(TestCaseError::fail(why)),
    });
    match found {
        Err(TestError::Fail(why, _)) => println!("{planted:?}: {why}"),
        other => panic!("{planted:?} was not found: {other:?}"),
    }
}

macro_rules! found {
    ($($name:ident: $planted:ident,)+) => {
        $(
            #[test]
            fn $name() {
                is_found(Planted::$planted);
            }
        )+
    };
}

found! {
    the_model_finds_a_number_given_out_too_early: NumberBeforeTable,
    the_model_finds_a_conviction_of_a_successor: ConvictAnyone,
    the_model_finds_knowledge_from_too_early: KnownTooEarly,
    the_model_finds_an_unknown_path_accepted: UnknownAccepted,
    the_model_finds_a_thread_that_gives_up_early: GivesUpEarly,
    the_model_finds_forgotten_tries: Forgets,
    the_model_finds_the_last_path_failed: FailsLast,
    the_model_finds_a_reference_dropped_early: DropsEarly,
    the_model_finds_blame_without_proof: BlamesAtOnce,
    the_model_finds_a_lost_io: Loses,
    the_model_finds_haste_that_is_believed: BelievesHaste,
    the_model_finds_a_path_convicted_by_itself: ConvictsItself,
    the_model_finds_events_told_out_of_order: TellsLate,
    the_model_finds_a_flush_believed_at_once: BelievesOneFlush,
    the_model_finds_the_last_path_believed_in_haste: BelievesTheLast,
    the_model_finds_the_last_path_believed_by_one_flush: BelievesTheLastOnce,
    the_model_finds_a_refusal_believed: BelievesARefusal,
}
