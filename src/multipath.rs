// SPDX-License-Identifier: GPL-2.0-or-later

//! The driver.
//!
//! See the crate root for an I/O's way, the locks and who holds what.

#![forbid(unsafe_code)]

mod counters;
mod debug;
mod event;
mod identity;
mod parking;
mod path;
mod policy;
mod retry;
mod settings;
mod slots;
mod verdict;

use crate::abstractions::{
    bio::{Bio, Status},
    log::{array_line, Level, RateLimit},
    md::{
        self, Array, DebugEntry, Entry, Flag, Fresh, Mddev, Member, MemberEntry, Members, Memory,
        Name, Path as _, Personality, Rdev, Reconfig, Remap, Shelf,
    },
    once::{load_acquire, load_relaxed},
    percpu::PerCpu,
    percpu_ref::{Counted, Ref},
    rcu::{Pointer, Section},
    release::{flag, new_spinlock_irq, SpinLockIrq, SpinLockIrqGuard},
    trace,
};
use core::mem::MaybeUninit;
use event::{Kind, Queue};
use identity::{Difference, Extent, Identity, Known, Likeness};
use kernel::{
    fmt, new_mutex,
    prelude::*,
    print::OnceLite,
    seq_file::SeqFile,
    seq_print,
    str::CStr,
    sync::{
        atomic::{ordering, Atomic},
        rcu, Arc, Mutex,
    },
    time::{delay::fsleep, Delta, Instant, Monotonic},
};
use parking::{Arrival, Ms, Parking, Step};
use path::{Path, Table};
use policy::{Choice, Cursor, Policy};
use retry::{Held, Progress, Retries};
pub(crate) use settings::are_valid;
use settings::Settings;
use slots::{Failure, Slots, StatusLine};
use verdict::{Exhausted, Mark, Verdict};

/// Logs a line about an array, which is whatever has a `name()`.
macro_rules! log {
    ($level:ident, $array:expr, $($line:tt)+) => {
        array_line(Level::$level, Multipath::NAME, $array.name(), fmt!($($line)+))
    };
}

const _: () = assert!(Slots::MAX == md::MAX_SLOTS);

impl fmt::Display for StatusLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        core::fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        core::fmt::Display::fmt(self, f)
    }
}

/// Whether a path's device is there, and says what its disk is like now.
fn is_there(rdev: &Rdev) -> bool {
    rdev.is_live() && !rdev.is_offline()
}

/// What all paths of an array have in common, as they are one disk.
#[derive(Clone, Copy)]
struct Geometry {
    /// In bytes.
    block_size: u32,
    /// In sectors.
    data_offset: u64,
    extent: Extent,
}

impl Geometry {
    fn of(rdev: &Rdev) -> Self {
        Self {
            block_size: rdev.logical_block_size(),
            data_offset: rdev.data_offset(),
            extent: Extent {
                start: rdev.device_start(),
                sectors: rdev.device_sectors(),
            },
        }
    }
}

/// What of an array changes under a lock: who holds it may also change the words of
/// [`Multipath`] that say so.
struct State {
    parking: Parking,
    /// The parked I/Os.
    shelf: Shelf<Multipath>,
    /// They may not be in the order of their tickets.
    unsorted: bool,
    /// The array stops: nothing is parked any more.
    closed: bool,
    /// The block layer must not look for partitions now.
    no_scan: bool,
    /// What priority the path in each slot was given last: the next one starts with it.
    priorities: [i32; Slots::MAX],
}

/// A multipath array.
#[pin_data]
pub(crate) struct Multipath {
    /// The slots that new I/O takes, if it may take them: the usable ones of the highest priority, or none
    /// while I/Os are parked. Changed under `state`, read without a lock.
    preferred: Atomic<u64>,
    /// The slots with a path that works. Changed under `state`, read without a lock.
    usable: Atomic<u64>,
    /// The number that the newest path got; see [`History`].
    newest: Atomic<u32>,
    settings: Settings,
    /// The [`Cursor`] of each CPU, for the policies that share.
    cursors: PerCpu,
    #[pin]
    paths: Pointer<Table>,
    #[pin]
    retries: Retries,
    /// What is known of the disk.
    #[pin]
    disk: Mutex<Known>,
    /// Orders changes to `usable`, `preferred`, the paths' priorities, the members' flags and md
    /// core's count of the degraded, too.
    #[pin]
    state: SpinLockIrq<State>,
    /// What [`Ms`] are counted from.
    epoch: Instant<Monotonic>,
    /// What is to be told to user space. Added to under `state`.
    #[pin]
    events: SpinLockIrq<KBox<Queue<Name>>>,
    #[pin]
    last_path: RateLimit,
    #[pin]
    no_path: RateLimit,
    #[pin]
    refusals: RateLimit,
}

impl Multipath {
    #[inline]
    fn usable(&self) -> Slots {
        // ORDERING: Acquire pairs with the release in `set_usable`: who sees a slot here sees the
        // path in the table.
        Slots::from_bits(load_acquire(&self.usable))
    }

    #[inline]
    fn preferred(&self) -> Slots {
        // ORDERING: As in `usable`.
        Slots::from_bits(load_acquire(&self.preferred))
    }

    /// Sets which slots are usable, and tells md core how many are not.
    fn set_usable(array: &Array<Self>, state: &mut State, table: &Table, usable: Slots) {
        // ORDERING: See `usable`.
        array.usable.store(usable.bits(), ordering::Release);
        Self::set_preferred(array, state, table);
        let unusable = table.len().saturating_sub(usable.len());
        array.mddev().set_degraded(unusable as u32);
    }

    /// Sets `preferred` to what follows from all else.
    fn set_preferred(array: &Array<Self>, state: &mut State, table: &Table) {
        let open = state.parking.is_open();
        let preferred = match open {
            true => table.highest(array.usable()),
            false => Slots::NONE,
        };
        // ORDERING: See `usable`.
        array.preferred.store(preferred.bits(), ordering::Release);
        // A look for partitions would wait for a path, and who brings one has to open the array.
        if open == core::mem::replace(&mut state.no_scan, !open) {
            array.mddev().set_partition_scan(open);
        }
    }

