// SPDX-License-Identifier: GPL-2.0-or-later

//! The tool over made trees of sysfs: whole ones, odd ones, and parts that are gone.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

use mdmultipath::{
    check::{check, Finding, Severity},
    convert,
    model::{self, counters, io, member_state, Array, State},
    report,
    sysfs::Root,
    watch,
};
use proptest::prelude::*;
use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicU32, Ordering},
};

/// A directory that goes with the value.
struct Tree(PathBuf);

impl Drop for Tree {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

impl Tree {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let place =
            std::env::temp_dir().join(format!("mdmultipath-{}-{number}", std::process::id()));
        fs::create_dir_all(place.join("sys/block")).unwrap();
        Self(place)
    }

    fn root(&self) -> Root {
        Root::new(&self.0)
    }

    fn write(&self, file: &str, text: &str) {
        let file = self.0.join(file);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
    }

    fn link(&self, link: &str, target: &str) {
        let link = self.0.join(link);
        fs::create_dir_all(link.parent().unwrap()).unwrap();
        symlink(self.0.join(target), link).unwrap();
    }

    /// A SCSI disk behind a host adapter of its own.
    fn scsi(&self, name: &str, host: u32, wwid: &str) {
        let lun = format!(
            "sys/devices/pci0000:00/0000:00:0{host}.0/host{host}/target{host}:0:0/{host}:0:0:0"
        );
        let disk = format!("{lun}/block/{name}");
        self.write(&format!("{lun}/wwid"), wwid);
        self.write(&format!("{lun}/state"), "running\n");
        self.write(&format!("{lun}/timeout"), "30\n");
        self.write(&format!("{disk}/size"), "2048\n");
        self.write(&format!("{disk}/dev"), &format!("8:{}\n", host * 16));
        self.write(&format!("{disk}/ro"), "0\n");
        self.write(&format!("{disk}/stat"), "10 0 80 20 4 0 32 6 1 0 0\n");
        self.write(&format!("{disk}/queue/scheduler"), "none [mq-deadline]\n");
        self.link(&format!("{disk}/device"), &lun);
        self.link(&format!("sys/class/block/{name}"), &disk);
        self.link(&format!("sys/dev/block/8:{}", host * 16), &disk);
    }

    /// A path of md0.
    fn member(&self, name: &str, host: u32, slot: &str, state: &str) {
        let member = format!("sys/block/md0/md/dev-{name}");
        let disk = format!(
            "sys/devices/pci0000:00/0000:00:0{host}.0/host{host}/target{host}:0:0/{host}:0:0:0/block/{name}"
        );
        self.write(&format!("{member}/slot"), slot);
        self.write(&format!("{member}/state"), state);
        self.write(&format!("{member}/offset"), "0\n");
        self.write(&format!("{member}/multipath/priority"), "0\n");
        self.link(&format!("{member}/block"), &disk);
    }

    fn array(&self) -> Array {
        model::read(&self.root()).unwrap().arrays.remove(0)
    }
}

const WWID: &str = "naa.5000c500a1b2c3d4\n";

/// md0 over sda and sdb, all well.
fn healthy() -> Tree {
    let tree = Tree::new();
    for (file, text) in [
        ("md/level", "multipath"),
        ("md/array_state", "clean"),
        ("md/raid_disks", "2"),
        ("md/metadata_version", "none"),
        ("md/path_policy", "first"),
        ("md/no_path_timeout_ms", "60000"),
        ("size", "2048"),
        ("stat", "1 0 8 0 0 0 0 0 0 0 0"),
    ] {
        tree.write(&format!("sys/block/md0/{file}"), text);
    }
    tree.scsi("sda", 1, WWID);
    tree.scsi("sdb", 2, WWID);
    tree.member("sda", 1, "0\n", "in_sync\n");
    tree.member("sdb", 2, "1\n", "in_sync\n");
    tree
}

fn worst(findings: &[Finding]) -> Option<Severity> {
    findings.iter().map(|finding| finding.severity).max()
}

fn says(findings: &[Finding], severity: Severity, text: &str) -> bool {
    findings
        .iter()
        .any(|finding| finding.severity == severity && finding.text.contains(text))
}

#[test]
fn a_healthy_array_is_read_and_nothing_is_wrong() {
    let tree = healthy();
    let array = tree.array();
    assert_eq!((array.slots, array.working), (2, 2));
    let path = &array.paths[0];
    assert_eq!(path.device, "sda");
    assert_eq!(path.state, State::Up);
    assert_eq!(path.identity.as_deref(), Some("naa.5000c500a1b2c3d4"));
    assert_eq!(path.adapter.as_deref(), Some("0000:00:01.0"));
    assert_eq!(path.port.as_deref(), Some("host1"));
    assert_eq!(path.transport.as_deref(), Some("scsi"));
    assert_eq!(path.timeouts.scsi_s, Some(30));
    assert_eq!(path.queue.scheduler.as_deref(), Some("mq-deadline"));
    let io = path.io.as_ref().unwrap();
    assert_eq!(
        (io.reads, io.read_latency_us, io.in_flight),
        (10, Some(2000), 1)
    );
    assert_eq!(check(&array), []);
}

#[test]
fn no_array_is_no_error_but_no_sysfs_is_one() {
    let tree = Tree::new();
    assert!(model::read(&tree.root()).unwrap().arrays.is_empty());
    assert!(model::read(&Root::new("/nonexistent")).is_err());
}

#[test]
fn arrays_of_other_levels_are_left_alone() {
    let tree = healthy();
    tree.write("sys/block/md1/md/level", "raid1\n");
    tree.write("sys/block/sdz/size", "1\n");
    assert_eq!(model::read(&tree.root()).unwrap().arrays.len(), 1);
}

/// md1 is inactive, and md says of its level what `level` is.
fn inactive(level: &str, metadata: &str) -> Tree {
    let tree = healthy();
    tree.write("sys/block/md1/md/level", level);
    tree.write("sys/block/md1/md/array_state", "inactive\n");
    tree.write("sys/block/md1/md/metadata_version", metadata);
    tree.scsi("sdc", 3, WWID);
    tree.write("sys/block/md1/md/dev-sdc/state", "spare\n");
    tree.link("sys/block/md1/md/dev-sdc/block", "sys/class/block/sdc");
    tree
}

