// SPDX-License-Identifier: GPL-2.0-or-later

//! What was read, as text for people and for Prometheus.

use crate::model::{Array, Io, Path, Report, State};
use std::fmt::Write;

/// Bytes as people say them.
fn size(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
    let mut value = bytes as f64;
    let mut units = UNITS.into_iter();
    let mut unit = units.next().unwrap_or("B");
    for larger in units {
        if value < 1024.0 {
            break;
        }
        value /= 1024.0;
        unit = larger;
    }
    if value.fract() == 0.0 {
        format!("{value:.0} {unit}")
    } else {
        format!("{value:.1} {unit}")
    }
}

fn or_dash<T: ToString>(value: Option<T>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}

fn latency(us: Option<u64>) -> String {
    us.map_or_else(
        || "-".to_owned(),
        |us| format!("{}.{:02}", us / 1000, us % 1000 / 10),
    )
}

/// The arrays for people.
pub fn text(report: &Report) -> String {
    let mut out = String::new();
    if report.arrays.is_empty() && report.undetermined.is_empty() {
        out.push_str("no multipath arrays\n");
    }
    for (number, array) in report.arrays.iter().enumerate() {
        if number > 0 {
            out.push('\n');
        }
        header(&mut out, array);
        table(&mut out, array);
    }
    for name in &report.undetermined {
        // Writing to a string does not fail.
        let _ = writeln!(
            out,
            "{name}: inactive, of a level that cannot be told: its members cannot be read"
        );
    }
    out
}

fn header(out: &mut String, array: &Array) {
    let mut line = format!(
        "{}: {}, {} of {} paths work, {}, metadata {}",
        array.name,
        or_dash(array.state.as_deref()),
        array.working,
        array.slots,
        array.size_bytes.map_or_else(|| "-".to_owned(), size),
        or_dash(array.metadata.as_deref()),
    );
    if let Some(parked) = array.parked.filter(|parked| *parked > 0) {
        // Writing to a string does not fail.
        let _ = write!(line, ", {parked} I/Os wait for a path");
    }
    let settings = &array.settings;
    let _ = writeln!(out, "{line}");
    let _ = writeln!(
        out,
        "  disk {}, policy {}, no_path_timeout_ms {}, no_path_max_parked {}, write_retry_hold_ms {}",
        or_dash(array.disk.as_deref().or_else(|| identity(array))),
        or_dash(settings.path_policy.as_deref()),
        or_dash(settings.no_path_timeout_ms),
        or_dash(settings.no_path_max_parked),
        or_dash(settings.write_retry_hold_ms),
    );
}

fn identity(array: &Array) -> Option<&str> {
    array.paths.iter().find_map(Path::disk_name)
}

fn table(out: &mut String, array: &Array) {
    let mut rows: Vec<Vec<String>> = vec![[
        "slot",
        "device",
        "state",
        "prio",
        "transport",
        "port",
        "device is",
        "in flight",
        "reads",
        "ms",
        "writes",
        "ms",
        "errors",
        "last error",
    ]
    .map(str::to_owned)
    .to_vec()];
    for path in &array.paths {
        let io = |value: fn(&Io) -> String| path.io.as_ref().map_or_else(|| "-".to_owned(), value);
        let counters = path.counters.as_ref();
        rows.push(vec![
            or_dash(path.slot),
            path.device.clone(),
            path.state.name().to_owned(),
            or_dash(path.priority),
            or_dash(path.transport.as_deref()),
            or_dash(path.port.as_deref()),
            or_dash(path.device_state.as_deref()),
            io(|io| io.in_flight.to_string()),
            io(|io| io.reads.to_string()),
            io(|io| latency(io.read_latency_us)),
            io(|io| io.writes.to_string()),
            io(|io| latency(io.write_latency_us)),
            or_dash(counters.map(|counters| {
                counters
                    .errors_disk
                    .saturating_add(counters.errors_path)
                    .saturating_add(counters.errors_either)
            })),
            counters
                .and_then(|counters| counters.last_error.as_ref())
                .map_or_else(
                    || "-".to_owned(),
                    |last| format!("{} {} s ago", last.status, last.age_ms / 1000),
                ),
        ]);
    }
    let columns = rows.first().map_or(0, Vec::len);
    let widths: Vec<usize> = (0..columns)
        .map(|at| {
            rows.iter()
                .filter_map(|row| row.get(at).map(|cell| cell.chars().count()))
                .max()
                .unwrap_or(0)
        })
        .collect();
    for row in rows {
        let mut line = String::from(" ");
        for (cell, width) in row.iter().zip(&widths) {
            let _ = write!(line, " {cell:<width$} ");
        }
        let _ = writeln!(out, "{}", line.trim_end());
    }
}

