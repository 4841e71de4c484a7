// SPDX-License-Identifier: GPL-2.0-or-later

//! The driver.
//!
//! See the crate root for an I/O's way, the locks and who holds what.

#![forbid(unsafe_code)]

mod path;
mod policy;
mod retry;
mod slots;
mod verdict;

use crate::abstractions::{
    bio::{Bio, Status},
    log::{array_line, Level, RateLimit},
    md::{
        self, Array, Entry, Flag, Mddev, Member, Members, Path as _, Personality, Rdev, Reconfig,
        Remap, Setting,
    },
    once::{load_acquire, load_relaxed},
    percpu::PerCpu,
    percpu_ref::Ref,
    rcu::Pointer,
};
use kernel::{
    fmt::{self, Write},
    new_spinlock_irq,
    prelude::*,
    seq_file::SeqFile,
    seq_print,
    str::{CStr, Formatter},
    sync::{
        atomic::{ordering, Atomic},
        rcu, Arc, SpinLockIrq,
    },
};
use path::{Path, Table};
use policy::Policy;
use retry::Retries;
use slots::{Failure, Slots, StatusLine};
use verdict::{History, Verdict};

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

/// What all paths of an array have in common, as they are one disk.
#[derive(Clone, Copy)]
struct Geometry {
    /// In bytes.
    block_size: u32,
    /// In sectors.
    data_offset: u64,
}

impl Geometry {
    fn of(rdev: &Rdev) -> Self {
        Self {
            block_size: rdev.logical_block_size(),
            data_offset: rdev.data_offset(),
        }
    }
}

/// A multipath array.
#[pin_data]
pub(crate) struct Multipath {
    /// The slots with a path that I/O may be sent to. Changed under `state`, read without a lock.
    usable: Atomic<u64>,
    /// The number that the newest path got; see [`History`].
    newest: Atomic<u32>,
    /// The number of the [`Policy`].
    policy: Atomic<u32>,
    /// The I/Os that each CPU has sent, for the policies that count them.
    turns: PerCpu,
    /// The slot that each CPU's last I/O was sent to under `queue-depth`.
    chosen: PerCpu,
    #[pin]
    paths: Pointer<Table>,
    #[pin]
    retries: Retries,
    /// Orders changes to `usable`, to the members' flags and to md core's count of the degraded.
    #[pin]
    state: SpinLockIrq<()>,
    #[pin]
    last_path: RateLimit,
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

    /// Sets which of `count` slots are usable, and tells md core how many are not. `state` is held.
    fn set_usable<C>(&self, mddev: &Mddev<C>, count: usize, usable: Slots) {
        // ORDERING: See `usable`.
        self.usable.store(usable.bits(), ordering::Release);
        mddev.set_degraded(count.saturating_sub(usable.len()) as u32);
    }

    /// The slot that is to take the next I/O of this CPU.
    fn next(&self, policy: Policy, table: &Table, candidates: Slots) -> Option<usize> {
        match policy {
            Policy::First => candidates.first(),
            Policy::RoundRobin => policy::round_robin(candidates, self.turns.increment()),
            Policy::QueueDepth => {
                let chosen = self.chosen.read() as usize;
                if self.turns.increment() % Policy::RECHECK != 0 && candidates.contains(chosen) {
                    return Some(chosen);
                }
                let slot = policy::shallowest(candidates, chosen, |slot| {
                    table.get(slot).map_or(usize::MAX, |path| path.depth())
                })?;
                self.chosen.write(slot as u32);
                Some(slot)
            }
        }
    }

    /// Takes a reference to one of `candidates` that is not closed, as the policy has it.
    #[inline]
    fn take(&self, candidates: Slots, guard: &rcu::Guard) -> Option<Ref<Path>> {
        let table = self.paths.dereference(guard);
        // ORDERING: A hint; any order does.
        let policy = Policy::from_number(load_relaxed(&self.policy));
        if policy == Policy::First {
            if let Some(path) = table.get(candidates.first()?) {
                if let Some(path) = path.get(guard) {
                    return Some(path);
                }
            }
        }
        self.take_any(policy, table, candidates, guard)
    }

