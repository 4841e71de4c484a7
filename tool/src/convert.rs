// SPDX-License-Identifier: GPL-2.0-or-later

//! From a multipath map of device mapper to an array, and back: the commands, for people to read and to
//! run. Nothing is run here.

use crate::model::{self, Array, State};
use crate::sysfs::{self, Root};
use std::fmt::Write;

/// The longest time that I/O may wait for a path, in ms.
const LONGEST_WAIT_MS: u32 = 86_400_000;

/// The longest name that mdadm takes, its `MD_NAME_MAX`.
const LONGEST_NAME: usize = 32;

/// The most slots that an array has.
const MOST_PATHS: usize = 64;

/// A multipath map, as `dmsetup table` shows it.
#[derive(Debug, PartialEq, Eq)]
pub struct Map {
    pub name: String,
    /// All that comes after the name.
    pub table: String,
    pub sectors: u64,
    /// I/O waits while no path works.
    pub queues: bool,
    /// What the kernel has to do before a target's other controller takes I/O: `alua`, `rdac`, …
    pub handler: Option<String>,
    /// In the order in which they are used.
    pub groups: Vec<Group>,
}

#[derive(Debug, PartialEq, Eq)]
pub struct Group {
    pub selector: String,
    /// As the table has them: `8:16`, or a name.
    pub devices: Vec<String>,
}

/// Reads a line `NAME: START LENGTH multipath …`.
///
/// # Errors
///
/// A text that says what is wrong with it.
pub fn parse(line: &str) -> Result<Map, String> {
    let (name, table) = line
        .split_once(": ")
        .ok_or("no name: give the lines that 'dmsetup table --target multipath' shows")?;
    // What dmsetup prints; all else it writes as `\xNN`.
    if name.is_empty()
        || !name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "_-.+:#=@\\".contains(c))
    {
        return Err(format!("'{name}' cannot be a map's name"));
    }
    if name.starts_with('-') {
        return Err(format!("'{name}' would be an option in a command"));
    }
    let mut words = table.split_whitespace();
    let mut next = |what: &str| words.next().ok_or_else(|| format!("{name}: no {what}"));
    let count = |word: &str, what: &str| {
        word.parse::<usize>()
            .map_err(|_| format!("{name}: the {what} is '{word}', not a number"))
    };
    let start = next("start")?;
    let sectors = next("length")?;
    let sectors = sectors
        .parse()
        .map_err(|_| format!("{name}: the length is '{sectors}', not a number"))?;
    let kind = next("target")?;
    if kind != "multipath" {
        return Err(format!("{name}: the target is '{kind}', not 'multipath'"));
    }
    if start != "0" {
        return Err(format!(
            "{name}: a part of a larger map cannot become an array"
        ));
    }
    let mut features = Vec::new();
    for _ in 0..count(next("number of features")?, "number of features")? {
        features.push(next("feature")?.to_owned());
    }
    let mut handler = Vec::new();
    for _ in 0..count(
        next("number of handler arguments")?,
        "number of handler arguments",
    )? {
        handler.push(next("handler argument")?.to_owned());
    }
    let groups_count = count(next("number of groups")?, "number of groups")?;
    next("first group")?;
    let mut groups = Vec::new();
    for _ in 0..groups_count {
        let selector = next("selector")?.to_owned();
        for _ in 0..count(
            next("number of selector arguments")?,
            "number of selector arguments",
        )? {
            next("selector argument")?;
        }
        let paths = count(next("number of paths")?, "number of paths")?;
        let arguments = count(
            next("number of path arguments")?,
            "number of path arguments",
        )?;
        let mut devices = Vec::new();
        for _ in 0..paths {
            devices.push(next("path")?.to_owned());
            for _ in 0..arguments {
                next("path argument")?;
            }
        }
        groups.push(Group { selector, devices });
    }
    if groups.iter().all(|group| group.devices.is_empty()) {
        return Err(format!("{name}: it has no paths"));
    }
    Ok(Map {
        name: name.to_owned(),
        table: table.to_owned(),
        sectors,
        queues: features.iter().any(|feature| feature == "queue_if_no_path"),
        // Its own arguments come after its name.
        handler: handler.into_iter().next(),
        groups,
    })
}