/// A label's value: what would end it is escaped.
pub fn escape(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    for c in value.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '"' => out.push_str("\\\""),
            '\n' => out.push_str("\\n"),
            c => out.push(c),
        }
    }
    out
}

/// A number about an array.
type OfArray = (
    &'static str,
    &'static str,
    &'static str,
    fn(&Array) -> Option<f64>,
);
/// A number about a path.
type OfPath = (
    &'static str,
    &'static str,
    &'static str,
    fn(&Path) -> Option<f64>,
);

const OF_ARRAY: &[OfArray] = &[
    ("slots", "gauge", "Slots for paths.", |a| {
        Some(a.slots as f64)
    }),
    ("paths_working", "gauge", "Paths that work.", |a| {
        Some(a.working as f64)
    }),
    ("parked", "gauge", "I/Os that wait for a path.", |a| {
        a.parked.map(|n| n as f64)
    }),
    ("size_bytes", "gauge", "Size of the array.", |a| {
        a.size_bytes.map(|n| n as f64)
    }),
    ("in_flight", "gauge", "I/Os in flight on the array.", |a| {
        a.io.as_ref().map(|io| io.in_flight as f64)
    }),
];

const OF_PATH: &[OfPath] = &[
    ("path_up", "gauge", "1 if the path works, else 0.", |p| {
        Some(f64::from(u8::from(p.state == State::Up)))
    }),
    ("path_priority", "gauge", "Priority of the path.", |p| {
        p.priority.map(|n| n as f64)
    }),
    (
        "path_in_flight",
        "gauge",
        "I/Os in flight on the path's device.",
        |p| p.io.as_ref().map(|io| io.in_flight as f64),
    ),
    (
        "path_reads_total",
        "counter",
        "Reads that the path's device has done.",
        |p| p.io.as_ref().map(|io| io.reads as f64),
    ),
    (
        "path_writes_total",
        "counter",
        "Writes that the path's device has done.",
        |p| p.io.as_ref().map(|io| io.writes as f64),
    ),
    (
        "path_read_bytes_total",
        "counter",
        "Bytes read by the path's device.",
        |p| p.io.as_ref().map(|io| io.read_bytes as f64),
    ),
    (
        "path_written_bytes_total",
        "counter",
        "Bytes written by the path's device.",
        |p| p.io.as_ref().map(|io| io.written_bytes as f64),
    ),
    (
        "path_ios_total",
        "counter",
        "I/Os sent down the path since it entered.",
        |p| p.counters.as_ref().map(|c| c.ios as f64),
    ),
    (
        "path_errors_disk_total",
        "counter",
        "Errors that are the disk's answer.",
        |p| p.counters.as_ref().map(|c| c.errors_disk as f64),
    ),
    (
        "path_errors_path_total",
        "counter",
        "Errors that mean that the path is down.",
        |p| p.counters.as_ref().map(|c| c.errors_path as f64),
    ),
    (
        "path_errors_either_total",
        "counter",
        "Errors of the path or the disk.",
        |p| p.counters.as_ref().map(|c| c.errors_either as f64),
    ),
    (
        "path_failovers_total",
        "counter",
        "I/Os that left the path for another.",
        |p| p.counters.as_ref().map(|c| c.failovers as f64),
    ),
];

/// The arrays in the text format of Prometheus.
pub fn prometheus(report: &Report) -> String {
    let mut out = String::new();
    let head = |out: &mut String, name: &str, kind: &str, help: &str| {
        let _ = writeln!(out, "# HELP md_multipath_{name} {help}");
        let _ = writeln!(out, "# TYPE md_multipath_{name} {kind}");
    };
    for (name, kind, help, value) in OF_ARRAY {
        head(&mut out, name, kind, help);
        for array in &report.arrays {
            if let Some(value) = value(array) {
                let _ = writeln!(
                    out,
                    "md_multipath_{name}{{array=\"{}\"}} {value}",
                    escape(&array.name)
                );
            }
        }
    }
    for (name, kind, help, value) in OF_PATH {
        head(&mut out, name, kind, help);
        for array in &report.arrays {
            for path in &array.paths {
                if let Some(value) = value(path) {
                    let _ = writeln!(
                        out,
                        "md_multipath_{name}{{array=\"{}\",path=\"{}\",slot=\"{}\"}} {value}",
                        escape(&array.name),
                        escape(&path.device),
                        or_dash(path.slot)
                    );
                }
            }
        }
    }
    out
}
