// SPDX-License-Identifier: GPL-2.0-or-later

//! Whether an array is what its owner thinks. Plain functions over what was read.

use crate::model::{Array, Path, State};
use serde::Serialize;
use std::collections::BTreeSet;

/// How bad a finding is, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Not wrong; something to know.
    Advice,
    /// Nobody can tell whether something is wrong.
    Unknown,
    Warning,
    Critical,
}

impl Severity {
    pub fn name(self) -> &'static str {
        match self {
            Self::Advice => "advice",
            Self::Unknown => "UNKNOWN",
            Self::Warning => "WARNING",
            Self::Critical => "CRITICAL",
        }
    }

    /// The exit status that monitoring systems know.
    pub fn status(self) -> u8 {
        match self {
            Self::Advice => 0,
            Self::Unknown => 3,
            Self::Warning => 1,
            Self::Critical => 2,
        }
    }
}

#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    pub severity: Severity,
    pub array: String,
    pub text: String,
}

/// What there is to say about an array, the worst first.
pub fn check(array: &Array) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut say = |severity, text: String| {
        findings.push(Finding {
            severity,
            array: array.name.clone(),
            text,
        });
    };
    paths(array, &mut say);
    same_disk(array, &mut say);
    independence(array, &mut say);
    queues(array, &mut say);
    for path in &array.paths {
        timeouts(array, path, &mut say);
    }
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    findings
}

/// What there is to say about an inactive array that may be of this level.
pub fn undetermined(name: &str) -> Finding {
    Finding {
        severity: Severity::Unknown,
        array: name.to_owned(),
        text: "the array is inactive, and its level cannot be told, as its members cannot be read: run this as root"
            .to_owned(),
    }
}

type Say<'a> = &'a mut dyn FnMut(Severity, String);

fn paths(array: &Array, say: Say<'_>) {
    use Severity::{Advice, Critical, Warning};
    match array.state.as_deref() {
        Some("clean" | "active" | "active-idle" | "write-pending" | "readonly" | "read-auto") => {}
        Some("inactive") => say(
            Critical,
            format!(
                "the array is inactive: mdadm --run /dev/{} starts it with the paths that it has",
                array.name
            ),
        ),
        Some(state) => say(Critical, format!("the array is {state}")),
        None => say(Critical, "md does not say how the array is".to_owned()),
    }
    if array.parked.is_some_and(|parked| parked > 0) {
        say(
            Critical,
            format!(
                "no path works: {} I/Os wait for one",
                array.parked.unwrap_or(0)
            ),
        );
    }
    let works = |path: &&Path| path.state == State::Up;
    for path in array.paths.iter().filter(works) {
        match path.device_state.as_deref() {
            None | Some("running" | "live" | "created" | "quiesce") => {}
            Some(state) => say(
                if array.working > 1 { Warning } else { Critical },
                format!("path {} is in use, but its device is {state}", path.device),
            ),
        }
        if path.read_only == Some(true) && array.state.as_deref() != Some("readonly") {
            say(Warning, format!("path {} is read-only", path.device));
        }
        if let Some(holder) = path.other_holders.first() {
            say(
                Critical,
                format!(
                    "path {} is also held by {holder}: take it away from there, both would write",
                    path.device
                ),
            );
        }
    }
    for path in array
        .paths
        .iter()
        .filter(|path| path.state == State::Failed)
    {
        say(
            Warning,
            format!(
                "path {} failed: when it works again, mdadm /dev/{} --remove failed, then --add",
                path.device, array.name
            ),
        );
    }
    match (array.working, array.slots) {
        (0, _) => say(Critical, "no path works".to_owned()),
        (1, slots) if slots > 1 => say(
            Critical,
            format!("only 1 of {slots} paths works: the next failure is an outage"),
        ),
        (1, _) => say(
            Advice,
            "the array has a single slot: give it a second one, and a path for that".to_owned(),
        ),
        (working, slots) if working < slots => {
            say(Warning, format!("only {working} of {slots} paths work"));
        }
        _ => {}
    }
}

fn same_disk(array: &Array, say: Say<'_>) {
    let names: BTreeSet<&str> = array.paths.iter().filter_map(Path::disk_name).collect();
    let unnamed = array.paths.iter().any(|path| path.disk_name().is_none());
    if names.len() > 1 {
        let names: Vec<&str> = names.into_iter().collect();
        say(
            Severity::Critical,
            format!("the paths lead to different disks: {}", names.join(", ")),
        );
    } else if unnamed {
        say(
            Severity::Advice,
            "not all paths say which disk they lead to: nobody can see whether it is one"
                .to_owned(),
        );
    }
    differs(array, say, Severity::Warning, "size in bytes", |path| {
        path.size_bytes.map(|size| size.to_string())
    });
}