/// What `dev/sdc` holds: these bytes, each from a place on.
fn disk(tree: &Tree, parts: &[(usize, [u8; 4])]) {
    let mut content = vec![0_u8; 2048 * 512];
    for (at, bytes) in parts {
        content[*at..*at + 4].copy_from_slice(bytes);
    }
    fs::create_dir_all(tree.0.join("dev")).unwrap();
    fs::write(tree.0.join("dev/sdc"), content).unwrap();
}

fn seen(tree: &Tree) -> Vec<String> {
    let arrays = model::read(&tree.root()).unwrap().arrays;
    arrays.into_iter().map(|array| array.name).collect()
}

fn undetermined(tree: &Tree) -> Vec<String> {
    model::read(&tree.root()).unwrap().undetermined
}

#[test]
fn an_inactive_array_is_critical() {
    for level in ["-4\n", "multipath\n"] {
        let tree = inactive(level, "1.2\n");
        assert_eq!(seen(&tree), ["md0", "md1"]);
        let arrays = model::read(&tree.root()).unwrap().arrays;
        assert!(says(
            &check(&arrays[1]),
            Severity::Critical,
            "the array is inactive"
        ));
    }
    assert_eq!(seen(&inactive("-1\n", "1.2\n")), ["md0"]);
    assert_eq!(seen(&inactive("raid1\n", "1.2\n")), ["md0"]);
}

#[test]
fn an_inactive_array_without_a_level_is_known_by_a_members_superblock() {
    let magic = 0xa92b_4efc_u32;
    let end = 2048 * 512;
    for (metadata, start, level_at) in [
        ("0.90", end - 128 * 512, 28),
        ("1.0", end - 16 * 512, 72),
        ("1.1", 0, 72),
        ("1.2", 4096, 72),
    ] {
        // The machine that runs this is little-endian, as 1.x is.
        let tree = inactive("", metadata);
        assert_eq!(seen(&tree), ["md0"], "{metadata}: nobody may read the disk");
        assert_eq!(undetermined(&tree), ["md1"], "{metadata}");
        for (level, wanted) in [(-4_i32, &["md0", "md1"] as &[&str]), (1, &["md0"])] {
            disk(
                &tree,
                &[
                    (start, magic.to_le_bytes()),
                    (start + level_at, level.to_le_bytes()),
                ],
            );
            assert_eq!(seen(&tree), wanted, "{metadata}, level {level}");
            assert_eq!(undetermined(&tree), [""; 0], "{metadata}, level {level}");
        }
        disk(&tree, &[(start + level_at, (-4_i32).to_le_bytes())]);
        assert_eq!(seen(&tree), ["md0"], "{metadata}: no superblock");
        assert_eq!(undetermined(&tree), [""; 0], "{metadata}: no superblock");
        disk(
            &tree,
            &[
                (start, magic.to_le_bytes()),
                (start + level_at, (-4_i32).to_le_bytes()),
            ],
        );
        tree.write("sys/block/md1/md/array_state", "clear\n");
        assert_eq!(seen(&tree), ["md0"], "{metadata}: it is not there yet");
    }
    // Too small for one, and a kind that has none.
    let tree = inactive("", "0.90");
    disk(&tree, &[]);
    tree.write("sys/class/block/sdc/size", "100\n");
    assert_eq!(seen(&tree), ["md0"]);
    tree.write("sys/block/md1/md/metadata_version", "external:imsm");
    assert_eq!(seen(&tree), ["md0"]);
    assert_eq!(undetermined(&tree), [""; 0]);
}

#[test]
fn one_member_that_can_be_read_tells_the_level() {
    let magic = 0xa92b_4efc_u32.to_le_bytes();
    for (level, arrays) in [(-4_i32, &["md0", "md1"] as &[&str]), (1, &["md0"])] {
        let tree = inactive("", "1.2\n");
        // One whose device is gone, before the one that can be read and behind it.
        tree.write("sys/block/md1/md/dev-sda/state", "spare\n");
        tree.write("sys/block/md1/md/dev-sdd/state", "spare\n");
        disk(&tree, &[(4096, magic), (4096 + 72, level.to_le_bytes())]);
        assert_eq!(seen(&tree), arrays);
        assert_eq!(undetermined(&tree), [""; 0]);
    }
    // The one that can be read is no member of an array.
    let tree = inactive("", "1.2\n");
    tree.write("sys/block/md1/md/dev-sdd/state", "spare\n");
    disk(&tree, &[]);
    assert_eq!(undetermined(&tree), ["md1"]);
}

/// What the tool prints, and its exit status.
fn run(tree: &Tree, arguments: &[&str]) -> (String, i32) {
    let output = Command::new(env!("CARGO_BIN_EXE_mdmultipath"))
        .arg("--root")
        .arg(&tree.0)
        .args(arguments)
        .output()
        .unwrap();
    let text = [output.stdout, output.stderr].concat();
    (
        String::from_utf8(text).unwrap(),
        output.status.code().unwrap(),
    )
}

#[test]
fn an_array_whose_level_nobody_may_read_is_no_all_clear() {
    let unknown = "md1: UNKNOWN: the array is inactive, and its level cannot be told";
    let tree = inactive("", "1.2\n");
    for arguments in [&["check"] as &[&str], &["check", "md1"]] {
        let (text, status) = run(&tree, arguments);
        assert!(text.contains(unknown), "{text}");
        assert_eq!(status, 3, "{text}");
    }
    let (text, status) = run(&tree, &["check", "--json"]);
    assert!(text.contains("\"severity\": \"unknown\""), "{text}");
    assert_eq!(status, 3, "{text}");
    assert_eq!(run(&tree, &["check", "md0"]).1, 0);
    assert!(run(&tree, &["status"])
        .0
        .contains("md1: inactive, of a level"));
    assert!(run(&tree, &["status", "md1"])
        .0
        .starts_with("md1: inactive"));
    assert_eq!(run(&tree, &["convert", "--back", "md1"]).1, 3);
    // What is known to be wrong counts for more.
    tree.write("sys/block/md0/md/raid_disks", "3");
    let (text, status) = run(&tree, &["check"]);
    assert!(text.contains(unknown), "{text}");
    assert_eq!(status, 1, "{text}");
    tree.write("sys/block/md0/md/array_state", "inactive\n");
    assert_eq!(run(&tree, &["check"]).1, 2);
    // There is no other array.
    fs::remove_dir_all(tree.0.join("sys/block/md0")).unwrap();
    let (text, status) = run(&tree, &["check"]);
    assert!(text.starts_with(unknown), "{text}");
    assert_eq!(status, 3, "{text}");
    assert!(!run(&tree, &["status"]).0.contains("no multipath arrays"));
}

