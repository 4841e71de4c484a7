// SPDX-License-Identifier: GPL-2.0-or-later

//! What there is: the arrays, their paths, and what the layers below say of each path. Everything that
//! may be missing is optional.

use crate::superblock;
use crate::sysfs::{self, chosen, names, number, numbers, parts, target, text, Root};
use serde::Serialize;
use std::{
    collections::BTreeMap,
    io,
    path::{Path as FilePath, PathBuf},
};

/// The version of the JSON output. It grows when a field changes its meaning or goes.
pub const FORMAT: u32 = 1;

#[derive(Debug, Serialize)]
pub struct Report {
    pub format: u32,
    pub arrays: Vec<Array>,
    /// Inactive arrays whose level only their members know, which cannot be read, as by an ordinary user.
    pub undetermined: Vec<String>,
}

#[derive(Debug, Serialize)]
pub struct Array {
    pub name: String,
    pub uuid: Option<String>,
    /// As md has it: `none`, `1.2`, …
    pub metadata: Option<String>,
    /// As md has it: `clean`, `active`, `readonly`, …
    pub state: Option<String>,
    pub size_bytes: Option<u64>,
    /// How many slots it has.
    pub slots: u64,
    /// How many paths work, as md has it.
    pub working: u64,
    pub settings: Settings,
    /// What the module calls the disk; for root only.
    pub disk: Option<String>,
    /// How many I/Os wait for a path; for root only.
    pub parked: Option<u64>,
    pub io: Option<Io>,
    pub paths: Vec<Path>,
}

#[derive(Debug, Serialize)]
pub struct Settings {
    pub path_policy: Option<String>,
    pub no_path_timeout_ms: Option<u64>,
    pub no_path_max_parked: Option<u64>,
    pub write_retry_hold_ms: Option<u64>,
}

/// What a block device has done since it appeared.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Io {
    pub in_flight: u64,
    pub reads: u64,
    pub read_bytes: u64,
    /// The mean, in microseconds.
    pub read_latency_us: Option<u64>,
    pub writes: u64,
    pub written_bytes: u64,
    pub write_latency_us: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    Up,
    Failed,
    Spare,
    Unknown,
}

impl State {
    pub fn name(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Failed => "failed",
            Self::Spare => "spare",
            Self::Unknown => "unknown",
        }
    }
}

#[derive(Debug, Serialize)]
pub struct Path {
    pub device: String,
    pub slot: Option<u64>,
    pub state: State,
    pub priority: Option<i64>,
    pub transport: Option<String>,
    /// The PCI device of the host adapter.
    pub adapter: Option<String>,
    /// The host, session, remote port or controller that the path goes through.
    pub port: Option<String>,
    /// The disk's name, as the layer below has it. Of device mapper it is the device's own name.
    pub identity: Option<String>,
    pub size_bytes: Option<u64>,
    pub logical_block_bytes: Option<u64>,
    pub read_only: Option<bool>,
    /// What the layer below says: `running`, `offline`, `live`, …; `gone` if there is no device.
    pub device_state: Option<String>,
    pub io: Option<Io>,
    /// What the module has counted; for root only.
    pub counters: Option<Counters>,
    /// Who else holds the device.
    pub other_holders: Vec<String>,
    pub queue: Queue,
    pub timeouts: Timeouts,
}

impl Path {
    /// The name by which two paths are known to lead to one disk. A device of device mapper has none: its own name
    /// says nothing of the disk below.
    pub fn disk_name(&self) -> Option<&str> {
        self.identity
            .as_deref()
            .filter(|_| !self.device.starts_with("dm-"))
    }
}

/// What the module counts of a path since it entered.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Counters {
    pub ios: u64,
    pub errors_disk: u64,
    pub errors_path: u64,
    pub errors_either: u64,
    pub failovers: u64,
    pub retries: u64,
    pub parked: u64,
    pub last_error: Option<LastError>,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct LastError {
    pub status: String,
    pub age_ms: u64,
}

#[derive(Debug, Serialize)]
pub struct Queue {
    pub scheduler: Option<String>,
    pub max_sectors_kb: Option<u64>,
    pub write_cache: Option<String>,
}

/// How long the layers below wait before they say that an I/O failed. `off` is `None` in the text.
#[derive(Debug, Default, Serialize)]
pub struct Timeouts {
    /// A SCSI command.
    pub scsi_s: Option<u64>,
    /// SCSI error handling, the whole; `off` where there is no bound.
    pub scsi_eh_deadline: Option<String>,
    /// A request of any other device.
    pub io_ms: Option<u64>,
    /// Fibre Channel and NVMe over fabrics: until I/O to a port that is gone fails.
    pub fast_io_fail: Option<String>,
    /// Fibre Channel: until the port is forgotten.
    pub dev_loss: Option<String>,
    /// NVMe over fabrics: until the controller is given up.
    pub ctrl_loss: Option<String>,
    /// iSCSI: until I/O of a session that is lost fails.
    pub recovery_s: Option<i64>,
}