/// Says so if paths that work have different values of something.
fn differs(
    array: &Array,
    say: Say<'_>,
    severity: Severity,
    what: &str,
    value: impl Fn(&Path) -> Option<String>,
) {
    let mut seen: Vec<(String, &str)> = Vec::new();
    for path in array.paths.iter().filter(|path| path.state == State::Up) {
        if let Some(value) = value(path) {
            if seen.iter().all(|(other, _)| *other != value) {
                seen.push((value, &path.device));
            }
        }
    }
    if seen.len() > 1 {
        let list: Vec<String> = seen
            .iter()
            .map(|(value, device)| format!("{device} {value}"))
            .collect();
        say(severity, format!("{what} differs: {}", list.join(", ")));
    }
}

/// Paths that share an adapter or a port fail together.
fn independence(array: &Array, say: Say<'_>) {
    let working: Vec<&Path> = array
        .paths
        .iter()
        .filter(|path| path.state == State::Up)
        .collect();
    if working.len() < 2 {
        return;
    }
    let shared = |value: fn(&Path) -> Option<&str>| -> Option<String> {
        let first = value(working.first()?)?;
        working
            .iter()
            .all(|path| value(path) == Some(first))
            .then(|| first.to_owned())
    };
    // One adapter of a network transport carries sessions to many ports.
    if let Some(port) = shared(|path| path.port.as_deref()) {
        say(
            Severity::Warning,
            format!("all paths go through {port}: they fail together"),
        );
    } else if let Some(adapter) = shared(|path| path.adapter.as_deref()) {
        say(
            Severity::Warning,
            format!("all paths go through the adapter {adapter}: they fail together"),
        );
    }
}

fn queues(array: &Array, say: Say<'_>) {
    differs(array, say, Severity::Advice, "queue/scheduler", |path| {
        path.queue.scheduler.clone()
    });
    differs(
        array,
        say,
        Severity::Advice,
        "queue/max_sectors_kb",
        |path| path.queue.max_sectors_kb.map(|size| size.to_string()),
    );
    differs(array, say, Severity::Warning, "queue/write_cache", |path| {
        path.queue.write_cache.clone()
    });
    differs(
        array,
        say,
        Severity::Warning,
        "queue/logical_block_size",
        |path| path.logical_block_bytes.map(|size| size.to_string()),
    );
    if array.settings.no_path_timeout_ms == Some(0) {
        say(
            Severity::Advice,
            "no_path_timeout_ms is 0: I/O fails at once when no path works".to_owned(),
        );
    }
}

/// Beyond this a path that hangs is a long outage, in seconds.
const LONG_S: u64 = 60;

fn timeouts(array: &Array, path: &Path, say: Say<'_>) {
    let device = &path.device;
    let timeouts = &path.timeouts;
    match path.transport.as_deref() {
        Some("fc") if timeouts.fast_io_fail.as_deref() == Some("off") => say(
            Severity::Warning,
            format!(
                "{device}: fast_io_fail_tmo of its remote port is off: I/O hangs for dev_loss_tmo, {} s",
                timeouts.dev_loss.as_deref().unwrap_or("?")
            ),
        ),
        Some("iscsi") => match timeouts.recovery_s {
            Some(time) if time <= 0 => say(
                Severity::Warning,
                format!("{device}: recovery_tmo of its session is {time}: I/O hangs until the session is back"),
            ),
            Some(time) if time.unsigned_abs() > LONG_S => say(
                Severity::Advice,
                format!("{device}: a lost session holds I/O for {time} s (recovery_tmo): 5 to 20 fail over sooner"),
            ),
            _ => {}
        },
        Some(transport) if transport.starts_with("nvme-") && transport != "nvme-pcie" => {
            if timeouts.fast_io_fail.as_deref() == Some("off") {
                say(
                    Severity::Warning,
                    format!(
                        "{device}: fast_io_fail_tmo of its controller is off: I/O hangs for ctrl_loss_tmo, {} s",
                        timeouts.ctrl_loss.as_deref().unwrap_or("?")
                    ),
                );
            }
        }
        _ => {}
    }
    if timeouts.scsi_s.is_some_and(|time| time > LONG_S) {
        say(
            Severity::Advice,
            format!(
                "{device}: a SCSI command may take {} s before it counts as lost (device/timeout)",
                timeouts.scsi_s.unwrap_or(0)
            ),
        );
    }
    if let (Some(hold), Some(scsi)) = (array.settings.write_retry_hold_ms, timeouts.scsi_s) {
        if hold > scsi.saturating_mul(1000).saturating_mul(10) {
            say(
                Severity::Advice,
                format!("write_retry_hold_ms ({hold}) is much longer than {device} takes to give up a command"),
            );
        }
    }
}