#[test]
fn arrays_come_in_the_order_of_their_numbers() {
    let tree = healthy();
    tree.write("sys/block/md10/md/level", "multipath\n");
    tree.write("sys/block/md9/md/level", "multipath\n");
    let names: Vec<String> = model::read(&tree.root())
        .unwrap()
        .arrays
        .into_iter()
        .map(|array| array.name)
        .collect();
    assert_eq!(names, ["md0", "md9", "md10"]);
}

#[test]
fn a_failed_path_leaves_one_which_is_critical() {
    let tree = healthy();
    tree.write("sys/block/md0/md/dev-sda/state", "faulty\n");
    tree.write("sys/block/md0/md/dev-sda/slot", "none\n");
    let array = tree.array();
    assert_eq!(array.working, 1);
    let findings = check(&array);
    assert!(says(&findings, Severity::Warning, "path sda failed"));
    assert!(says(&findings, Severity::Critical, "only 1 of 2"));
    assert_eq!(
        findings[0].severity,
        Severity::Critical,
        "the worst comes first"
    );
}

#[test]
fn one_of_three_that_failed_is_a_warning() {
    let tree = healthy();
    tree.write("sys/block/md0/md/raid_disks", "3");
    assert_eq!(worst(&check(&tree.array())), Some(Severity::Warning));
}

#[test]
fn different_disks_are_critical() {
    let tree = healthy();
    tree.write(
        "sys/devices/pci0000:00/0000:00:02.0/host2/target2:0:0/2:0:0:0/wwid",
        "naa.5000c500a1b2c3d5\n",
    );
    assert!(says(
        &check(&tree.array()),
        Severity::Critical,
        "different disks"
    ));
}

/// A device of device mapper, and a path of md0.
fn mapped(tree: &Tree, number: u32, slot: u32, uuid: &str) {
    let disk = format!("sys/devices/virtual/block/dm-{number}");
    tree.write(&format!("{disk}/dm/uuid"), uuid);
    tree.write(&format!("{disk}/size"), "2048\n");
    tree.link(&format!("sys/class/block/dm-{number}"), &disk);
    let member = format!("sys/block/md0/md/dev-dm-{number}");
    tree.write(&format!("{member}/slot"), &format!("{slot}\n"));
    tree.write(&format!("{member}/state"), "in_sync\n");
    tree.link(&format!("{member}/block"), &disk);
}

#[test]
fn the_names_of_device_mapper_say_nothing_of_the_disk() {
    let unknown = "nobody can see whether it is one";
    assert!(!check(&healthy().array())
        .iter()
        .any(|finding| finding.text.contains(unknown)));
    // `dmsetup create --uuid` takes any text.
    for uuids in [
        ["LVM-a", "LVM-b"],
        ["CRYPT-PLAIN-a", "LVM-a"],
        ["mine", "yours"],
        ["mine", "mine"],
    ] {
        let tree = healthy();
        for name in ["sda", "sdb"] {
            fs::remove_dir_all(tree.0.join(format!("sys/block/md0/md/dev-{name}"))).unwrap();
        }
        mapped(&tree, 0, 0, uuids[0]);
        mapped(&tree, 1, 1, uuids[1]);
        let findings = check(&tree.array());
        assert!(says(&findings, Severity::Advice, unknown), "{uuids:?}");
        assert_eq!(worst(&findings), Some(Severity::Advice), "{uuids:?}");
        let text = report::text(&model::read(&tree.root()).unwrap());
        assert!(text.contains("disk -,"), "{text}");
    }
    // Beside a disk with a name, it is one without.
    let tree = healthy();
    tree.write("sys/block/md0/md/raid_disks", "3");
    mapped(&tree, 0, 2, "LVM-a");
    let findings = check(&tree.array());
    assert!(says(&findings, Severity::Advice, unknown));
    assert_eq!(worst(&findings), Some(Severity::Advice));
}

#[test]
fn a_device_that_is_offline_or_gone_is_told() {
    let tree = healthy();
    tree.write(
        "sys/devices/pci0000:00/0000:00:02.0/host2/target2:0:0/2:0:0:0/state",
        "offline\n",
    );
    assert!(says(
        &check(&tree.array()),
        Severity::Warning,
        "sdb is in use, but its device is offline"
    ));
    fs::remove_dir_all(tree.0.join("sys/devices/pci0000:00/0000:00:02.0")).unwrap();
    let array = tree.array();
    assert_eq!(array.paths[1].device_state.as_deref(), Some("gone"));
    assert!(says(
        &check(&array),
        Severity::Warning,
        "its device is gone"
    ));
}

#[test]
fn a_path_that_another_holds_is_critical() {
    let tree = healthy();
    tree.write(
        "sys/devices/pci0000:00/0000:00:01.0/host1/target1:0:0/1:0:0:0/block/sda/holders/dm-0/x",
        "",
    );
    assert!(says(
        &check(&tree.array()),
        Severity::Critical,
        "also held by dm-0"
    ));
}

#[test]
fn paths_through_one_host_are_a_warning() {
    let tree = healthy();
    tree.write("sys/block/md0/md/dev-sdb/state", "in_sync");
    fs::remove_file(tree.0.join("sys/block/md0/md/dev-sdb/block")).unwrap();
    tree.link(
        "sys/block/md0/md/dev-sdb/block",
        "sys/devices/pci0000:00/0000:00:01.0/host1/target1:0:0/1:0:0:0/block/sda",
    );
    assert!(says(
        &check(&tree.array()),
        Severity::Warning,
        "go through host1"
    ));
}

