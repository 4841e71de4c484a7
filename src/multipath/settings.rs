// SPDX-License-Identifier: GPL-2.0-or-later

//! The settings of an array: files in `/sys/block/mdX/md/`.
//!
//! Each is a word by itself, read without a lock wherever it matters.

use super::{
    parking::{Limits, Ms},
    policy::{self, Policy},
    Multipath,
};
use crate::abstractions::{
    md::{Array, Entry, MemberEntry, MemberSetting, Rdev, Setting},
    once::load_relaxed,
};
use core::ops::RangeInclusive;
use kernel::{
    fmt::Write,
    prelude::*,
    str::{parse_int::ParseInt, BStr, CStr, Formatter},
    sync::atomic::{ordering, Atomic},
};

/// The files of an array.
pub(super) const ENTRIES: &[Entry<Multipath>] = &[
    Entry::of::<PathPolicy>(),
    Entry::of::<NoPathTimeout>(),
    Entry::of::<NoPathMaxParked>(),
    Entry::of::<WriteRetryHold>(),
];

/// The files of a path.
pub(super) const MEMBER_ENTRIES: &[MemberEntry<Multipath>] = &[MemberEntry::of::<Priority>()];

/// The values of an array's settings.
pub(super) struct Settings {
    /// The number of the [`Policy`].
    policy: Atomic<u32>,
    no_path_timeout_ms: Atomic<u32>,
    no_path_max_parked: Atomic<u32>,
    write_retry_hold_ms: Atomic<u32>,
}

impl Settings {
    /// Those of a new array: what the module's parameters say.
    pub(super) fn new() -> Self {
        let [timeout, max, hold] = crate::defaults();
        Self {
            policy: Atomic::new(Policy::default().number()),
            no_path_timeout_ms: Atomic::new(timeout),
            no_path_max_parked: Atomic::new(max),
            write_retry_hold_ms: Atomic::new(hold),
        }
    }

    /// How the paths share the I/O.
    #[inline]
    pub(super) fn policy(&self) -> Policy {
        Policy::from_number(load_relaxed(&self.policy))
    }

    /// How I/Os wait for a path.
    pub(super) fn limits(&self) -> Limits {
        Limits {
            timeout: load_relaxed(&self.no_path_timeout_ms),
            max_parked: load_relaxed(&self.no_path_max_parked),
        }
    }

    /// How long a write that failed waits before it is sent down another path; zero: not at all.
    pub(super) fn hold(&self) -> Ms {
        load_relaxed(&self.write_retry_hold_ms)
    }
}

/// Whether these may be the [defaults](crate::defaults).
pub(crate) fn are_valid([timeout, max, hold]: [u32; 3]) -> bool {
    NoPathTimeout::RANGE.contains(&timeout)
        && NoPathMaxParked::RANGE.contains(&max)
        && WriteRetryHold::RANGE.contains(&hold)
}

/// `path_policy`: how the usable paths share the array's I/O.
struct PathPolicy;

impl Setting<Multipath> for PathPolicy {
    const NAME: &'static CStr = c"path_policy";

    fn show(array: &Array<Multipath>, out: &mut Formatter<'_>) -> Result {
        out.write_str(array.settings.policy().name())?;
        Ok(())
    }

    fn store(array: &Array<Multipath>, value: &str) -> Result {
        let policy = Policy::from_name(value).ok_or(EINVAL)?;
        // ORDERING: A setting stands alone; any order does.
        array
            .settings
            .policy
            .store(policy.number(), ordering::Relaxed);
        Ok(())
    }
}

/// `priority` of a path: those of the highest one that has a usable path take the I/O.
struct Priority;

impl MemberSetting<Multipath> for Priority {
    const NAME: &'static CStr = c"priority";

    fn show(array: &Array<Multipath>, rdev: &Rdev, out: &mut Formatter<'_>) -> Result {
        let priority = array.with_path(rdev, |path| path.priority());
        write!(out, "{}", priority.ok_or(ENODEV)?)?;
        Ok(())
    }

    fn store(array: &Array<Multipath>, rdev: &Rdev, value: &str) -> Result {
        let priority = policy::priority(value).ok_or(EINVAL)?;
        Multipath::set_priority(array, rdev, priority)
    }
}

/// A setting that is a number. The array's thread looks at it anew when it has changed.
trait Number {
    const NAME: &'static CStr;
    const RANGE: RangeInclusive<u32>;

    fn value(settings: &Settings) -> &Atomic<u32>;
}

impl<N: Number> Setting<Multipath> for N {
    const NAME: &'static CStr = N::NAME;

    fn show(array: &Array<Multipath>, out: &mut Formatter<'_>) -> Result {
        let value = load_relaxed(N::value(&array.settings));
        out.write_fmt(fmt!("{value}"))?;
        Ok(())
    }

    fn store(array: &Array<Multipath>, value: &str) -> Result {
        let value = u32::from_str(BStr::from_bytes(value.as_bytes()))?;
        if !N::RANGE.contains(&value) {
            return Err(EINVAL);
        }
        // ORDERING: As for `path_policy`; the thread is woken after it.
        N::value(&array.settings).store(value, ordering::Relaxed);
        array.wake();
        Ok(())
    }
}

/// `no_path_timeout_ms`: how long I/O waits for a path when none works; zero: it fails at once.
struct NoPathTimeout;

impl Number for NoPathTimeout {
    const NAME: &'static CStr = c"no_path_timeout_ms";
    /// Up to a day.
    const RANGE: RangeInclusive<u32> = 0..=86_400_000;

    fn value(settings: &Settings) -> &Atomic<u32> {
        &settings.no_path_timeout_ms
    }
}

/// `no_path_max_parked`: how many I/Os may wait for a path; what is beyond fails at once.
struct NoPathMaxParked;

impl Number for NoPathMaxParked {
    const NAME: &'static CStr = c"no_path_max_parked";
    const RANGE: RangeInclusive<u32> = 1..=65_536;

    fn value(settings: &Settings) -> &Atomic<u32> {
        &settings.no_path_max_parked
    }
}

/// `write_retry_hold_ms`: how long a write that failed waits before it goes down another path.
struct WriteRetryHold;

impl Number for WriteRetryHold {
    const NAME: &'static CStr = c"write_retry_hold_ms";
    /// Up to ten minutes.
    const RANGE: RangeInclusive<u32> = 0..=600_000;

    fn value(settings: &Settings) -> &Atomic<u32> {
        &settings.write_retry_hold_ms
    }
}
