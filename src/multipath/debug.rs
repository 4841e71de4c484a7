// SPDX-License-Identifier: GPL-2.0-or-later

//! The tables in debugfs that a person debugs with: one row a slot, one line a setting.

use super::{counters::Reading, identity::Known, Multipath};
use crate::abstractions::{
    bio::Status,
    md::{Array, DebugFile, Flag, Path as _},
};
use kernel::{fmt, seq_file::SeqFile, seq_print, str::CStr, sync::rcu};

impl fmt::Display for Known {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        core::fmt::Display::fmt(self, f)
    }
}

/// `paths`: each slot, the path in it, and what that path has counted.
pub(super) struct Paths;

impl DebugFile<Multipath> for Paths {
    const NAME: &'static CStr = c"paths";

    fn show(array: &Array<Multipath>, seq: &SeqFile) {
        seq_print!(
            seq,
            "{:<4} {:<12} {:<7} {:>8} {:>12} {:>10} {:>10} {:>10} {:>10} {:>10} {:>10} {}\n",
            "slot",
            "device",
            "state",
            "priority",
            "ios",
            "err-disk",
            "err-path",
            "err-either",
            "failovers",
            "retries",
            "parked",
            "last-error"
        );
        let guard = rcu::read_lock();
        let table = array.paths.dereference(&guard);
        for slot in 0..table.len() {
            let Some(path) = table.get(slot) else {
                seq_print!(seq, "{:<4} {:<12} {:<7}\n", slot, "-", "empty");
                continue;
            };
            let rdev = path.member().rdev();
            let state = if array.usable().contains(slot) {
                "up"
            } else if rdev.test(Flag::Faulty) {
                "failed"
            } else {
                "joining"
            };
            let Reading {
                sent,
                disk,
                down,
                ambiguous,
                failovers,
                retries,
                parked,
                last,
            } = path.counters().read();
            seq_print!(
                seq,
                "{:<4} {:<12} {:<7} {:>8} {:>12} {:>10} {:>10} {:>10} {:>10} {:>10} {:>10} ",
                slot,
                rdev.name(),
                state,
                path.priority(),
                sent,
                disk,
                down,
                ambiguous,
                failovers,
                retries,
                parked
            );
            match last {
                Some((status, age)) => seq_print!(seq, "{} {} ms ago\n", name(status), age),
                None => seq_print!(seq, "-\n"),
            }
        }
    }
}

/// A status as a person knows it.
fn name(status: Status) -> &'static str {
    Status::NAMED
        .iter()
        .find(|(named, _, _)| *named == status)
        .map_or("unknown", |(_, _, name)| {
            name.strip_prefix("BLK_STS_").unwrap_or(name)
        })
}

/// `settings`: what the array was told, and what it knows of its disk.
pub(super) struct Settings;

impl DebugFile<Multipath> for Settings {
    const NAME: &'static CStr = c"settings";

    fn show(array: &Array<Multipath>, seq: &SeqFile) {
        let settings = &array.settings;
        let limits = settings.limits();
        seq_print!(seq, "path_policy {}\n", settings.policy().name());
        seq_print!(seq, "no_path_timeout_ms {}\n", limits.timeout);
        seq_print!(seq, "no_path_max_parked {}\n", limits.max_parked);
        seq_print!(seq, "write_retry_hold_ms {}\n", settings.hold());
        seq_print!(
            seq,
            "same_disk_check {}\n",
            u8::from(Multipath::checks_disk())
        );
        let known = *array.disk.lock();
        seq_print!(seq, "disk {}\n", known);
        let parked = array.state.lock().parking.holders();
        seq_print!(seq, "parked {}\n", parked);
    }
}