#[test]
fn queues_that_differ_are_told() {
    let tree = healthy();
    tree.write(
        "sys/devices/pci0000:00/0000:00:02.0/host2/target2:0:0/2:0:0:0/block/sdb/queue/scheduler",
        "[none] mq-deadline\n",
    );
    assert!(says(
        &check(&tree.array()),
        Severity::Advice,
        "queue/scheduler differs"
    ));
}

#[test]
fn the_timeouts_of_iscsi_and_fibre_channel_are_found() {
    let tree = healthy();
    let session = "sys/devices/platform/host3/session1";
    tree.write(
        &format!("{session}/iscsi_session/session1/recovery_tmo"),
        "120\n",
    );
    let lun = format!("{session}/target3:0:0/3:0:0:0");
    tree.write(&format!("{lun}/state"), "running");
    tree.write(&format!("{lun}/block/sdc/size"), "2048");
    tree.link(&format!("{lun}/block/sdc/device"), &lun);
    tree.member("sdc", 3, "2", "in_sync");
    fs::remove_file(tree.0.join("sys/block/md0/md/dev-sdc/block")).unwrap();
    tree.link(
        "sys/block/md0/md/dev-sdc/block",
        &format!("{lun}/block/sdc"),
    );
    let array = tree.array();
    assert_eq!(array.paths[2].transport.as_deref(), Some("iscsi"));
    assert_eq!(array.paths[2].timeouts.recovery_s, Some(120));
    assert!(says(
        &check(&array),
        Severity::Advice,
        "holds I/O for 120 s"
    ));

    let port = "sys/devices/pci0000:00/0000:00:09.0/host4/rport-4:0-1";
    tree.write(
        &format!("{port}/fc_remote_ports/rport-4:0-1/fast_io_fail_tmo"),
        "off\n",
    );
    tree.write(
        &format!("{port}/fc_remote_ports/rport-4:0-1/dev_loss_tmo"),
        "600\n",
    );
    let lun = format!("{port}/target4:0:0/4:0:0:0");
    tree.write(&format!("{lun}/block/sdd/size"), "2048");
    tree.link(&format!("{lun}/block/sdd/device"), &lun);
    tree.member("sdd", 4, "3", "in_sync");
    fs::remove_file(tree.0.join("sys/block/md0/md/dev-sdd/block")).unwrap();
    tree.link(
        "sys/block/md0/md/dev-sdd/block",
        &format!("{lun}/block/sdd"),
    );
    let array = tree.array();
    assert_eq!(array.paths[3].transport.as_deref(), Some("fc"));
    assert!(says(
        &check(&array),
        Severity::Warning,
        "I/O hangs for dev_loss_tmo, 600 s"
    ));
}

const TABLE: &str = "\
slot device       state   priority          ios   err-disk   err-path err-either  failovers    retries     parked last-error
0    sda          up             0           45          1          2          3          4          5          6 TRANSPORT 70 ms ago
1    sdb          up             0            7          0          0          0          0          0          0 -
2    -            empty
";

#[test]
fn the_modules_table_is_read() {
    let counters = counters(TABLE);
    assert_eq!(counters.len(), 2);
    let sda = &counters["sda"];
    assert_eq!(
        (sda.ios, sda.errors_disk, sda.errors_path, sda.errors_either),
        (45, 1, 2, 3)
    );
    let last = sda.last_error.as_ref().unwrap();
    assert_eq!((last.status.as_str(), last.age_ms), ("TRANSPORT", 70));
    assert_eq!(counters["sdb"].last_error, None);
}

#[test]
fn parked_io_is_critical() {
    let tree = healthy();
    tree.write("sys/kernel/debug/md_multipath/md0/paths", TABLE);
    tree.write(
        "sys/kernel/debug/md_multipath/md0/settings",
        "disk NAA 5000\nparked 3\n",
    );
    let array = tree.array();
    assert_eq!(array.parked, Some(3));
    assert_eq!(array.disk.as_deref(), Some("NAA 5000"));
    assert!(says(&check(&array), Severity::Critical, "3 I/Os wait"));
    let text = report::text(&model::read(&tree.root()).unwrap());
    assert!(text.contains("3 I/Os wait for a path"));
    assert!(text.contains("TRANSPORT 0 s ago"));
}

#[test]
fn prometheus_has_one_type_for_each_metric_and_escapes_labels() {
    let text = report::prometheus(&model::read(&healthy().root()).unwrap());
    assert!(text.contains("md_multipath_paths_working{array=\"md0\"} 2\n"));
    assert!(text.contains("md_multipath_path_up{array=\"md0\",path=\"sda\",slot=\"0\"} 1\n"));
    let types: Vec<&str> = text
        .lines()
        .filter(|line| line.starts_with("# TYPE"))
        .collect();
    let mut unique = types.clone();
    unique.dedup();
    assert_eq!(types, unique);
    assert_eq!(report::escape("a\"\\\n"), "a\\\"\\\\\\n");
}

/// Every file of a tree may be missing or hold anything; nothing panics.
#[test]
fn any_file_may_be_missing_or_odd() {
    fn files(directory: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(directory).unwrap() {
            let entry = entry.unwrap();
            match entry.file_type().unwrap() {
                kind if kind.is_dir() => files(&entry.path(), found),
                _ => found.push(entry.path()),
            }
        }
    }
    let count = {
        let tree = healthy();
        let mut found = Vec::new();
        files(&tree.0, &mut found);
        found.len()
    };
    for number in 0..count {
        for content in [
            None,
            Some(""),
            Some("\u{0}[[]"),
            Some("99999999999999999999 -1"),
        ] {
            let tree = healthy();
            let mut found = Vec::new();
            files(&tree.0, &mut found);
            found.sort();
            let file = &found[number];
            fs::remove_file(file).unwrap();
            if let Some(content) = content {
                fs::write(file, content).unwrap();
            }
            let report = model::read(&tree.root()).unwrap();
            report::text(&report);
            report::prometheus(&report);
            serde_json::to_string(&report).unwrap();
            for array in &report.arrays {
                check(array);
                let _ = convert::to_map(&tree.root(), array);
            }
        }
    }
}