    /// Changes the priority of the path that a member is.
    ///
    /// # Errors
    ///
    /// - `ENODEV`: it is none.
    fn set_priority(array: &Array<Self>, rdev: &Rdev, priority: i32) -> Result {
        let guard = rcu::read_lock();
        let mut state = array.state.lock();
        array
            .with_path(rdev, |path| {
                path.set_priority(priority);
                if let Some(slot) = state.priorities.get_mut(path.slot()) {
                    *slot = priority;
                }
            })
            .ok_or(ENODEV)?;
        let table = array.paths.dereference(&guard);
        Self::set_preferred(array, &mut state, table);
        Ok(())
    }

    /// The time, as the I/Os of this array have it.
    fn now(&self) -> Ms {
        self.epoch.elapsed().as_millis() as Ms
    }

    /// The slot that is to take the next I/O of this CPU.
    #[inline]
    fn next(&self, table: &Table, candidates: Slots) -> Option<usize> {
        match self.settings.policy() {
            Policy::First => candidates.first(),
            Policy::RoundRobin | Policy::QueueDepth => self.next_in_turn(table, candidates),
        }
    }

    /// As [`next`](Self::next), under a policy that shares.
    #[inline]
    fn next_in_turn(&self, table: &Table, candidates: Slots) -> Option<usize> {
        let cursor = Cursor::from_bits(self.cursors.add(1));
        cursor
            .stays(candidates)
            .or_else(|| self.choose(table, candidates, cursor))
    }

    /// The slot that this CPU goes to, as the policy has it.
    #[inline(never)]
    fn choose(&self, table: &Table, candidates: Slots, cursor: Cursor) -> Option<usize> {
        let Choice { slot, moved } = match self.settings.policy() {
            // `First` may be new here: the first I/O under it takes any path.
            Policy::First | Policy::RoundRobin => policy::round_robin(candidates, cursor)?,
            Policy::QueueDepth => policy::queue_depth(candidates, cursor, |slot| {
                table
                    .get(slot)
                    .map_or(i32::MAX, |path| path.in_flight().read())
            })?,
        };
        if let Some(cursor) = moved {
            self.cursors.write(cursor.bits());
        }
        Some(slot)
    }

    /// Takes a reference to one of `candidates` that is not closed, as the policy has it.
    fn take(&self, mut candidates: Slots, guard: &Section) -> Option<Ref<Path>> {
        let table = self.paths.dereference(guard);
        loop {
            let slot = self.next(table, candidates)?;
            if let Some(path) = table.get(slot).and_then(|path| path.get(guard)) {
                return Some(path);
            }
            // It failed meanwhile.
            candidates = candidates.without(Slots::one(slot));
        }
    }

    /// Calls `f` with the path that a member is, if it is one. A path that is kept beyond that
    /// keeps the member from being removed.
    fn with_path<R>(&self, rdev: &Rdev, f: impl FnOnce(&Arc<Counted<Path>>) -> R) -> Option<R> {
        let guard = rcu::read_lock();
        let path = self.paths.dereference(&guard).get(rdev.slot()?)?;
        path.member().rdev().is(rdev).then(|| f(path))
    }

    /// What the usable paths have in common, and whether it is that of a path whose device is there.
    fn geometry(&self, table: &Table) -> Option<(Geometry, bool)> {
        let usable = || self.usable().iter().filter_map(|slot| table.get(slot));
        let of = |path: &Arc<Counted<Path>>| Geometry::of(path.member().rdev());
        match usable().find(|path| is_there(path.member().rdev())) {
            Some(path) => Some((of(path), true)),
            None => usable().next().map(|path| (of(path), false)),
        }
    }

    /// Picks the path that is to take the next new I/O, and takes a reference to it.
    #[inline]
    fn pick_preferred(&self, guard: &Section) -> Option<Ref<Path>> {
        let candidates = self.preferred();
        let table = self.paths.dereference(guard);
        // What `next` does, but told apart up to the end, for fewer instructions.
        let path = if self.settings.policy() == Policy::First {
            candidates.first().and_then(|slot| table.get(slot))
        } else {
            self.next_in_turn(table, candidates)
                .and_then(|slot| table.get(slot))
        };
        path.and_then(|path| path.get(guard))
            .or_else(|| self.pick_another(guard))
    }

    /// As [`pick_preferred`](Self::pick_preferred), from the start: the path that was next failed
    /// meanwhile, or there is none.
    #[cold]
    #[inline(never)]
    fn pick_another(&self, guard: &Section) -> Option<Ref<Path>> {
        self.pick(guard, || self.preferred())
    }

    /// The usable slots that an I/O may take. By a device that is said to have no write cache the block
    /// layer answers a flush without asking the disk, and takes FUA off a write: an I/O that `flushes` takes
    /// one that has a cache, also of a lower priority. If no usable one has, the disk has none, as far as
    /// those tell whose device is there; others tell nothing.
    fn eligible(&self, table: &Table, flushes: bool) -> Slots {
        let usable = self.usable();
        if !flushes {
            return usable;
        }
        let those = |has: fn(&Rdev) -> bool| {
            let has = |slot: &usize| {
                table
                    .get(*slot)
                    .is_some_and(|path| has(path.member().rdev()))
            };
            let slots = usable.iter().filter(has).map(Slots::one);
            slots.fold(Slots::NONE, Slots::with)
        };
        let cached = those(Rdev::has_write_cache);
        if cached.is_empty() {
            those(is_there)
        } else {
            cached
        }
    }

    /// As [`pick_preferred`](Self::pick_preferred), for an I/O that flushes. Gives what it may take, too.
    #[inline(never)]
    fn pick_eligible(&self, guard: &Section) -> (Option<Ref<Path>>, Slots) {
        let table = self.paths.dereference(guard);
        let mut eligible = Slots::NONE;
        let path = self.pick(guard, || {
            let preferred = self.preferred();
            eligible = self.eligible(table, true);
            if preferred.without(eligible).is_empty() {
                preferred
            } else {
                table.highest(eligible)
            }
        });
        (path, eligible)
    }

    /// Picks one of the paths that `candidates` gives, and takes a reference to it.
    fn pick(&self, guard: &Section, mut candidates: impl FnMut() -> Slots) -> Option<Ref<Path>> {
        loop {
            let slots = candidates();
            if let Some(path) = self.take(slots, guard) {
                return Some(path);
            }
            // Other paths may have come while the last of these went.
            if candidates() == slots {
                return None;
            }
        }
    }