/// Reads what there is.
///
/// # Errors
///
/// `/sys/block` cannot be read.
pub fn read(root: &Root) -> io::Result<Report> {
    std::fs::read_dir(root.join("/sys/block"))?;
    let mut report = Report {
        format: FORMAT,
        arrays: Vec::new(),
        undetermined: Vec::new(),
    };
    for name in names(root.join("/sys/block")) {
        match level(root, &root.join("/sys/block").join(&name).join("md")) {
            Level::Multipath => report.arrays.push(array(root, name)),
            Level::Undetermined => report.undetermined.push(name),
            Level::Other => {}
        }
    }
    Ok(report)
}

enum Level {
    Multipath,
    /// Another one, or what is asked about is no array.
    Other,
    Undetermined,
}

/// The level of an array, `md` being its directory.
fn level(root: &Root, md: &FilePath) -> Level {
    let of = |multipath| match multipath {
        true => Level::Multipath,
        false => Level::Other,
    };
    if let Some(level) = text(md.join("level")) {
        // md has the number as long as it has not found the level's module.
        return of(level == "multipath" || level.parse() == Ok(superblock::MULTIPATH));
    }
    if text(md.join("array_state")).as_deref() != Some("inactive") {
        return Level::Other;
    }
    // An array that waits for more members has not been told its level yet: they know it. Such an array
    // has no I/O that could make a member hang.
    let mut answer = Level::Other;
    for entry in names(md).iter().filter(|name| name.starts_with("dev-")) {
        match member_level(root, md, entry) {
            Ok(Some(level)) => return of(level == superblock::MULTIPATH),
            Ok(None) => {}
            Err(_) => answer = Level::Undetermined,
        }
    }
    answer
}

/// The level in the superblock of a member, `entry` being its directory in `md`. `None` if it has none.
///
/// # Errors
///
/// The member cannot be read, or is gone.
fn member_level(root: &Root, md: &FilePath, entry: &str) -> io::Result<Option<i32>> {
    let gone = || io::Error::from(io::ErrorKind::NotFound);
    let device = target(md.join(entry).join("block")).ok_or_else(gone)?;
    let name = device.file_name().and_then(|name| name.to_str());
    superblock::level(
        &root
            .join("/dev")
            .join(name.ok_or_else(gone)?.replace('!', "/")),
        &text(md.join("metadata_version")).unwrap_or_default(),
        number(device.join("size")).ok_or_else(gone)?,
    )
}

fn array(root: &Root, name: String) -> Array {
    let disk = root.join("/sys/block").join(&name);
    let md = disk.join("md");
    let debug = root.join("/sys/kernel/debug/md_multipath").join(&name);
    let mut counted = text(debug.join("paths"))
        .map(|table| counters(&table))
        .unwrap_or_default();
    let known = text(debug.join("settings")).unwrap_or_default();
    let mut paths: Vec<Path> = names(&md)
        .iter()
        .filter_map(|entry| path(&md.join(entry), entry.strip_prefix("dev-")?, &name))
        .collect();
    for path in &mut paths {
        path.counters = counted.remove(&path.device);
    }
    paths.sort_by_key(|path| (path.slot.is_none(), path.slot));
    Array {
        uuid: text(md.join("uuid")),
        metadata: text(md.join("metadata_version")),
        state: text(md.join("array_state")),
        size_bytes: number::<u64>(disk.join("size")).map(|sectors| sectors.saturating_mul(512)),
        slots: number(md.join("raid_disks")).unwrap_or(0),
        working: paths.iter().filter(|path| path.state == State::Up).count() as u64,
        settings: Settings {
            path_policy: text(md.join("path_policy")),
            no_path_timeout_ms: number(md.join("no_path_timeout_ms")),
            no_path_max_parked: number(md.join("no_path_max_parked")),
            write_retry_hold_ms: number(md.join("write_retry_hold_ms")),
        },
        disk: line(&known, "disk").filter(|disk| disk != "unknown"),
        parked: line(&known, "parked").and_then(|count| count.parse().ok()),
        io: io_of(&disk),
        paths,
        name,
    }
}

/// The rest of the line of `text` that begins with a word.
fn line(text: &str, word: &str) -> Option<String> {
    text.lines()
        .find_map(|line| Some(line.strip_prefix(word)?.strip_prefix(' ')?.to_owned()))
}