    #[inline(never)]
    fn take_any(
        &self,
        policy: Policy,
        table: &Table,
        mut candidates: Slots,
        guard: &rcu::Guard,
    ) -> Option<Ref<Path>> {
        loop {
            let slot = self.next(policy, table, candidates)?;
            if let Some(path) = table.get(slot).and_then(|path| path.get(guard)) {
                return Some(path);
            }
            // It failed meanwhile.
            candidates = candidates.without(Slots::one(slot));
        }
    }

    /// Picks a path among those of the usable that `eligible` lets through, and takes a reference
    /// to it. Gives the eligible as well.
    #[inline]
    fn pick(
        &self,
        guard: &rcu::Guard,
        eligible: impl Fn(Slots) -> Slots,
    ) -> Option<(Ref<Path>, Slots)> {
        loop {
            let usable = self.usable();
            let candidates = eligible(usable);
            if let Some(path) = self.take(candidates, guard) {
                return Some((path, candidates));
            }
            // Other paths may have come while the last of these went.
            if self.usable() == usable {
                return None;
            }
        }
    }

    /// Convicts the paths that an I/O failed on before it succeeded elsewhere.
    #[cold]
    fn convict(array: &Array<Self>, history: &History) {
        for slot in history.suspects().iter() {
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
    }

    /// Handles an I/O that failed.
    #[cold]
    fn failed(mut io: Remap<Self>, path: Ref<Path>, status: Status) {
        let member = path.member();
        let slot = path.slot();
        let suspect = match verdict::verdict(io.op(), status, member.rdev().is_live()) {
            Verdict::Done | Verdict::Fail => return io.end(status),
            Verdict::PathDown => {
                io.array().mddev().fail(member.rdev());
                false
            }
            Verdict::Ambiguous => true,
        };
        // From here on the path may be removed.
        drop(path);
        io.data_mut().failed_on(slot, suspect);
        // With the I/O on the list the array may go as soon as the thread has ended it.
        let array = io.array_ref();
        match array.retries.push(io) {
            Ok(()) => array.mddev().wake_thread(),
            Err(io) => io.end(status),
        }
    }

    /// Sends an I/O down a path that it has not tried, or ends it with its last error.
    fn retry(mut io: Remap<Self>) {
        let status = io.status();
        let this = io.array_ref();
        loop {
            // ORDERING: Acquire pairs with the release in `hot_add`, so that the table read below
            // has every path up to this number.
            let newest = load_acquire(&this.newest);
            let guard = rcu::read_lock();
            let table = this.paths.dereference(&guard);
            io.data_mut()
                .refresh(newest, |slot| Some(table.get(slot)?.number()));
            let picked = this.pick(&guard, |usable| io.data().untried(usable));
            drop(guard);
            let Some((path, untried)) = picked else {
                // A path that came meanwhile may be in a slot that was tried: look again.
                // ORDERING: As above.
                if load_acquire(&this.newest) != newest {
                    continue;
                }
                return io.end(status);
            };
            // A path that was added just now would not be known as tried: look again.
            if !io.data().is_newer(path.number()) {
                let failfast = verdict::failfast(untried, path.slot());
                return io.submit(path, failfast);
            }
        }
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
        if rdev.logical_block_size() != geometry.block_size {
            return Err("its logical block size differs: not the same disk");
        }
        if rdev.data_offset() != geometry.data_offset {
            return Err("its data begin elsewhere: not the same disk");
        }
        Ok(())
    }

    /// Logs why something was refused.
    fn refuse(array: &Array<Self>, what: fmt::Arguments<'_>) -> Error {
        if array.refusals.allow(c"md/multipath: refusals") {
            array_line(Level::Err, Self::NAME, array.name(), what);
        }
        EINVAL
    }
}

/// `path_policy`: how the usable paths share the array's I/O.
struct PathPolicy;

impl Setting<Multipath> for PathPolicy {
    const NAME: &'static CStr = c"path_policy";

    fn show(array: &Array<Multipath>, out: &mut Formatter<'_>) -> Result {
        // ORDERING: A setting stands alone; any order does.
        let policy = Policy::from_number(load_relaxed(&array.policy));
        out.write_str(policy.name())?;
        Ok(())
    }