const MAP: &str = "mpatha: 0 2048 multipath 1 queue_if_no_path 0 2 1 service-time 0 1 2 8:16 1 1 service-time 0 1 2 8:32 1 1";

#[test]
fn a_map_becomes_an_array() {
    let map = convert::parse(MAP).unwrap();
    assert!(map.queues);
    assert_eq!(map.groups.len(), 2);
    let commands = convert::to_array(&healthy().root(), &map).unwrap();
    assert!(commands.contains("\npath1=$(path /dev/sda)\n"));
    assert!(commands.contains("\npath2=$(path /dev/sdb)\n"));
    assert!(commands.contains(
        "mdadm --build /dev/md/mpatha --level=multipath --raid-devices=2 \"$path1\" \"$path2\"\n"
    ));
    assert!(commands.contains("echo 1 >\"$md/dev-${path1##*/}/multipath/priority\"\n"));
    assert!(!commands.contains("dev-${path2##*/}/multipath"));
    assert!(commands.contains("echo 86400000 >\"$md/no_path_timeout_ms\"\n"));
}

fn commands(line: &str) -> String {
    convert::to_array(&healthy().root(), &convert::parse(line).unwrap()).unwrap()
}

#[test]
fn an_array_has_a_name_that_mdadm_takes() {
    for (name, map, array) in [
        // As multipath-tools names a map unless it is told user_friendly_names.
        (
            "3600508b400105e210000900000490000",
            "3600508b400105e210000900000490000",
            "600508b400105e210000900000490000",
        ),
        ("a:b+c#d=e@f", "'a:b+c#d=e@f'", "a_b_c_d_e_f"),
        (r"a\x20b", r"'a\x20b'", "a_x20b"),
        (".hidden", ".hidden", "_hidden"),
        ("#", "'#'", "_"),
        ("a.b-c_", "a.b-c_", "a.b-c_"),
        (
            "12345678901234567890123456789012",
            "12345678901234567890123456789012",
            "12345678901234567890123456789012",
        ),
        // What would begin with a dash or a dot once it is cut.
        (
            "abc-5678901234567890123456789012345",
            "abc-5678901234567890123456789012345",
            "_5678901234567890123456789012345",
        ),
    ] {
        let commands = commands(&MAP.replace("mpatha", name));
        assert!(
            commands.contains(&format!("\n\tdmsetup remove {map}\n")),
            "{commands}"
        );
        assert!(
            commands.contains(&format!("\nmdadm --build /dev/md/{array} --level")),
            "{commands}"
        );
        assert!(commands.contains(&format!("readlink -f /dev/md/{array})")));
        let told = commands.contains(&format!("# mdadm does not take {name} as a name"));
        assert_eq!(told, name != array, "{commands}");
    }
}

#[test]
fn before_a_map_goes_the_way_back_is_told_and_the_name_is_free() {
    let commands = commands(&MAP.replace("mpatha", "a#b"));
    let table = MAP.strip_prefix("mpatha: ").unwrap();
    let before = commands.split("\nif dmsetup info").next().unwrap();
    assert!(before.ends_with(&format!("#     dmsetup create 'a#b' --table '{table}'")));
    assert!(commands.contains("\n\t[ ! -e /dev/md/a_b ] || refuse "));
}

#[test]
fn a_single_path_is_forced_upon_mdadm() {
    let commands = commands("x: 0 2048 multipath 0 0 1 1 service-time 0 1 2 8:16 1 1");
    assert!(commands.contains(" --force --raid-devices=1 \"$path1\"\n"));
    assert!(!self::commands(MAP).contains("--force"));
}

#[test]
fn a_map_of_more_paths_than_an_array_has_is_refused() {
    let map = |paths: usize| {
        let line = format!("x: 0 2048 multipath 0 0 1 1 round-robin 0 {paths} 0");
        convert::parse(&(line + &" 8:16".repeat(paths))).unwrap()
    };
    assert!(convert::to_array(&healthy().root(), &map(64)).is_ok());
    assert!(convert::to_array(&healthy().root(), &map(65))
        .unwrap_err()
        .contains("x: it has 65 paths, and an array 64 at most"));
}

/// Runs commands with sh, in the tree, where dmsetup and mdadm only say how they were called: that, and what was said
/// otherwise if it failed.
fn shell(tree: &Tree, commands: &str) -> (String, Result<(), String>) {
    let here = tree.0.to_str().unwrap();
    let commands = format!(
        "dmsetup() {{ [ \"$1\" != info ] || [ ! -e /dev/no-map ] || return 1; echo dmsetup \"$@\"; }}\n\
         dd() {{ ! grep -q dead \"${{1#if=}}\"; }}\n\
         mdadm() {{ echo mdadm \"$@\"; mkdir -p /dev/md/; ln -s ../md9 /dev/md/mpatha; }}\n{commands}"
    );
    let output = Command::new("sh")
        .arg("-c")
        .arg(
            commands
                .replace("/dev/", &format!("{here}/dev/"))
                .replace("/sys/", &format!("{here}/sys/")),
        )
        .output()
        .unwrap();
    let _ = fs::remove_file(tree.0.join("dev/md/mpatha"));
    let text = |bytes| String::from_utf8(bytes).unwrap().replace(here, "");
    (
        text(output.stdout),
        match output.status.success() {
            true => Ok(()),
            false => Err(text(output.stderr)),
        },
    )
}

fn scsi_wwid(host: u32) -> String {
    format!(
        "sys/devices/pci0000:00/0000:00:0{host}.0/host{host}/target{host}:0:0/{host}:0:0:0/wwid"
    )
}

/// `healthy`, with udev's links, and a disk of this name.
fn placed(wwid: &str) -> Tree {
    let tree = healthy();
    for host in [1, 2] {
        tree.write(&scsi_wwid(host), wwid);
    }
    tree.link("dev/disk/by-path/one-lun-0", "dev/sda");
    tree.link("dev/disk/by-path/other lun-0", "dev/sdb");
    tree.write("dev/sda", "");
    tree.write("dev/sdb", "");
    tree
}

