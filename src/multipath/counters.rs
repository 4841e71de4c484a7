// SPDX-License-Identifier: GPL-2.0-or-later

//! What a path counts, from when it entered its slot.

use super::verdict::Verdict;
use crate::abstractions::{bio::Status, once::load_relaxed, percpu::Counter};
use kernel::{
    prelude::*,
    sync::atomic::{ordering, Atomic},
    time::{Instant, Monotonic},
};

/// The counters of a path. Those of errors are shared by all CPUs, as errors are rare.
pub(crate) struct Counters {
    /// The I/Os that were sent to it, again or for the first time.
    pub(crate) sent: Counter,
    /// Errors that were the disk's own answer.
    disk: Atomic<u64>,
    /// Errors that failed the path.
    down: Atomic<u64>,
    /// Errors that may have been the path's or the disk's.
    ambiguous: Atomic<u64>,
    /// I/Os that left it to be tried elsewhere.
    failovers: Atomic<u64>,
    /// I/Os that came to it having failed elsewhere.
    retries: Atomic<u64>,
    /// I/Os that failed on it and then had no path to go to.
    parked: Atomic<u64>,
    born: Instant<Monotonic>,
    /// The last error: milliseconds from `born`, then eight bits of status. 0 before the first.
    last: Atomic<u64>,
}

/// What the counters read, one by one.
#[derive(Clone, Copy)]
pub(crate) struct Reading {
    pub(crate) sent: usize,
    pub(crate) disk: u64,
    pub(crate) down: u64,
    pub(crate) ambiguous: u64,
    pub(crate) failovers: u64,
    pub(crate) retries: u64,
    pub(crate) parked: u64,
    /// The last error, and how many milliseconds ago it was.
    pub(crate) last: Option<(Status, u64)>,
}

impl Counters {
    pub(crate) fn new() -> Result<Self> {
        Ok(Self {
            sent: Counter::new()?,
            disk: Atomic::new(0),
            down: Atomic::new(0),
            ambiguous: Atomic::new(0),
            failovers: Atomic::new(0),
            retries: Atomic::new(0),
            parked: Atomic::new(0),
            born: Instant::now(),
            last: Atomic::new(0),
        })
    }

    fn age(&self) -> u64 {
        self.born.elapsed().as_millis() as u64
    }

    /// Counts an I/O that came back from the path with an error. Any context.
    pub(crate) fn failed(&self, verdict: Verdict, status: Status) {
        match verdict {
            Verdict::Done => return,
            Verdict::Fail => &self.disk,
            Verdict::PathDown => &self.down,
            Verdict::Ambiguous => &self.ambiguous,
        }
        // ORDERING: Counters are read one by one; any order does.
        .add(1, ordering::Relaxed);
        let last = self.age() << u8::BITS | u64::from(status.to_raw());
        // ORDERING: As above.
        self.last.store(last, ordering::Relaxed);
    }

    /// Counts an I/O that failed on the path and is to be tried elsewhere. Any context.
    pub(crate) fn failed_over(&self) {
        // ORDERING: As in `failed`.
        self.failovers.add(1, ordering::Relaxed);
    }

    /// Counts an I/O that comes to the path having failed elsewhere. Any context.
    pub(crate) fn retried(&self) {
        // ORDERING: As in `failed`.
        self.retries.add(1, ordering::Relaxed);
    }

    /// Counts an I/O that failed on the path and waits for one. Any context.
    pub(crate) fn parked(&self) {
        // ORDERING: As in `failed`.
        self.parked.add(1, ordering::Relaxed);
    }

    /// What the counters read. Any context.
    pub(crate) fn read(&self) -> Reading {
        // ORDERING: As in `failed`; each number stands alone.
        let last = load_relaxed(&self.last);
        Reading {
            sent: self.sent.sum(),
            disk: load_relaxed(&self.disk),
            down: load_relaxed(&self.down),
            ambiguous: load_relaxed(&self.ambiguous),
            failovers: load_relaxed(&self.failovers),
            retries: load_relaxed(&self.retries),
            parked: load_relaxed(&self.parked),
            last: (last != 0).then(|| {
                let age = self.age().saturating_sub(last >> u8::BITS);
                (Status::from_raw(last as u8), age)
            }),
        }
    }
}