    fn store(array: &Array<Multipath>, value: &str) -> Result {
        let policy = Policy::from_name(value).ok_or(EINVAL)?;
        // ORDERING: As in `show`.
        array.policy.store(policy.number(), ordering::Relaxed);
        Ok(())
    }
}

impl Personality for Multipath {
    const NAME: &'static CStr = c"multipath";
    const LEVEL: i32 = -4;
    type Module = crate::Module;
    const SETTINGS: &'static [Entry<Self>] = &[Entry::of::<PathPolicy>()];

    type Path = Path;
    type PerIo = History;

    fn run<'a>(
        mddev: &'a Mddev<Reconfig>,
        members: &'a Arc<Members>,
    ) -> Result<impl PinInit<Self, Error> + 'a> {
        let count = match usize::try_from(mddev.raid_disks()) {
            Ok(count @ 1..=Slots::MAX) => count,
            _ => {
                log!(
                    Err,
                    mddev,
                    "cannot have {} paths, only 1 to {}",
                    mddev.raid_disks(),
                    Slots::MAX
                );
                return Err(EINVAL);
            }
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
        mddev.try_for_each_rdev(|rdev| {
            if rdev.test(Flag::Faulty) {
                rdev.leave_slot(mddev, members);
            }
            let Some(slot) = rdev.slot() else {
                return Ok(()); // A spare, or failed.
            };
            let refuse = |why| {
                log!(Err, mddev, "refused {}: {}", rdev.name(), why);
                EINVAL
            };
            if slot >= count {
                return Err(refuse("its slot does not exist"));
            }
            let geometry = *geometry.get_or_insert_with(|| Geometry::of(rdev));
            Self::check(mddev, rdev, geometry).map_err(refuse)?;
            let path = Path::new(Member::new(mddev, members, rdev, slot)?, 0)?;
            table.place(path).map_err(|_| refuse("its slot is taken"))?;
            rdev.set(Flag::InSync);
            usable = usable.with(Slots::one(slot));
            Ok(())
        })?;
        if usable.is_empty() {
            log!(Err, mddev, "no working path");
            return Err(EINVAL);
        }

        mddev.stack_limits()?;
        mddev.never_resyncs();
        mddev.set_degraded(count.saturating_sub(usable.len()) as u32);
        mddev.set_array_sectors(mddev.dev_sectors());

        let table = KBox::new(table, GFP_KERNEL)?;
        Ok(try_pin_init!(Self {
            usable: Atomic::new(usable.bits()),
            newest: Atomic::new(0),
            policy: Atomic::new(Policy::default().number()),
            turns: PerCpu::new()?,
            chosen: PerCpu::new()?,
            paths <- Pointer::new(table),
            retries <- Retries::new(),
            state <- new_spinlock_irq!(()),
            last_path <- RateLimit::new(),
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
        let mut waiting = array.retries.close();
        while let Some(io) = waiting.pop() {
            let status = io.status();
            io.end(status);
        }
        array.paths.dereference(&rcu::read_lock()).close();
    }

    #[inline]
    fn make_request(array: Ref<Array<Self>>, bio: Bio, guard: rcu::Guard) {
        let Some((path, usable)) = array.pick(&guard, |usable| usable) else {
            return bio.end(Status::IoErr);
        };
        drop(guard);
        let failfast = verdict::failfast(usable, path.slot());
        // ORDERING: Acquire, and after the path was picked, so that its number is not higher; see
        // `History::new`.
        let history = History::new(load_acquire(&array.newest));
        match Remap::new(array, bio, history) {
            Ok(io) => io.submit(path, failfast),
            Err((bio, status)) => bio.end(status),
        }
    }

    #[inline]
    fn complete(io: Remap<Self>, path: Ref<Path>, status: Status) {
        if status != Status::Ok {
            return Self::failed(io, path, status);
        }
        drop(path);
        if !io.data().suspects().is_empty() {
            Self::convict(io.array(), io.data());
        }
        io.end(status);
    }

    fn thread(array: &Array<Self>) {
        let mut waiting = array.retries.take();
        while let Some(io) = waiting.pop() {
            Self::retry(io);
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
        let Some(slot) = rdev.slot() else {
            // A spare: nothing depends on it.
            rdev.set(Flag::Faulty);
            array.mddev().members_changed();
            return;
        };

        let failure = {
            let _state = array.state.lock();
            let failure = slots::fail(array.usable(), slot);
            match failure {
                // It may be on its way in: `hot_add` looks at the flag under the same lock.
                Failure::NotUsed => rdev.set(Flag::Faulty),
                Failure::Last => {}
                Failure::Failed(left) => {
                    array.set_usable(array.mddev(), table.len(), left);
                    rdev.clear(Flag::InSync);
                    rdev.set(Flag::Faulty);
                }
            }
            failure
        };
        match failure {
            Failure::NotUsed => {}
            Failure::Last => {
                if array.last_path.allow(c"md/multipath: last path") {
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
        let refuse = |why: &str| Self::refuse(array, fmt!("refused {}: {}", rdev.name(), why));
        if rdev.test(Flag::Faulty) {
            return Err(EINVAL);
        }
        let (taken, count, geometry) = {
            let guard = rcu::read_lock();
            let table = array.paths.dereference(&guard);
            let path = array.take(array.usable(), &guard).ok_or(ENODEV)?;
            (
                table.taken(),
                table.len(),
                Geometry::of(path.member().rdev()),
            )
        };
        let slot = match rdev.slot() {
            Some(asked) if asked >= count || taken.contains(asked) => return Err(EBUSY),
            Some(asked) => asked,
            // Without a free slot it stays a spare.
            None => slots::choose(taken, count, rdev.saved_slot(mddev)).ok_or(EEXIST)?,
        };
        Self::check(mddev, rdev, geometry).map_err(refuse)?;
        mddev
            .stack_new_rdev(rdev)
            .inspect_err(|_| _ = refuse("its limits do not fit the array's"))?;

        let member = Member::new(mddev, array.members(), rdev, slot)?;
        // ORDERING: The number changes here only, under `reconfig_mutex`.
        let number = array.newest.load(ordering::Relaxed).wrapping_add(1);
        let path = Path::new(member, number)?;
        let entry = path.clone();
        array
            .paths
            .update(|table| table.replaced(slot, Some(entry)))?;
        // ORDERING: Release: the number is given out when the path is in the table, and before I/O
        // can be sent to it; see `retry` and `make_request`.
        array.newest.store(number, ordering::Release);

        let usable = {
            let _state = array.state.lock();
            if rdev.test(Flag::Faulty) {
                None
            } else {
                let usable = array.usable().with(Slots::one(slot));
                rdev.set(Flag::InSync);
                array.set_usable(mddev, count, usable);
                Some(usable)
            }
        };
        match usable {
            Some(usable) => log!(
                Info,
                array,
                "path {} added, {} of {} paths work",
                rdev.name(),
                usable.len(),
                count
            ),
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
        let path = {
            let guard = rcu::read_lock();
            array.paths.dereference(&guard).get(slot).cloned()
        };
        let Some(path) = path.filter(|path| path.member().rdev().is(rdev)) else {
            return Ok(());
        };
        if !path.try_drain() {
            return Err(EBUSY);
        }
        array.paths.update(|table| table.replaced(slot, None))?;
        log!(Info, array, "path {} removed", rdev.name());
        Ok(())
    }

    fn resize(array: &Array<Self>, _mddev: &Mddev<Reconfig>, _sectors: u64) -> Result {
        Err(Self::refuse(
            array,
            fmt!("changing the size is not supported"),
        ))
    }

    fn reshape(array: &Array<Self>, mddev: &Mddev<Reconfig>) -> Result {
        if mddev.delta_disks() != 0 {
            return Err(Self::refuse(
                array,
                fmt!("changing the number of paths is not supported"),
            ));
        }
        if mddev.geometry_changes() {
            return Err(Self::refuse(
                array,
                fmt!("there is no chunk size or layout to change"),
            ));
        }
        Ok(())
    }

    fn size(mddev: &Mddev<Reconfig>, sectors: u64) -> u64 {
        match sectors {
            0 => mddev.dev_sectors(),
            sectors => sectors,
        }
    }
}