    /// An I/O is about to be sent down a path: counts it there, if the policy looks at that.
    #[inline]
    fn count(&self, path: &Path, progress: &mut Progress) {
        if self.settings.policy() == Policy::QueueDepth {
            path.in_flight().up();
            progress.history.mark(Mark::Counted, true);
        }
    }

    /// An I/O has come back from a path: it is in flight there no more. If it goes on, the mark goes.
    #[inline]
    fn uncount(io: &Remap<Self>, path: &Path) {
        if io.data().history.is_marked(Mark::Counted) {
            path.in_flight().down();
        }
    }

    /// Sees to what depends on an I/O that has succeeded: the paths that it failed on before are
    /// convicted. Gives the I/O back.
    #[cold]
    fn succeeded(io: Remap<Self>, path: Ref<Path>) -> Remap<Self> {
        Self::uncount(&io, &path);
        let own = path.own();
        drop(path);
        if !io.data().history.is_marked(Mark::Watched) {
            return io;
        }
        let array = io.array();
        let Progress {
            history, parked, ..
        } = io.data();
        Self::ended(array, parked.ticket);
        // What this path said before has passed.
        for slot in history.suspects().without(own).iter() {
            let path = {
                let guard = rcu::read_lock();
                let path = array.paths.dereference(&guard).get(slot);
                // Another path in the slot is not to blame; a failed one cannot be had.
                path.filter(|path| !history.is_newer(path.number()))
                    .and_then(|path| path.get(&guard))
            };
            if let Some(path) = path {
                array.mddev().fail(path.member().rdev());
            }
        }
        io
    }

    /// An I/O ends, in any other way than for want of a path.
    fn ended(array: &Array<Self>, ticket: parking::Ticket) {
        if ticket != 0 && array.state.lock().parking.ended(ticket) {
            array.wake();
        }
    }

    /// Ends an I/O with an answer of the disk.
    fn answer(io: Remap<Self>, status: Status) {
        Self::ended(io.array(), io.data().parked.ticket);
        io.end(status);
    }

    /// What becomes of the path in `slot`, which is said to have failed. One whose device is there is not given
    /// up for others that only nobody has asked yet, and whose devices are not: it counts as the last.
    fn failure(&self, table: &Table, slot: usize) -> Failure {
        let there = |slot: usize| {
            table
                .get(slot)
                .is_some_and(|path| is_there(path.member().rdev()))
        };
        match slots::fail(self.usable(), slot) {
            Failure::Failed(left) if there(slot) && !left.iter().any(there) => Failure::Last,
            failure => failure,
        }
    }

    /// A path has said that it is down. Of the last one, which is tried time and again while I/Os wait for it,
    /// md core is not told: nothing would become of it, and parked I/O may be sent while md core takes the
    /// array down.
    fn path_down(array: &Array<Self>, path: &Path) {
        let is_last = {
            let guard = rcu::read_lock();
            let table = array.paths.dereference(&guard);
            matches!(array.failure(table, path.slot()), Failure::Last)
        };
        if !is_last || array.state.lock().parking.is_open() {
            array.mddev().fail(path.member().rdev());
        }
    }

    /// Handles an I/O that failed.
    #[cold]
    fn failed(mut io: Remap<Self>, path: Ref<Path>, status: Status) {
        Self::uncount(&io, &path);
        io.data_mut().history.mark(Mark::Counted, false);
        let member = path.member();
        io.follow_limits(member);
        let slot = path.slot();
        let live = is_there(member.rdev());
        let op = io.op();
        let verdict = verdict::verdict(op, status, live);
        trace::error(&io, slot, status);
        trace::verdict(&io, slot, status, verdict.name());
        path.counters().failed(verdict, status);
        let suspect = match verdict {
            Verdict::Done | Verdict::Fail => return Self::answer(io, status),
            Verdict::PathDown => {
                let array = io.array();
                Self::path_down(array, &path);
                // A path that comes back may have said so as the I/O was told to fail fast. The last one is
                // to be given its time, unless the I/O waits for a path: then it might come to wait here.
                live && array.settings.limits().timeout == 0
                    && array.usable().contains(slot)
                    && io.data().history.may_be_hasty(op.flushes)
            }
            Verdict::Ambiguous => true,
        };
        path.counters().failed_over();
        // From here on the path may be removed.
        drop(path);
        io.data_mut().history.failed_on(slot, suspect, op.flushes);
        // With the I/O on the list the array may go as soon as the thread has ended it.
        let array = io.array_ref();
        match array.retries.push(io) {
            Ok(()) => array.wake(),
            Err(io) => io.end(verdict::ending(op, status)),
        }
    }

    /// Sends an I/O down a path that it has not tried. If there is none, ends it with its last error
    /// or parks it. Sleeps. `array` is its array, and held by the caller.
    fn retry(array: &Array<Self>, mut io: Remap<Self>) {
        loop {
            // ORDERING: Acquire pairs with the release in `hot_add`, so that the table read below
            // has every path up to this number.
            let newest = load_acquire(&array.newest);
            let guard = Section::enter();
            let table = array.paths.dereference(&guard);
            io.data_mut()
                .history
                .refresh(newest, |slot| Some(table.get(slot)?.number()));
            let untried = || {
                let eligible = array.eligible(table, io.op().flushes);
                io.data().history.untried(eligible)
            };
            let picked = array.pick(&guard, || table.highest(untried()));
            let untried = untried();
            drop(guard);
            if let Some(path) = picked {
                // A path that was added just now would not be known as tried: look again.
                if !io.data().history.is_newer(path.number()) {
                    let failfast = verdict::failfast(untried, path.own());
                    trace::retry(&io, path.slot());
                    path.counters().retried();
                    io.data_mut().history.mark(Mark::Patient, !failfast);
                    array.count(&path, io.data_mut());
                    return io.submit(path, failfast);
                }
            } else if let Err(again) = Self::exhausted(array, io, newest) {
                io = again;
            } else {
                return;
            }
        }
    }