/// The policy that does what a selector does.
fn policy(selector: &str) -> &'static str {
    match selector {
        "round-robin" => "round-robin",
        "queue-length" | "service-time" | "historical-service-time" => "queue-depth",
        _ => "first",
    }
}

/// A word for a shell.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-.:/".contains(c);
    match word.chars().all(plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

/// The array's name for a map's. mdadm takes letters, digits, `_`, `.` and `-`, not the last two at the beginning.
/// Of a name that is too long the end is kept: of a WWID that multipath-tools uses, `3` and the disk's NAA number, that
/// is the number.
fn array_name(map: &str) -> String {
    let start = map.len().saturating_sub(LONGEST_NAME);
    let mut name = String::new();
    for c in map.chars().skip(start) {
        let taken = match name.is_empty() {
            true => c.is_ascii_alphanumeric() || c == '_',
            false => c.is_ascii_alphanumeric() || "_.-".contains(c),
        };
        name.push(if taken { c } else { '_' });
    }
    name
}

/// What is lost with a map's hardware handler, if it has one; for people.
pub fn handler_lost(map: &Map) -> Option<String> {
    let handler = map.handler.as_ref()?;
    let name = &map.name;
    Some(format!(
        "{name}: the map has the hardware handler {handler}, and md has none: nothing asks the target which paths it \
         prefers, and nothing tells a standby controller to take over. Leave out paths that take no I/O now; \
         the priorities of the others are as the map has them now, and stay so. If one controller of two is \
         passive, the array does not survive the loss of the active one: keep the map."
    ))
}

/// A path of the array to be.
struct Member {
    /// The kernel's name, which may be another device's after a boot.
    name: String,
    /// Its name in `/dev/disk/by-path`, which says by which way the disk is reached.
    place: Option<String>,
    /// A file below `/sys/class/block/NAME` that tells its disk from others, and what it says.
    mark: Option<(String, String)>,
    priority: usize,
}

impl Member {
    /// Lines for a shell: the path goes into a variable, if the disk is the one that it is now, and `missing` if it
    /// is not there.
    fn find(&self, variable: &str) -> String {
        let name = &self.name;
        let place = match &self.place {
            Some(place) => format!("{BY_PATH}/{place}"),
            None => format!("/dev/{name}"),
        };
        let mut out = format!("{variable}=$(path {})\n", quoted(&place));
        // Writing to a string does not fail.
        let _ = match (&self.mark, &self.place) {
            (Some((file, text)), _) => writeln!(
                out,
                "is \"${variable}\" {file} {}",
                quoted(text)
            ),
            (None, Some(_)) => writeln!(
                out,
                "# Nothing says which disk this is: if another one has come to its place, nothing here notices."
            ),
            (None, None) => writeln!(
                out,
                "# Nothing says which disk {name} is: run this now, not after a boot, when it may be another one."
            ),
        };
        out
    }
}

const BY_PATH: &str = "/dev/disk/by-path";

/// Which of udev's links in `/dev/disk/by-path` leads to a device.
fn place(root: &Root, name: &str) -> Option<String> {
    let directory = root.join(BY_PATH);
    sysfs::names(&directory).into_iter().find(|link| {
        std::fs::read_link(directory.join(link))
            .is_ok_and(|target| target.file_name().is_some_and(|target| target == name))
    })
}

/// What tells a device's disk from others, as it stands there: a shell compares it.
fn mark(root: &Root, name: &str) -> Option<(String, String)> {
    let device = root.join("/sys/class/block").join(name);
    // A partition's disk is the directory above it.
    let disk = match device.join("partition").exists() {
        true => "../",
        false => "",
    };
    ["device/wwid", "wwid", "serial", "dm/uuid"]
        .into_iter()
        .find_map(|file| {
            let file = format!("{disk}{file}");
            let text = std::fs::read_to_string(device.join(&file)).ok()?;
            let text = text.trim_end_matches('\n');
            let comparable = !text.trim().is_empty() && !text.contains(char::is_control);
            comparable.then(|| (file, text.to_owned()))
        })
}

/// The paths of a map, in the order of its groups.
fn members(root: &Root, map: &Map) -> Result<Vec<Member>, String> {
    let mut members = Vec::new();
    let groups = map.groups.len();
    for (number, group) in map.groups.iter().enumerate() {
        for device in &group.devices {
            let name = match device.contains(':') {
                true => model::device_of(root, device)
                    .ok_or_else(|| format!("{}: there is no device {device}", map.name))?,
                false => device.trim_start_matches("/dev/").to_owned(),
            };
            // What is printed is for a shell.
            if !name
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "_-.".contains(c))
            {
                return Err(format!(
                    "{}: '{name}' cannot be a path of an array",
                    map.name
                ));
            }
            members.push(Member {
                place: place(root, &name),
                mark: mark(root, &name),
                name,
                // The first group gets the highest priority.
                priority: groups.saturating_sub(number).saturating_sub(1),
            });
        }
    }
    Ok(members)
}