#[test]
fn paths_are_taken_by_their_places_and_only_if_they_lead_to_the_same_disk() {
    for wwid in [WWID, "t10.ATA     A disk, say $(reboot) O'Brien   17\n"] {
        let tree = placed(wwid);
        let map = convert::parse(MAP).unwrap();
        let commands = convert::to_array(&tree.root(), &map).unwrap();
        for name in ["sda", "sdb"] {
            tree.write(
                &format!("sys/block/md9/md/dev-{name}/multipath/priority"),
                "0\n",
            );
        }
        let priorities = || {
            ["sda", "sdb"].map(|name| {
                let file = format!("sys/block/md9/md/dev-{name}/multipath/priority");
                let priority = fs::read_to_string(tree.0.join(&file)).unwrap();
                tree.write(&file, "0\n");
                priority
            })
        };
        let build = "dmsetup remove mpatha\nmdadm --build /dev/md/mpatha --level=multipath --raid-devices=2";
        let (called, result) = shell(&tree, &commands);
        assert_eq!(result, Ok(()));
        assert_eq!(called, format!("{build} /dev/sda /dev/sdb\n"));
        assert_eq!(priorities(), ["1\n", "0\n"]);

        // After a boot the names are the other way round.
        for (link, name) in [("one-lun-0", "sdb"), ("other lun-0", "sda")] {
            fs::remove_file(tree.0.join("dev/disk/by-path").join(link)).unwrap();
            tree.link(&format!("dev/disk/by-path/{link}"), &format!("dev/{name}"));
        }
        let (called, result) = shell(&tree, &commands);
        assert_eq!(result, Ok(()));
        assert_eq!(called, format!("{build} /dev/sdb /dev/sda\n"));
        assert_eq!(priorities(), ["0\n", "1\n"]);

        // … and there is no map.
        tree.write("dev/no-map", "");
        let (called, result) = shell(&tree, &commands);
        assert_eq!(result, Ok(()));
        assert_eq!(
            called,
            "mdadm --build /dev/md/mpatha --level=multipath --raid-devices=2 /dev/sdb /dev/sda\n"
        );
        fs::remove_file(tree.0.join("dev/no-map")).unwrap();

        // There is an array already.
        tree.write("dev/md/mpatha", "");
        let (called, result) = shell(&tree, &commands);
        assert!(result
            .unwrap_err()
            .contains("there is an array /dev/md/mpatha"));
        assert_eq!(called, "");

        // Another disk is in the place of the first or second.
        for host in [1, 2] {
            tree.write(&scsi_wwid(host), "naa.5000c500a1b2c3d5\n");
            let (called, result) = shell(&tree, &commands);
            assert!(result.unwrap_err().contains("another disk"));
            assert_eq!(called, "");
            tree.write(&scsi_wwid(host), wwid);
        }
        assert_eq!(shell(&tree, &commands).1, Ok(()));

        // A path that is there cannot be read: it is left out. By now the second link leads to sda.
        for (name, paths, wanted) in [
            ("sda", "/dev/sdb missing", ["0\n", "1\n"]),
            ("sdb", "missing /dev/sda", ["0\n", "0\n"]),
        ] {
            tree.write(&format!("dev/{name}"), "dead");
            let (called, result) = shell(&tree, &commands);
            assert_eq!(result, Ok(()));
            assert_eq!(called, format!("{build} {paths}\n"));
            assert_eq!(priorities(), wanted);
            tree.write(&format!("dev/{name}"), "");
        }

        // One is not there, or none.
        fs::remove_file(tree.0.join("dev/disk/by-path/other lun-0")).unwrap();
        let (called, result) = shell(&tree, &commands);
        assert_eq!(result, Ok(()));
        assert_eq!(called, format!("{build} /dev/sdb missing\n"));
        fs::remove_file(tree.0.join("dev/disk/by-path/one-lun-0")).unwrap();
        let (called, result) = shell(&tree, &commands);
        assert!(result.unwrap_err().contains("none of the paths is there"));
        assert_eq!(called, "");
    }
}

#[test]
fn what_tells_a_disk_from_others_is_found_or_that_nothing_does_is_told() {
    let line = "x: 0 2048 multipath 0 0 1 1 round-robin 0 1 0 ";
    let nvme = "sys/devices/pci0000:00/0000:00:03.0/nvme/nvme0/nvme0n1";
    let virtio = "sys/devices/pci0000:00/0000:00:04.0/virtio0/block/vda";
    let tree = placed(WWID);
    tree.write(&format!("{nvme}/wwid"), "eui.0025385\n");
    tree.write(&format!("{nvme}/nvme0n1p1/partition"), "1\n");
    tree.link("sys/class/block/nvme0n1", nvme);
    tree.link("sys/class/block/nvme0n1p1", &format!("{nvme}/nvme0n1p1"));
    tree.write(&format!("{virtio}/serial"), "17");
    tree.link("sys/class/block/vda", virtio);
    tree.write("sys/devices/virtual/block/dm-0/dm/uuid", "LVM-a\n");
    tree.link("sys/class/block/dm-0", "sys/devices/virtual/block/dm-0");
    // A virtual disk that was given no serial number, and what no shell could compare.
    tree.write("sys/devices/virtual/block/vdb/serial", "\n");
    tree.link("sys/class/block/vdb", "sys/devices/virtual/block/vdb");
    tree.write("sys/devices/virtual/block/vdc/serial", "a\u{0}b\n");
    tree.link("sys/class/block/vdc", "sys/devices/virtual/block/vdc");
    tree.link("dev/disk/by-path/virtual", "dev/vdc");
    for (name, wanted) in [
        ("sda", "is \"$path1\" device/wwid naa.5000c500a1b2c3d4"),
        ("nvme0n1", "is \"$path1\" wwid eui.0025385"),
        ("nvme0n1p1", "is \"$path1\" ../wwid eui.0025385"),
        ("vda", "is \"$path1\" serial 17"),
        ("dm-0", "is \"$path1\" dm/uuid LVM-a"),
        (
            "vdb",
            "# Nothing says which disk vdb is: run this now, not after a boot",
        ),
        (
            "vdc",
            "# Nothing says which disk this is: if another one has come to its place",
        ),
    ] {
        let map = convert::parse(&format!("{line}{name}")).unwrap();
        let commands = convert::to_array(&tree.root(), &map).unwrap();
        assert!(
            commands.contains(&format!("\n{wanted}")),
            "{name}: {commands}"
        );
        assert_eq!(
            commands.matches("\nis \"").count(),
            wanted.matches("is \"").count(),
            "{name}"
        );
    }
}