    /// Ends or parks an I/O that has tried every path there was when `newest` was read.
    ///
    /// # Errors
    ///
    /// Gives it back if there is another by now, or one of them is to be tried again.
    fn exhausted(
        array: &Array<Self>,
        mut io: Remap<Self>,
        newest: u32,
    ) -> core::result::Result<(), Remap<Self>> {
        let status = verdict::ending(io.op(), io.status());
        let limits = array.settings.limits();
        let now = array.now();
        let guard = rcu::read_lock();
        let table = array.paths.dereference(&guard);
        let mut state = array.state.lock();
        let eligible = array.eligible(table, io.op().flushes);
        // ORDERING: The number goes up before the path becomes usable, which takes the lock.
        let others = array.newest.load(ordering::Relaxed) != newest
            || !io.data().history.untried(eligible).is_empty();
        if others && !state.closed {
            return Err(io);
        }
        match io.data().history.exhausted(eligible) {
            Exhausted::NoPath => {
                // One that it may not take has come beside one that is down: that one is not the last any more,
                // and is failed when it says so again. Else this would have no end.
                let others = !io.data().history.untried(array.usable()).is_empty();
                let fails =
                    |slot: &usize| matches!(array.failure(table, *slot), Failure::Failed(_));
                let again = eligible.first().filter(fails);
                if let Some(slot) = again.filter(|_| others && !state.closed) {
                    io.data_mut().history.try_again(slot);
                    return Err(io);
                }
            }
            Exhausted::Hasty(slots) if !state.closed => {
                if let Some(slot) = table.highest(slots).first() {
                    io.data_mut().history.try_again(slot);
                }
                return Err(io);
            }
            Exhausted::Answer | Exhausted::Hasty(_) => {
                drop(state);
                drop(guard);
                Self::answer(io, status);
                return Ok(());
            }
        }
        drop(guard);
        let was_open = state.parking.is_open();
        let parked = if state.closed || io.op().nowait {
            None
        } else {
            state.parking.park(io.data().parked, now, limits)
        };
        let Some(parked) = parked else {
            if !state.parking.is_open() {
                // If this was the last, it is the thread that opens it.
                array.wake();
            }
            drop(state);
            let status = if io.op().nowait && limits.timeout != 0 {
                // It may come again to wait.
                Status::Again
            } else {
                status
            };
            io.end(status);
            return Ok(());
        };
        for slot in io.data().history.tried().iter() {
            let guard = rcu::read_lock();
            if let Some(path) = array.paths.dereference(&guard).get(slot) {
                path.counters().parked();
            }
        }
        let again = io.data().parked.ticket != 0;
        *io.data_mut() = Progress::new(newest);
        io.data_mut().park(parked);
        Self::shelve(array, state, io, again);
        if was_open && array.no_path.allow(c"md/multipath: no path") {
            log!(
                Alert,
                array,
                "no path works: I/O waits for one, up to {} ms",
                limits.timeout
            );
        }
        Ok(())
    }

    /// Puts an I/O on the shelf, for the first time or `again`. `array` is its array, and held by the
    /// caller.
    fn shelve(
        array: &Array<Self>,
        mut state: SpinLockIrqGuard<'_, State>,
        io: Remap<Self>,
        again: bool,
    ) {
        trace::park(&io);
        let ticket = io.data().parked.ticket;
        let earlier = |other: &Progress| (ticket.wrapping_sub(other.parked.ticket) as i32) < 0;
        // One that comes back belongs before those that came later. A probe is before all of them.
        let first = again && state.shelf.first().is_some_and(earlier);
        state.unsorted |= again && !first;
        let lost = match state.shelf.push(io, first) {
            Ok(reference) => {
                drop(reference);
                None
            }
            // There is one array only.
            Err(io) => {
                state.parking.ended(ticket);
                Some(io)
            }
        };
        let guard = rcu::read_lock();
        let table = array.paths.dereference(&guard);
        Self::set_preferred(array, &mut state, table);
        drop(guard);
        drop(state);
        if let Some(io) = lost {
            io.end(Status::IoErr);
        }
        // The thread keeps the time.
        array.wake();
    }

    /// A new bio that flushes: the others are to cost nothing for it.
    #[cold]
    #[inline(never)]
    fn make_flush(array: Ref<Array<Self>>, bio: Bio, guard: Section) {
        let (picked, eligible) = array.pick_eligible(&guard);
        drop(guard);
        match picked {
            Some(path) => Self::send(array, bio, path, |_| eligible),
            None => Self::arrive(array, bio),
        }
    }

    /// Sends a new bio down the path that it was given, one of `candidates`.
    #[inline(always)]
    fn send(
        array: Ref<Array<Self>>,
        bio: Bio,
        path: Ref<Path>,
        candidates: impl FnOnce(&Self) -> Slots,
    ) {
        let progress = |this: &Self| {
            // ORDERING: Acquire, and after the path was picked, so that its number is not higher;
            // see `History::new`.
            let mut progress = Progress::new(load_acquire(&this.newest));
            this.count(&path, &mut progress);
            progress
        };
        match Fresh::new(array, bio, Memory::Wait, progress) {
            Ok(io) => {
                let failfast = verdict::failfast(candidates(io.array()), path.own());
                io.submit(path, failfast);
            }
            Err((bio, status)) => bio.end(status),
        }
    }

    /// A bio has found no path to take, because others are parked: it goes behind them.
    #[cold]
    fn arrive(array: Ref<Array<Self>>, bio: Bio) {
        let op = bio.op();
        if op.nowait {
            return bio.end(Status::Again);
        }
        if op.read_ahead {
            return bio.end(Status::IoErr);
        }
        let this = array.clone();
        // ORDERING: As in `retry`.
        let progress = Progress::new(load_acquire(&this.newest));
        let mut io = match Self::remap(array, bio, progress) {
            Ok(io) => io,
            Err((bio, status)) => return bio.end(status),
        };
        let limits = this.settings.limits();
        let now = this.now();
        let mut state = this.state.lock();
        let arrival = match state.closed {
            true => Arrival::Full,
            false => state.parking.arrive(now, limits),
        };
        match arrival {
            Arrival::Retry => {
                drop(state);
                Self::retry(&this, io);
            }
            Arrival::Full => {
                drop(state);
                io.end(Status::IoErr);
            }
            Arrival::Park(parked) => {
                io.data_mut().park(parked);
                Self::shelve(&this, state, io, false);
            }
        }
    }