/// The command that makes an array without superblocks of these.
fn build(array: &str, devices: &[String]) -> String {
    // mdadm takes a single path only so, and --force only before it.
    let force = match devices.len() {
        1 => "--force ",
        _ => "",
    };
    format!(
        "mdadm --build {array} --level=multipath {force}--raid-devices={} {}",
        devices.len(),
        devices.join(" ")
    )
}

/// The commands that replace a map by an array.
///
/// # Errors
///
/// A text that says which path has no device, or that there are too many.
pub fn to_array(root: &Root, map: &Map) -> Result<String, String> {
    let members: Vec<(String, Member)> = (1..)
        .map(|number: usize| format!("path{number}"))
        .zip(members(root, map)?)
        .collect();
    let name = &map.name;
    if members.len() > MOST_PATHS {
        return Err(format!(
            "{name}: it has {} paths, and an array {MOST_PATHS} at most",
            members.len()
        ));
    }
    let array = array_name(name);
    let mut out = String::new();
    let mut line = |text: String| {
        // Writing to a string does not fail.
        let _ = writeln!(out, "{text}");
    };
    line(format!(
        "# {name}: {} sectors, {} paths. Unmount what is on it first. The data stay where they are.",
        map.sectors,
        members.len()
    ));
    if let Some(lost) = handler_lost(map) {
        line(format!("# {lost}"));
    }
    if array != *name {
        line(format!(
            "# mdadm does not take {name} as a name: the array's is {array}."
        ));
    }
    line("set -e".to_owned());
    line("refuse() { echo \"$*\" >&2; exit 1; }".to_owned());
    line("# The kernel's names change: after a boot sda may be another disk. So a path is taken by udev's link to its".to_owned());
    line("# place, if there is one, and has to lead to the disk that it leads to now. One that is not there, or cannot be".to_owned());
    line(
        "# read, is left out, and its slot stays empty: mdadm --add brings it in later.".to_owned(),
    );
    line("path() {".to_owned());
    line("\tif [ -e \"$1\" ] && dd if=\"$1\" of=/dev/null bs=4096 count=1 iflag=direct 2>/dev/null; then".to_owned());
    line("\t\treadlink -f \"$1\"".to_owned());
    line("\telse".to_owned());
    line("\t\techo \"$1 is not there, or cannot be read: it is left out\" >&2".to_owned());
    line("\t\techo missing".to_owned());
    line("\tfi".to_owned());
    line("}".to_owned());
    line("is() {".to_owned());
    line(
        "\t[ \"$1\" = missing ] || [ \"$(cat \"/sys/class/block/${1##*/}/$2\")\" = \"$3\" ] ||"
            .to_owned(),
    );
    line("\t\trefuse \"$1 is not '$3': another disk\"".to_owned());
    line("}".to_owned());
    for (variable, member) in &members {
        line(member.find(variable).trim_end().to_owned());
    }
    let list: Vec<String> = members
        .iter()
        .map(|(variable, _)| format!("\"${variable}\""))
        .collect();
    line(format!(
        "printf '%s\\n' {} | grep -qvx missing || refuse 'none of the paths is there'",
        list.join(" ")
    ));
    line(
        "# multipathd must not take the paths again: blacklist the disk in /etc/multipath.conf."
            .to_owned(),
    );
    line("# The way back, if mdadm makes no array of it:".to_owned());
    line(format!(
        "#     dmsetup create {} --table {}",
        quoted(name),
        quoted(&map.table)
    ));
    // At a boot there is none.
    line(format!(
        "if dmsetup info {} >/dev/null 2>&1; then",
        quoted(name)
    ));
    line(format!(
        "\t[ ! -e /dev/md/{array} ] || refuse 'there is an array /dev/md/{array}'"
    ));
    line(format!("\tdmsetup remove {}", quoted(name)));
    line("fi".to_owned());
    line(build(&format!("/dev/md/{array}"), &list));
    line(format!(
        "md=/sys/block/$(basename \"$(readlink -f /dev/md/{array})\")/md"
    ));
    let shared = map.groups.iter().find(|group| group.devices.len() > 1);
    match shared.map(|group| policy(&group.selector)) {
        None | Some("first") => {}
        Some(policy) => line(format!("echo {policy} >\"$md/path_policy\"")),
    }
    for (variable, member) in members.iter().filter(|(_, member)| member.priority > 0) {
        line(format!(
            "[ \"${variable}\" = missing ] || echo {} >\"$md/dev-${{{variable}##*/}}/multipath/priority\"",
            member.priority
        ));
    }
    if map.queues {
        line("# queue_if_no_path has no end; here it is a day at most.".to_owned());
        line(format!(
            "echo {LONGEST_WAIT_MS} >\"$md/no_path_timeout_ms\""
        ));
    }
    line("# LVM, LUKS and swap take a bare path at a boot, which shows what is on the disk, before this is run: for LVM let".to_owned());
    line("# global_filter in lvm.conf admit nothing but the array, name it in crypttab, and make the initramfs anew.".to_owned());
    line("# An array without superblocks is not in mdadm.conf, and nothing makes it at boot. A service has to run all".to_owned());
    line("# this once the paths are there, Before=local-fs-pre.target, or remote-fs-pre.target if they need the network.".to_owned());
    line("# It stops at another disk then, too. /etc/fstab has to name".to_owned());
    line(format!(
        "# /dev/md/{array}: by a UUID a bare path may be mounted, since each shows the same one, and mdadm --build"
    ));
    line("# then finds that path busy. Or move the data to an array with superblocks, whose line is what this prints:".to_owned());
    line(format!("#     mdadm --detail --brief /dev/md/{array}"));
    Ok(out)
}