#[test]
fn a_hardware_handler_that_is_lost_is_told() {
    let plain = convert::parse(MAP).unwrap();
    assert_eq!(convert::handler_lost(&plain), None);
    for (handler, name) in [("1 alua", "alua"), ("3 emc 1 0", "emc")] {
        let map = convert::parse(&MAP.replace(
            "queue_if_no_path 0 ",
            &format!("queue_if_no_path {handler} "),
        ))
        .unwrap();
        assert_eq!(map.handler.as_deref(), Some(name));
        assert_eq!(map.groups, plain.groups);
        let lost = convert::handler_lost(&map).unwrap();
        assert!(lost.contains(&format!("the hardware handler {name}")));
        let commands = convert::to_array(&healthy().root(), &map).unwrap();
        assert!(commands.lines().any(|line| line == format!("# {lost}")));
    }
}

#[test]
fn the_commands_say_what_a_reboot_needs() {
    let map = convert::parse(MAP).unwrap();
    let commands = convert::to_array(&healthy().root(), &map).unwrap();
    assert!(commands.contains("Before=local-fs-pre.target"));
    assert!(commands.contains("# /dev/md/mpatha: by a UUID a bare path may be mounted"));
}

#[test]
fn what_is_no_multipath_map_is_refused_with_a_reason() {
    for (line, reason) in [
        ("0 2048 multipath", "no name"),
        ("a b: 0 1 multipath", "cannot be a map's name"),
        ("$(reboot): 0 1 multipath", "cannot be a map's name"),
        ("-f: 0 1 multipath", "would be an option"),
        ("x: 0 2048 linear 8:0 0", "the target is 'linear'"),
        ("x: 8 2048 multipath 0 0 0 0", "a part of a larger map"),
        ("x: 0 y multipath 0 0 0 0", "the length is 'y'"),
        ("x: 0 2048 multipath 0 0 0 0", "no paths"),
        (
            "x: 0 2048 multipath 0 0 1 1 round-robin 0 2 1 8:0 1",
            "no path",
        ),
    ] {
        let error = convert::parse(line).unwrap_err();
        assert!(error.contains(reason), "{line}: {error}");
    }
    let unknown = convert::parse(&MAP.replace("8:32", "8:99")).unwrap();
    assert!(convert::to_array(&healthy().root(), &unknown)
        .unwrap_err()
        .contains("no device 8:99"));
    let odd = convert::parse(&MAP.replace("8:32", "$(reboot)")).unwrap();
    assert!(convert::to_array(&healthy().root(), &odd)
        .unwrap_err()
        .contains("cannot be a path"));
}

#[test]
fn an_array_becomes_a_map_that_is_read_back() {
    let tree = healthy();
    tree.write("sys/block/md0/md/dev-sda/multipath/priority", "5\n");
    let commands = convert::to_map(&tree.root(), &tree.array()).unwrap();
    let map = convert::parse(&format!("md0: {}", table(&commands))).unwrap();
    assert!(
        commands.contains("\n# The way back: mdadm --build /dev/md0 --level=multipath --raid-devices=2 /dev/sda /dev/sdb\nset -e\nmdadm --stop /dev/md0\n"),
        "{commands}"
    );
    assert_eq!(map.sectors, 2048);
    assert!(map.queues);
    let devices: Vec<&[String]> = map
        .groups
        .iter()
        .map(|group| group.devices.as_slice())
        .collect();
    assert_eq!(devices, [["8:16"], ["8:32"]]);
}

/// The table of the map that md0 becomes.
fn table(commands: &str) -> &str {
    commands
        .lines()
        .find_map(|line| {
            line.strip_prefix("dmsetup create md0 --table '")?
                .strip_suffix('\'')
        })
        .unwrap()
}

#[test]
fn the_groups_of_a_map_do_what_the_policy_does() {
    let tree = healthy();
    tree.scsi("sdc", 3, WWID);
    tree.member("sdc", 3, "2\n", "in_sync\n");
    for (policy, priorities, groups) in [
        // The lowest slot takes all.
        (
            "first",
            [0, 0, 0],
            "3 1 round-robin 0 1 1 8:16 1 round-robin 0 1 1 8:32 1 round-robin 0 1 1 8:48 1",
        ),
        (
            "first",
            [0, 5, 5],
            "3 1 round-robin 0 1 1 8:32 1 round-robin 0 1 1 8:48 1 round-robin 0 1 1 8:16 1",
        ),
        (
            "round-robin",
            [0, 0, 0],
            "1 1 round-robin 0 3 1 8:16 1 8:32 1 8:48 1",
        ),
        (
            "round-robin",
            [-1, 5, 5],
            "2 1 round-robin 0 2 1 8:32 1 8:48 1 round-robin 0 1 1 8:16 1",
        ),
        (
            "queue-depth",
            [0, 0, 0],
            "1 1 queue-length 0 3 1 8:16 1 8:32 1 8:48 1",
        ),
    ] {
        tree.write("sys/block/md0/md/path_policy", policy);
        for (name, priority) in ["sda", "sdb", "sdc"].iter().zip(priorities) {
            tree.write(
                &format!("sys/block/md0/md/dev-{name}/multipath/priority"),
                &priority.to_string(),
            );
        }
        let commands = convert::to_map(&tree.root(), &tree.array()).unwrap();
        assert_eq!(
            table(&commands),
            format!("0 2048 multipath 1 queue_if_no_path 0 {groups}"),
            "{policy} {priorities:?}"
        );
        assert_eq!(
            commands.contains("a map stays there"),
            !groups.starts_with('1'),
            "{policy} {priorities:?}"
        );
    }
}