    /// Makes an I/O of a bio that is perhaps to be parked. To wait for memory that the parked I/Os
    /// have would be to wait for a path, with the array's `active_io` held, so that none could be
    /// added. It tries for a second.
    fn remap(
        array: Ref<Array<Self>>,
        mut bio: Bio,
        progress: Progress,
    ) -> core::result::Result<Remap<Self>, (Bio, Status)> {
        const TRIES: u32 = 50;
        for _ in 0..TRIES {
            match Fresh::new(array.clone(), bio, Memory::Try, |_| progress) {
                Err((back, Status::Resource)) => bio = back,
                result => return result.map(Remap::from),
            }
            fsleep(Delta::from_millis(20));
        }
        Err((bio, Status::Resource))
    }

    /// Sends what failed elsewhere, or keeps it where it has to wait. Says when the next has waited
    /// long enough.
    fn resend(array: &Array<Self>) -> Option<Ms> {
        let hold = array.settings.hold();
        let mut waiting = array.retries.take();
        while let Some(io) = waiting.pop() {
            if hold != 0 && io.op().changes_data() {
                let now = array.now();
                let ticket = io.data().parked.ticket;
                array.state.lock().parking.held(ticket, now);
                array.retries.hold(io, now);
            } else {
                Self::retry(array, io);
            }
        }
        loop {
            match array.retries.due(array.now(), hold) {
                Held::Due(mut io) => {
                    // ORDERING: As in `retry`.
                    let newest = load_acquire(&array.newest);
                    let guard = rcu::read_lock();
                    let table = array.paths.dereference(&guard);
                    let eligible = array.eligible(table, io.op().flushes);
                    let entered = |slot| Some(table.get(slot)?.number());
                    io.data_mut().history.renew(newest, entered, eligible);
                    drop(guard);
                    Self::retry(array, io);
                }
                Held::Later(left) => return Some(left),
                Held::Nothing => return None,
            }
        }
    }

    /// Ends or sends what is parked, as far as it is time for that, and some of it at a time. Says
    /// when it will be time again.
    fn unpark(array: &Counted<Array<Self>>) -> Option<Ms> {
        const BATCH: u32 = 64;
        for _ in 0..BATCH {
            Self::sort(array);
            // While the array is quiesced nothing is sent.
            let sender = array.get(&rcu::read_lock());
            let limits = array.settings.limits();
            let now = array.now();
            let (step, io, opened) = {
                let mut state = array.state.lock();
                let was_open = state.parking.is_open();
                let first = state.shelf.first().map(|progress| progress.parked);
                let step = state.parking.step(now, first, sender.is_some(), limits);
                let io = match step {
                    Step::Expire | Step::Send => state.shelf.pop(),
                    Step::Sleep(_) => None,
                };
                let opened = state.parking.is_open() && !was_open;
                if opened {
                    let guard = rcu::read_lock();
                    Self::set_preferred(array, &mut state, array.paths.dereference(&guard));
                }
                (step, io, opened)
            };
            if opened && array.no_path.allow(c"md/multipath: no path") {
                log!(Info, array, "no I/O waits for a path any more");
            }
            if let Some(io) = &io {
                trace::release(array, io);
            }
            match (step, io, sender) {
                (Step::Sleep(limit), ..) => return limit,
                (Step::Send, Some(io), Some(sender)) => match io.resume(sender) {
                    Ok(io) => Self::retry(array, io),
                    // There is one array only.
                    Err((io, _)) => io.end(Status::IoErr),
                },
                (_, Some(io), _) => {
                    if array.no_path.allow(c"md/multipath: no path") {
                        log!(Alert, array, "no path came in time: I/O fails");
                    }
                    let status = verdict::ending(io.op(), io.status());
                    io.end(status);
                }
                // What was on the shelf is gone: look again.
                (_, None, _) => {}
            }
        }
        // What failed meanwhile goes first.
        Some(0)
    }

    /// Brings the parked I/Os into the order of their tickets. Only the thread does, and only the
    /// thread takes from the shelf.
    fn sort(array: &Array<Self>) {
        let mut shelf = {
            let mut state = array.state.lock();
            if !core::mem::take(&mut state.unsorted) {
                return;
            }
            state.shelf.take()
        };
        // There may be many; new ones come behind them meanwhile.
        shelf.sort(|progress| progress.parked.ticket);
        let mut state = array.state.lock();
        let came = state.shelf.take();
        let lost = shelf.append(came);
        state.shelf = shelf;
        drop(state);
        // There is one array only: nothing is lost.
        drop(lost);
    }