/// The module's table of paths, by device. The columns are found by the names in its first line.
pub fn counters(table: &str) -> BTreeMap<String, Counters> {
    let mut lines = table.lines();
    let columns: Vec<&str> = lines
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .collect();
    let at = |name| columns.iter().position(|column| *column == name);
    lines
        .filter_map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            let word = |name| words.get(at(name)?).copied();
            let count = |name| word(name)?.parse().ok();
            let last_error = at("last-error").and_then(|at| {
                Some(LastError {
                    status: words.get(at).filter(|word| **word != "-")?.to_string(),
                    age_ms: words.get(at.checked_add(1)?)?.parse().ok()?,
                })
            });
            let counters = Counters {
                ios: count("ios")?,
                errors_disk: count("err-disk")?,
                errors_path: count("err-path")?,
                errors_either: count("err-either")?,
                failovers: count("failovers")?,
                retries: count("retries")?,
                parked: count("parked")?,
                last_error,
            };
            Some((word("device")?.to_owned(), counters))
        })
        .collect()
}

fn io_of(device: &FilePath) -> Option<Io> {
    io(
        &numbers(device.join("stat")),
        &numbers(device.join("inflight")),
    )
}

/// What `stat` and `inflight` of a block device say.
pub fn io(stat: &[u64], inflight: &[u64]) -> Option<Io> {
    let field = |at| stat.get(at).copied();
    let mean = |ticks: u64, count: u64| ticks.saturating_mul(1000).checked_div(count);
    let (reads, writes) = (field(0)?, field(4)?);
    Some(Io {
        in_flight: match inflight {
            [reads, writes, ..] => reads.saturating_add(*writes),
            _ => field(8)?,
        },
        reads,
        read_bytes: field(2)?.saturating_mul(512),
        read_latency_us: mean(field(3)?, reads),
        writes,
        written_bytes: field(6)?.saturating_mul(512),
        write_latency_us: mean(field(7)?, writes),
    })
}

/// What md's word for a member means.
pub fn member_state(words: &str, slot: Option<u64>) -> State {
    let has = |word| words.split([',', ' ']).any(|state| state == word);
    if has("faulty") {
        State::Failed
    } else if has("in_sync") && slot.is_some() {
        State::Up
    } else if has("spare") || (has("in_sync") && slot.is_none()) {
        State::Spare
    } else {
        State::Unknown
    }
}

/// A member, `member` being its directory and `name` its name as md has it: `/` stands there as `!`.
fn path(member: &FilePath, name: &str, array: &str) -> Option<Path> {
    let slot = number(member.join("slot"));
    let state = member_state(&text(member.join("state"))?, slot);
    let block = target(member.join("block"));
    let device = block.as_deref().unwrap_or(FilePath::new("/nonexistent"));
    // A partition's disk is the directory above it.
    let disk = match device.join("partition").exists() {
        true => device.parent().unwrap_or(device).to_path_buf(),
        false => device.to_path_buf(),
    };
    let lower = target(disk.join("device"));
    let place = Place::of(&disk, lower.as_deref());
    let other_holders = names(device.join("holders"))
        .into_iter()
        .filter(|holder| holder != array)
        .collect();
    Some(Path {
        device: name.to_owned(),
        slot,
        state,
        priority: number(member.join("multipath/priority")),
        identity: place.identity(),
        size_bytes: number::<u64>(device.join("size")).map(|sectors| sectors.saturating_mul(512)),
        logical_block_bytes: number(disk.join("queue/logical_block_size")),
        read_only: number::<u8>(device.join("ro")).map(|ro| ro != 0),
        device_state: match block {
            None => Some("gone".to_owned()),
            Some(_) => place.state(),
        },
        io: io_of(device),
        counters: None,
        other_holders,
        queue: Queue {
            scheduler: text(disk.join("queue/scheduler"))
                .and_then(|text| chosen(&text).map(str::to_owned)),
            max_sectors_kb: number(disk.join("queue/max_sectors_kb")),
            write_cache: text(disk.join("queue/write_cache")),
        },
        timeouts: place.timeouts(),
        transport: place.transport,
        adapter: place.adapter,
        port: place.port,
    })
}

/// Where a disk hangs.
struct Place {
    disk: PathBuf,
    lower: PathBuf,
    transport: Option<String>,
    adapter: Option<String>,
    port: Option<String>,
    /// The directory below which classes such as `iscsi_session` lie.
    port_directory: Option<PathBuf>,
}