/// The commands that replace an array by a map.
///
/// # Errors
///
/// A text that says why it cannot be one.
pub fn to_map(root: &Root, array: &Array) -> Result<String, String> {
    let name = &array.name;
    // Whatever the metadata: 1.0 has an offset, too, if mdadm was told one.
    for path in &array.paths {
        let offset: u64 = sysfs::number(
            root.join("/sys/block")
                .join(name)
                .join(format!("md/dev-{}/offset", path.device)),
        )
        .ok_or_else(|| {
            format!(
                "{name}: where the data begin on {} cannot be read",
                path.device
            )
        })?;
        if offset != 0 {
            return Err(format!(
                "{name}: with metadata {} the data begin at sector {offset} of {}, and those of a map at sector 0: \
                 what it would show is not what the array shows",
                array.metadata.as_deref().unwrap_or("of an unknown kind"),
                path.device
            ));
        }
    }
    let sectors = array
        .size_bytes
        .ok_or_else(|| format!("{name}: its size cannot be read"))?
        / 512;
    let policy = array.settings.path_policy.as_deref();
    // A map shares the I/O among all paths of its first group that works: those of the highest priority here, or, if
    // the lowest slot is to take it all, the path in that slot alone. The paths come by slot, and sorting keeps that.
    let shares = matches!(policy, Some("round-robin" | "queue-depth"));
    let mut groups: Vec<(i64, Vec<String>)> = Vec::new();
    let mut devices = Vec::new();
    for path in array.paths.iter().filter(|path| path.state == State::Up) {
        devices.push(format!("/dev/{}", path.device));
        let priority = path.priority.unwrap_or(0);
        let numbers = sysfs::text(root.join("/sys/class/block").join(&path.device).join("dev"))
            .ok_or_else(|| format!("{name}: the path {} is gone", path.device))?;
        match groups.iter_mut().find(|(other, _)| *other == priority) {
            Some((_, devices)) if shares => devices.push(numbers),
            _ => groups.push((priority, vec![numbers])),
        }
    }
    groups.sort_by_key(|(priority, _)| std::cmp::Reverse(*priority));
    if groups.is_empty() {
        return Err(format!("{name}: no path works"));
    }
    let selector = match policy {
        Some("queue-depth") => "queue-length",
        _ => "round-robin",
    };
    let features = match array.settings.no_path_timeout_ms {
        None | Some(0) => "0",
        Some(_) => "1 queue_if_no_path",
    };
    let mut table = format!("0 {sectors} multipath {features} 0 {} 1", groups.len());
    for (_, devices) in &groups {
        let _ = write!(table, " {selector} 0 {} 1", devices.len());
        for device in devices {
            let _ = write!(table, " {device} 1");
        }
    }
    let mut out = format!(
        "# {name}: {sectors} sectors. Unmount what is on it first. The data stay where they are.\n"
    );
    for line in differences(array, groups.len()) {
        let _ = writeln!(out, "# {line}");
    }
    out.push_str(
        "# The numbers of the paths are those of now, and may be another disk's after a boot.\n",
    );
    // Who has stopped the array and has no map then needs it back.
    let back = match array.metadata.as_deref() {
        Some("none") => build(&format!("/dev/{name}"), &devices),
        _ => format!("mdadm --assemble --run /dev/{name} {}", devices.join(" ")),
    };
    let _ = writeln!(out, "# The way back: {back}");
    let _ = writeln!(out, "set -e\nmdadm --stop /dev/{name}");
    let _ = writeln!(out, "dmsetup create {name} --table '{table}'");
    out.push_str("# With multipath-tools: remove the disk from the blacklist and run 'multipath' instead of dmsetup.\n");
    if array.metadata.as_deref() != Some("none") {
        out.push_str(
            "# The superblock is still on the disk: ARRAY <ignore> in mdadm.conf keeps the array from starting, once the \
             initramfs was made anew (update-initramfs -u -k all, or dracut --force).\n",
        );
    }
    Ok(out)
}

/// What a map of so many groups does otherwise than the array that it is made of; for people.
fn differences(array: &Array, groups: usize) -> Vec<String> {
    let settings = &array.settings;
    let mut lines = Vec::new();
    if let Some(time) = settings.no_path_timeout_ms.filter(|time| *time > 0) {
        lines.push(format!(
            "When no path works, all I/O waits without end; in the array it waits {time} ms, and only so much of it. \
             'dmsetup message {} 0 fail_if_no_path' ends that.",
            array.name
        ));
    }
    if let Some(hold) = settings.write_retry_hold_ms.filter(|hold| *hold > 0) {
        lines.push(format!(
            "A write that failed is retried at once; in the array it waits {hold} ms (write_retry_hold_ms)."
        ));
    }
    if groups > 1 {
        lines.push(
            "Once it has changed to another group of paths, a map stays there as long as that works, unless multipathd's \
             failback says otherwise; the array goes back to the preferred path."
                .to_owned(),
        );
    }
    for path in array.paths.iter().filter(|path| path.state != State::Up) {
        lines.push(format!(
            "Left out: {}, whose state is {}.",
            path.device,
            path.state.name()
        ));
    }
    lines
}