    /// Whether a device can be a path of an array whose other paths look like `geometry`.
    fn check(
        mddev: &Mddev<Reconfig>,
        rdev: &Rdev,
        geometry: Geometry,
    ) -> core::result::Result<(), &'static str> {
        if rdev.is_zoned() {
            return Err("zoned devices are not supported");
        }
        if rdev.sectors(mddev) < mddev.dev_sectors() {
            return Err("it is smaller than the array");
        }
        // The array has grown since the member was added.
        if rdev.superblock_is_in_data(mddev, mddev.dev_sectors()) {
            return Err(
                "its superblock lies where the array's data are: remove it, and add it again",
            );
        }
        if rdev.logical_block_size() != geometry.block_size {
            return Err("its logical block size differs: not the same disk");
        }
        if rdev.data_offset() != geometry.data_offset {
            return Err("its data begin elsewhere: not the same disk");
        }
        Ok(())
    }

    /// Has user space told what happened to a path, with as many that work as there are now. `state` is
    /// held, so that events come in the order of what they tell. Any context.
    fn happened(array: &Array<Self>, _state: &mut State, rdev: &Rdev, slot: usize, kind: Kind) {
        let left = array.usable().len();
        array.events.lock().push(slot, kind, rdev.name(), left);
        array.wake_teller();
    }

    /// An empty queue of events. It is too large for the stack of those who wait for memory.
    #[inline(never)]
    fn queue(room: KBox<MaybeUninit<Queue<Name>>>) -> KBox<Queue<Name>> {
        KBox::write(room, Queue::new())
    }

    /// Compares a device to the disk that the paths of array `name` lead to, of which one whose device
    /// is there is at `extent`. Without the check a difference is logged, and no more.
    fn compare(
        name: &CStr,
        rdev: &Rdev,
        known: &Known,
        extent: Option<Extent>,
        identity: &Identity,
    ) -> core::result::Result<Likeness, Difference> {
        known
            .compare(extent, identity, Geometry::of(rdev).extent)
            .or_else(|difference| {
                if Self::checks_disk() {
                    return Err(difference);
                }
                array_line(
                    Level::Warning,
                    Self::NAME,
                    name,
                    fmt!("{} is used all the same: {}", rdev.name(), difference),
                );
                Ok(Likeness::Unknown)
            })
    }

    /// Whether paths that lead to another disk are refused.
    fn checks_disk() -> bool {
        flag(&crate::module_parameters::same_disk_check)
    }

    /// Learns from a path that was taken in. Gives the line to log, the first time that nothing
    /// tells whether it is the same disk.
    fn learn(known: &mut Known, identity: &Identity, likeness: Likeness) -> Option<&'static str> {
        known.learn(identity);
        (likeness == Likeness::Unknown && Self::checks_disk() && known.doubt())
            .then_some("has no name in common with the others: it may be another disk")
    }

    /// The number of slots that `raid_disks` asks for, if an array can have so many.
    fn slots(raid_disks: i32, max_disks: Option<i32>) -> Option<usize> {
        if max_disks.is_some_and(|max_disks| raid_disks > max_disks) {
            return None;
        }
        match usize::try_from(raid_disks) {
            Ok(count @ 1..=Slots::MAX) => Some(count),
            _ => None,
        }
    }

    /// Logs, once, why paths are missing where md core treats the superblock of this level like any
    /// other.
    fn tell_what_md_lacks(mddev: &Mddev<Reconfig>) {
        static ONCE: OnceLite = OnceLite::new();
        ONCE.call_once(|| {
            log!(
                Err,
                mddev,
                "this kernel's md starts an array with a superblock from one path only: \
                 add the others with mdadm --add, or install the md-mod that comes with this module"
            )
        });
    }

    /// Logs why something was refused.
    fn refuse(array: &Array<Self>, what: fmt::Arguments<'_>) -> Error {
        if array.refusals.allow(c"md/multipath: refusals") {
            array_line(Level::Err, Self::NAME, array.name(), what);
        }
        EINVAL
    }
}