#[test]
fn what_a_map_does_otherwise_than_the_array_is_told() {
    let tree = healthy();
    let commands = || convert::to_map(&tree.root(), &tree.array()).unwrap();
    assert!(commands().contains("it waits 60000 ms, and only so much of it"));
    assert!(commands().contains("'dmsetup message md0 0 fail_if_no_path'"));
    assert!(commands().contains("may be another disk's after a boot"));
    tree.write("sys/block/md0/md/no_path_timeout_ms", "0");
    tree.write("sys/block/md0/md/write_retry_hold_ms", "0");
    assert!(table(&commands()).starts_with("0 2048 multipath 0 0 2 "));
    for text in ["waits", "Left out"] {
        assert!(!commands().contains(text), "{text}");
    }
    tree.write("sys/block/md0/md/write_retry_hold_ms", "2000");
    assert!(commands().contains("in the array it waits 2000 ms (write_retry_hold_ms)"));
    tree.write("sys/block/md0/md/dev-sda/state", "faulty\n");
    assert!(commands().contains("\n# Left out: sda, whose state is failed.\n"));
    assert!(table(&commands()).ends_with(" 1 1 round-robin 0 1 1 8:32 1"));
    // All of it is comments, and nothing else was printed before the commands.
    let before = commands().split("set -e\n").next().unwrap().to_owned();
    assert!(
        before.lines().all(|line| line.starts_with("# ")),
        "{before}"
    );
}

#[test]
fn an_array_whose_data_begin_later_on_the_disk_becomes_no_map() {
    let tree = healthy();
    // The superblock is behind the data, and mdadm may have been told --data-offset all the same.
    for metadata in ["0.90", "1.0"] {
        tree.write("sys/block/md0/md/metadata_version", metadata);
        assert!(convert::to_map(&tree.root(), &tree.array()).is_ok());
    }
    for (metadata, offset) in [("1.0", "8\n"), ("1.1", "2048\n"), ("1.2", "2048\n")] {
        tree.write("sys/block/md0/md/metadata_version", metadata);
        tree.write("sys/block/md0/md/dev-sdb/offset", offset);
        let error = convert::to_map(&tree.root(), &tree.array()).unwrap_err();
        let wanted = format!(
            "metadata {metadata} the data begin at sector {} of sdb",
            offset.trim()
        );
        assert!(error.contains(&wanted), "{error}");
    }
    fs::remove_file(tree.0.join("sys/block/md0/md/dev-sdb/offset")).unwrap();
    assert!(convert::to_map(&tree.root(), &tree.array())
        .unwrap_err()
        .contains("on sdb cannot be read"));
}

const MESSAGE: &[u8] =
    b"change@/devices/virtual/block/md0\0ACTION=change\0SUBSYSTEM=block\0DEVNAME=md0\0\
MD_MULTIPATH_EVENT=PATH_FAILED\0MD_MULTIPATH_PATH=sda\0MD_MULTIPATH_SLOT=1\0\
MD_MULTIPATH_PATHS_LEFT=3\0MD_MULTIPATH_TIMES=2\0SEQNUM=9\0";

#[test]
fn an_event_is_read() {
    let event = watch::parse(MESSAGE).unwrap();
    assert_eq!(
        (event.array.as_str(), event.event.as_str()),
        ("md0", "PATH_FAILED")
    );
    assert_eq!(
        (
            event.path.as_str(),
            event.slot,
            event.paths_left,
            event.times
        ),
        ("sda", 1, 3, 2)
    );
    assert_eq!(watch::parse(b"change@/x\0DEVNAME=sda\0"), None);
    assert_eq!(watch::parse(b"libudev\0\xfe\xed"), None);
}

#[test]
fn moments_are_those_of_the_calendar() {
    assert_eq!(watch::moment(0), "1970-01-01T00:00:00Z");
    assert_eq!(watch::moment(951_782_399), "2000-02-28T23:59:59Z");
    assert_eq!(watch::moment(951_782_400), "2000-02-29T00:00:00Z");
    assert_eq!(watch::moment(1_709_251_199), "2024-02-29T23:59:59Z");
    assert_eq!(watch::moment(1_735_689_599), "2024-12-31T23:59:59Z");
}

#[test]
fn a_members_state_needs_a_slot_to_work() {
    assert_eq!(member_state("in_sync,write_mostly", Some(0)), State::Up);
    assert_eq!(member_state("in_sync", None), State::Spare);
    assert_eq!(member_state("spare", None), State::Spare);
    assert_eq!(member_state("faulty,write_mostly", Some(0)), State::Failed);
    assert_eq!(member_state("", Some(0)), State::Unknown);
}

proptest! {
    #[test]
    fn no_text_makes_a_parser_panic(text in ".*", bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = convert::parse(&text);
        let _ = convert::parse(&format!("x: 0 1 multipath {text}"));
        counters(&text);
        watch::parse(&bytes);
    }

    #[test]
    fn no_numbers_make_arithmetic_overflow(stat in prop::collection::vec(any::<u64>(), 0..20)) {
        io(&stat, &stat);
        if let Some(second) = stat.first() {
            watch::moment(*second % (1 << 40));
        }
    }

    #[test]
    fn a_table_that_was_written_is_read_back(
        groups in prop::collection::vec(prop::collection::vec((0_u32..300, 0_u32..300), 1..4), 1..4),
        queues in any::<bool>(),
    ) {
        let mut line = format!("m: 0 99 multipath {} 0 {} 1", if queues { "1 queue_if_no_path" } else { "0" }, groups.len());
        for group in &groups {
            line.push_str(&format!(" round-robin 0 {} 1", group.len()));
            for (major, minor) in group {
                line.push_str(&format!(" {major}:{minor} 1"));
            }
        }
        let map = convert::parse(&line).unwrap();
        prop_assert_eq!(map.queues, queues);
        let read: Vec<Vec<String>> = map.groups.into_iter().map(|group| group.devices).collect();
        let written: Vec<Vec<String>> = groups
            .iter()
            .map(|group| group.iter().map(|(major, minor)| format!("{major}:{minor}")).collect())
            .collect();
        prop_assert_eq!(read, written);
    }
}