impl Place {
    fn of(disk: &FilePath, lower: Option<&FilePath>) -> Self {
        let mut place = Self {
            disk: disk.to_path_buf(),
            lower: lower.unwrap_or(FilePath::new("/nonexistent")).to_path_buf(),
            transport: None,
            adapter: None,
            port: None,
            port_directory: None,
        };
        let steps: Vec<&str> = parts(disk).collect();
        place.adapter = steps
            .iter()
            .rev()
            .find(|step| is_pci(step))
            .map(|step| step.to_string());
        let controller = place
            .lower
            .file_name()
            .and_then(|name| name.to_str())
            .filter(|name| name.starts_with("nvme"))
            .map(str::to_owned);
        if let Some(controller) = controller {
            place.transport = Some(match text(place.lower.join("transport")) {
                Some(transport) => format!("nvme-{transport}"),
                None => "nvme".to_owned(),
            });
            place.port = Some(controller);
            return place;
        }
        const KINDS: [(&str, &str); 6] = [
            ("rport-", "fc"),
            ("session", "iscsi"),
            ("end_device-", "sas"),
            ("ata", "ata"),
            ("usb", "usb"),
            ("virtio", "virtio"),
        ];
        for (start, transport) in KINDS {
            let Some(at) = steps.iter().position(|step| {
                step.strip_prefix(start)
                    .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
            }) else {
                continue;
            };
            place.transport = Some(transport.to_owned());
            place.port = steps.get(at).map(|step| step.to_string());
            place.port_directory = steps
                .get(..=at)
                .map(|steps| FilePath::new("/").join(steps.iter().collect::<PathBuf>()));
            break;
        }
        if place.transport.is_none() && steps.contains(&"virtual") {
            place.transport = Some("virtual".to_owned());
        }
        if matches!(place.transport.as_deref(), None | Some("virtio")) {
            let host = steps.iter().find(|step| {
                step.strip_prefix("host")
                    .is_some_and(|number| number.parse::<u32>().is_ok())
            });
            place.port = host.map(|host| host.to_string()).or(place.port);
            if host.is_some() && place.transport.is_none() {
                place.transport = Some("scsi".to_owned());
            }
        }
        place
    }

    fn identity(&self) -> Option<String> {
        text(self.lower.join("wwid"))
            .or_else(|| text(self.disk.join("wwid")))
            .or_else(|| text(self.disk.join("dm/uuid")))
            // A T10 name is padded with blanks.
            .map(|name| name.split_whitespace().collect::<Vec<_>>().join(" "))
    }

    fn state(&self) -> Option<String> {
        text(self.lower.join("state"))
    }

    fn timeouts(&self) -> Timeouts {
        let mut timeouts = Timeouts {
            scsi_s: number(self.lower.join("timeout")),
            ..Timeouts::default()
        };
        if timeouts.scsi_s.is_none() {
            timeouts.io_ms = number(self.disk.join("queue/io_timeout"));
        }
        // …/hostN/… holds scsi_host/hostN.
        timeouts.scsi_eh_deadline = self.lower.ancestors().find_map(|above| {
            let name = above.file_name()?;
            text(above.join("scsi_host").join(name).join("eh_deadline"))
        });
        match (self.transport.as_deref(), &self.port_directory) {
            (Some("fc"), Some(directory)) => {
                let class = directory.join("fc_remote_ports");
                if let Some(port) = self.port.as_ref().map(|port| class.join(port)) {
                    timeouts.fast_io_fail = text(port.join("fast_io_fail_tmo"));
                    timeouts.dev_loss = text(port.join("dev_loss_tmo"));
                }
            }
            (Some("iscsi"), Some(directory)) => {
                let class = directory.join("iscsi_session");
                if let Some(session) = self.port.as_ref().map(|port| class.join(port)) {
                    timeouts.recovery_s = number(session.join("recovery_tmo"));
                }
            }
            (Some(transport), _) if transport.starts_with("nvme-") => {
                timeouts.fast_io_fail = text(self.lower.join("fast_io_fail_tmo"));
                timeouts.ctrl_loss = text(self.lower.join("ctrl_loss_tmo"));
            }
            _ => {}
        }
        timeouts
    }
}

/// `0000:00:08.0`
fn is_pci(step: &str) -> bool {
    let pieces: Vec<&str> = step.split([':', '.']).collect();
    matches!(pieces.as_slice(), [domain, bus, device, function]
        if domain.len() >= 4 && bus.len() == 2 && device.len() == 2 && function.len() == 1)
        && pieces
            .iter()
            .all(|piece| piece.chars().all(|c| c.is_ascii_hexdigit()))
}

/// The kernel's name of the device with these numbers, `8:16`.
pub fn device_of(root: &Root, numbers: &str) -> Option<String> {
    let place = sysfs::target(root.join("/sys/dev/block").join(numbers))?;
    Some(place.file_name()?.to_str()?.to_owned())
}