impl Personality for Multipath {
    const NAME: &'static CStr = c"multipath";
    const LEVEL: i32 = -4;
    type Module = crate::Module;
    const SETTINGS: &'static [Entry<Self>] = settings::ENTRIES;
    const MEMBER_SETTINGS: &'static [MemberEntry<Self>] = settings::MEMBER_ENTRIES;
    const DEBUG_FILES: &'static [DebugEntry<Self>] = &[
        DebugEntry::of::<debug::Paths>(),
        DebugEntry::of::<debug::Settings>(),
    ];

    type Path = Path;
    type PerIo = Progress;

    fn run<'a>(
        mddev: &'a Mddev<Reconfig>,
        members: &'a Arc<Members>,
    ) -> Result<impl PinInit<Self, Error> + 'a> {
        let Some(count) = Self::slots(mddev.raid_disks(), mddev.max_disks()) else {
            log!(
                Err,
                mddev,
                "cannot have {} paths, only 1 to {}",
                mddev.raid_disks(),
                mddev.max_disks().unwrap_or(i32::MAX).min(Slots::MAX as i32)
            );
            return Err(EINVAL);
        };
        if mddev.wants_bitmap() {
            log!(
                Err,
                mddev,
                "bitmaps are not supported: there is nothing to resync"
            );
            return Err(EINVAL);
        }

        let mut table = Table::empty(count)?;
        let mut usable = Slots::NONE;
        let mut geometry = None;
        let mut known = Known::default();
        // Whether md core took a slot from a superblock, which all paths show alike.
        let mut numbered = false;
        mddev.try_for_each_rdev(|rdev| {
            if rdev.test(Flag::Faulty) {
                rdev.leave_slot(mddev, members);
            }
            let Some(slot) = rdev.slot() else {
                return Ok(()); // A spare, or failed.
            };
            let refuse = |why: &dyn fmt::Display| {
                log!(Err, mddev, "refused {}: {}", rdev.name(), why);
                EINVAL
            };
            if slot >= count {
                return Err(refuse(&"its slot does not exist"));
            }
            let first = geometry.is_none();
            let geometry = *geometry.get_or_insert_with(|| Geometry::of(rdev));
            Self::check(mddev, rdev, geometry).map_err(|why| refuse(&why))?;
            let identity = Identity::of(|kind| rdev.designator(kind));
            let extent = geometry.extent;
            known.extent = Some(extent);
            let likeness = match first {
                true => Likeness::Same,
                false => Self::compare(mddev.name(), rdev, &known, Some(extent), &identity)
                    .map_err(|why| refuse(&why))?,
            };
            if let Some(doubt) = Self::learn(&mut known, &identity, likeness) {
                log!(Warning, mddev, "{} {}", rdev.name(), doubt);
            }
            let path = Path::new(Member::new(mddev, members, rdev, slot)?, 0, 0)?;
            table
                .place(path)
                .map_err(|_| refuse(&"its slot is taken"))?;
            rdev.set(Flag::InSync);
            usable = usable.with(Slots::one(slot));
            numbered |= mddev.is_persistent() && rdev.saved_slot(mddev).is_some();
            Ok(())
        })?;
        if usable.is_empty() {
            log!(Err, mddev, "no working path");
            return Err(EINVAL);
        }
        if numbered && usable.len() < count {
            Self::tell_what_md_lacks(mddev);
        }

        mddev.stack_limits()?;
        mddev.never_resyncs();
        mddev.set_degraded(count.saturating_sub(usable.len()) as u32);
        mddev.set_array_sectors(mddev.dev_sectors());

        let events = Self::queue(KBox::new_uninit(GFP_KERNEL)?);
        let preferred = table.highest(usable);
        let table = KBox::new(table, GFP_KERNEL)?;
        Ok(try_pin_init!(Self {
            preferred: Atomic::new(preferred.bits()),
            usable: Atomic::new(usable.bits()),
            newest: Atomic::new(0),
            settings: Settings::new(),
            cursors: PerCpu::new()?,
            paths <- Pointer::new(table),
            retries <- Retries::new(),
            disk <- new_mutex!(known),
            state <- new_spinlock_irq!(State {
                parking: Parking::new(),
                shelf: Shelf::new(),
                unsorted: false,
                closed: false,
                no_scan: false,
                priorities: [0; Slots::MAX],
            }),
            epoch: Instant::now(),
            events <- new_spinlock_irq!(events),
            last_path <- RateLimit::new(),
            no_path <- RateLimit::new(),
            refusals <- RateLimit::new(),
        }? Error))
    }

    fn started(array: &Array<Self>) {
        let count = array.paths.dereference(&rcu::read_lock()).len();
        log!(
            Info,
            array,
            "active with {} out of {} paths",
            array.usable().len(),
            count
        );
    }

    fn stop(array: &Array<Self>) {
        for mut list in array.retries.close() {
            while let Some(io) = list.pop() {
                let status = io.status();
                io.end(status);
            }
        }
        let shelf = {
            let mut state = array.state.lock();
            state.closed = true;
            if core::mem::take(&mut state.no_scan) {
                array.mddev().set_partition_scan(true);
            }
            state.shelf.take()
        };
        // What is on it ends with an error.
        drop(shelf);
        array.paths.dereference(&rcu::read_lock()).close();
    }

    #[inline]
    fn make_request(array: Ref<Array<Self>>, bio: Bio, guard: Section) {
        if bio.flushes() {
            return Self::make_flush(array, bio, guard);
        }
        let Some(path) = array.pick_preferred(&guard) else {
            drop(guard);
            return Self::arrive(array, bio);
        };
        drop(guard);
        // ORDERING: Which paths these are does not matter, only whether there are others.
        Self::send(array, bio, path, |this| {
            Slots::from_bits(load_relaxed(&this.usable))
        });
    }

    #[inline]
    fn complete(mut io: Remap<Self>, path: Ref<Path>, status: Status) {
        if status != Status::Ok {
            return Self::failed(io, path, status);
        }
        let history = &io.data().history;
        if history.is_plain() {
            drop(path);
        } else if history.is_counted_only() {
            path.in_flight().down();
            drop(path);
        } else {
            io = Self::succeeded(io, path);
        }
        io.end(status);
    }

    fn thread(array: &Counted<Array<Self>>) -> Option<Delta> {
        let held = Self::resend(array);
        let parked = Self::unpark(array);
        match [held, parked].into_iter().flatten().min()? {
            0 => {
                array.wake();
                None
            }
            next => Some(Delta::from_millis(next.into())),
        }
    }

    fn tell(array: &Array<Self>) {
        loop {
            let Some(event) = array.events.lock().pop() else {
                return;
            };
            let kind = event.kind.name().to_str().unwrap_or_default();
            // Nobody is there to be told that nobody could be told.
            let _ = md::event::change(
                array.mddev(),
                [
                    fmt!("MD_MULTIPATH_EVENT={}", kind),
                    fmt!("MD_MULTIPATH_PATH={}", event.name),
                    fmt!("MD_MULTIPATH_SLOT={}", event.slot),
                    fmt!("MD_MULTIPATH_PATHS_LEFT={}", event.left),
                    fmt!("MD_MULTIPATH_TIMES={}", event.times),
                ],
            );
        }
    }

    fn status(array: &Array<Self>, seq: &SeqFile) {
        let guard = rcu::read_lock();
        let line = StatusLine {
            count: array.paths.dereference(&guard).len(),
            usable: array.usable(),
        };
        seq_print!(seq, "{}", line);
    }

    fn error(array: &Array<Self>, rdev: &Rdev) {
        let guard = rcu::read_lock();
        let table = array.paths.dereference(&guard);
        // The slot may be another's: md core writes it down before it asks whether it is free.
        let is_other = |slot: &usize| {
            table
                .get(*slot)
                .is_some_and(|path| !path.member().rdev().is(rdev))
        };
        let Some(slot) = rdev.slot().filter(|slot| !is_other(slot)) else {
            // A spare: nothing depends on it.
            rdev.set(Flag::Faulty);
            array.mddev().members_changed();
            return;
        };

        let (failure, known) = {
            let mut state = array.state.lock();
            let failure = array.failure(table, slot);
            match failure {
                // It may be on its way in: `hot_add` looks at the flag under the same lock.
                Failure::NotUsed => {
                    rdev.clear(Flag::InSync);
                    rdev.set(Flag::Faulty);
                }
                Failure::Last => {}
                Failure::Failed(left) => {
                    Self::set_usable(array, &mut state, table, left);
                    rdev.clear(Flag::InSync);
                    rdev.set(Flag::Faulty);
                    Self::happened(array, &mut state, rdev, slot, Kind::Failed);
                }
            }
            // While I/Os wait for it, it is tried time and again.
            (failure, !state.parking.is_open())
        };
        match failure {
            Failure::NotUsed => {}
            Failure::Last => {
                if !known && array.last_path.allow(c"md/multipath: last path") {
                    log!(
                        Alert,
                        array,
                        "path {} is said to have failed, but is the last one: it stays in use",
                        rdev.name()
                    );
                }
            }
            Failure::Failed(left) => {
                if let Some(path) = table.get(slot) {
                    path.close();
                }
                log!(
                    Alert,
                    array,
                    "path {} failed, {} of {} paths left",
                    rdev.name(),
                    left.len(),
                    table.len()
                );
                array.mddev().members_changed();
            }
        }
    }

    fn hot_add(array: &Array<Self>, mddev: &Mddev<Reconfig>, rdev: &Rdev) -> Result {
        let refuse =
            |why: &dyn fmt::Display| Self::refuse(array, fmt!("refused {}: {}", rdev.name(), why));
        if rdev.test(Flag::Faulty) {
            return Err(EINVAL);
        }
        let (taken, count, geometry, live) = {
            let guard = rcu::read_lock();
            let table = array.paths.dereference(&guard);
            let (geometry, live) = array.geometry(table).ok_or(ENODEV)?;
            (table.taken(), table.len(), geometry, live)
        };
        let slot = match rdev.slot() {
            Some(asked) if asked >= count || taken.contains(asked) => return Err(EBUSY),
            Some(asked) => asked,
            // Without a free slot it stays a spare.
            None => slots::choose(taken, count, rdev.saved_slot(mddev)).ok_or(EEXIST)?,
        };
        Self::check(mddev, rdev, geometry).map_err(|why| refuse(&why))?;
        let known = *array.disk.lock();
        let identity = Identity::of(|kind| rdev.designator(kind));
        // A path whose device is gone does not tell how large the disk is.
        let extent = live.then_some(geometry.extent);
        let likeness = Self::compare(array.name(), rdev, &known, extent, &identity)
            .map_err(|why| refuse(&why))?;
        mddev
            .stack_new_rdev(rdev)
            .inspect_err(|_| _ = refuse(&"its limits do not fit the array's"))?;

        let member = Member::new(mddev, array.members(), rdev, slot)?;
        // ORDERING: The number changes here only, under `reconfig_mutex`.
        let number = array.newest.load(ordering::Relaxed).wrapping_add(1);
        let priority = array.state.lock().priorities.get(slot).copied();
        let path = Path::new(member, number, priority.unwrap_or(0))?;
        let entry = path.clone();
        array
            .paths
            .update(|table| table.replaced(slot, Some(entry)))?;
        array.disk.lock().extent = Some(Geometry::of(rdev).extent);
        if let Some(doubt) = Self::learn(&mut array.disk.lock(), &identity, likeness) {
            log!(Warning, array, "{} {}", rdev.name(), doubt);
        }
        array.paths.dereference(&rcu::read_lock()).keep_up(number);
        // ORDERING: Release: the number is given out when the path is in the table, and before I/O
        // can be sent to it; see `retry` and `make_request`.
        array.newest.store(number, ordering::Release);

        let kind = match rdev.saved_slot(mddev) {
            Some(before) if before == slot => Kind::Reinstated,
            _ => Kind::Added,
        };
        let usable = {
            let guard = rcu::read_lock();
            let table = array.paths.dereference(&guard);
            let mut state = array.state.lock();
            if rdev.test(Flag::Faulty) {
                None
            } else {
                let usable = array.usable().with(Slots::one(slot));
                rdev.set(Flag::InSync);
                Self::set_usable(array, &mut state, table, usable);
                Self::happened(array, &mut state, rdev, slot, kind);
                if state.parking.path_came() {
                    array.wake();
                }
                Some(usable)
            }
        };
        match usable {
            Some(usable) => {
                log!(
                    Info,
                    array,
                    "path {} added, {} of {} paths work",
                    rdev.name(),
                    usable.len(),
                    count
                );
            }
            None => {
                // It was failed while it was added: it is to be removed, like any failed path.
                path.close();
                log!(
                    Alert,
                    array,
                    "path {} failed while it was added",
                    rdev.name()
                );
                mddev.request_recovery();
            }
        }
        Ok(())
    }

    fn hot_remove(array: &Array<Self>, _mddev: &Mddev<Reconfig>, rdev: &Rdev) -> Result {
        let slot = rdev.slot().ok_or(EINVAL)?;
        if rdev.test(Flag::InSync) {
            return Err(EBUSY);
        }
        let Some(path) = array.with_path(rdev, Arc::clone) else {
            return Ok(());
        };
        if !path.try_drain() {
            return Err(EBUSY);
        }
        array.paths.update(|table| table.replaced(slot, None))?;
        log!(Info, array, "path {} removed", rdev.name());
        Self::happened(array, &mut array.state.lock(), rdev, slot, Kind::Removed);
        Ok(())
    }

    fn resize(array: &Array<Self>, mddev: &Mddev<Reconfig>, sectors: u64) -> Result {
        if sectors == 0 {
            return Err(Self::refuse(array, fmt!("cannot have no size")));
        }
        if mddev.fixed_sectors().is_some_and(|fixed| fixed > sectors) {
            return Err(Self::refuse(
                array,
                fmt!("its size was set by hand and is larger"),
            ));
        }
        mddev.try_for_each_rdev(|rdev| {
            // A path that failed has to grow before it comes back.
            if rdev.test(Flag::Faulty) {
                return Ok(());
            }
            if rdev.capacity() < sectors {
                return Err(Self::refuse(
                    array,
                    fmt!("path {} does not have that size", rdev.name()),
                ));
            }
            // md core without the series leaves that of a spare where it is, and writes it.
            if rdev.superblock_is_in_data(mddev, sectors) {
                return Err(Self::refuse(
                    array,
                    fmt!(
                        "the superblock of path {} would lie among the data: remove it first, and add it again",
                        rdev.name()
                    ),
                ));
            }
            Ok(())
        })?;
        mddev.set_dev_sectors(sectors);
        mddev.set_array_sectors(sectors);
        // A path that comes back when no other is there is as large as the disk is now.
        let geometry = array.geometry(array.paths.dereference(&rcu::read_lock()));
        if let Some((Geometry { extent, .. }, true)) = geometry {
            array.disk.lock().extent = Some(extent);
        }
        Ok(())
    }

    fn reshape(array: &Array<Self>, mddev: &Mddev<Reconfig>) -> Result {
        if mddev.geometry_changes() {
            return Err(Self::refuse(
                array,
                fmt!("there is no chunk size or layout to change"),
            ));
        }
        if mddev.delta_disks() == 0 {
            return Ok(());
        }
        let raid_disks = mddev.raid_disks().saturating_add(mddev.delta_disks());
        let count = Self::slots(raid_disks, mddev.max_disks())
            .ok_or_else(|| Self::refuse(array, fmt!("cannot have {} paths", raid_disks)))?;
        array
            .paths
            .update(|table| table.resized(count))
            .inspect_err(|error| {
                if *error == EBUSY {
                    Self::refuse(
                        array,
                        fmt!("a path is in slot {} or above: remove it first", count),
                    );
                }
            })?;
        mddev.set_raid_disks(raid_disks);
        let usable = {
            // Since the grace period every `error` sees the new table.
            let guard = rcu::read_lock();
            let table = array.paths.dereference(&guard);
            let mut state = array.state.lock();
            let usable = array.usable();
            Self::set_usable(array, &mut state, table, usable);
            usable
        };
        log!(
            Info,
            array,
            "has {} slots now, {} paths work",
            count,
            usable.len()
        );
        // For the superblock, and for spares to take the new slots.
        mddev.members_changed();
        Ok(())
    }

    fn size(mddev: &Mddev<Reconfig>, sectors: u64) -> u64 {
        match sectors {
            0 => mddev.dev_sectors(),
            sectors => sectors,
        }
    }
}
