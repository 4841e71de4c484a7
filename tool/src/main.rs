// SPDX-License-Identifier: GPL-2.0-or-later

//! `mdmultipath`: shows and checks md multipath arrays.

use clap::{CommandFactory, Parser, Subcommand};
use clap_complete::Shell;
use mdmultipath::{
    check::{self, Severity},
    convert,
    model::{self, Array, Report, FORMAT},
    report,
    sysfs::Root,
    watch,
};
use serde::Serialize;
use std::{
    fs,
    io::{self, Read, Write},
    path::PathBuf,
    process::ExitCode,
    thread,
    time::Duration,
};

/// Shows and checks md multipath arrays.
///
/// What only root may read, the counters of the module in debugfs, is left out for others, and where
/// debugfs is not mounted.
#[derive(Parser)]
#[command(name = "mdmultipath", version, disable_help_subcommand = true)]
struct Arguments {
    /// Read below this directory instead of /.
    #[arg(long, global = true, hide = true, default_value = "/")]
    root: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Shows arrays, their settings and their paths.
    ///
    /// Latencies are means since the device appeared, in milliseconds.
    Status {
        /// Arrays, such as md0; all by default.
        arrays: Vec<String>,
        /// As JSON.
        #[arg(long, conflicts_with = "prometheus")]
        json: bool,
        /// In the text format of Prometheus.
        #[arg(long)]
        prometheus: bool,
        /// Again and again, every two seconds, until it is interrupted.
        #[arg(short, long, conflicts_with_all = ["json", "prometheus"])]
        watch: bool,
    },
    /// Says what is wrong with arrays, and what to do.
    ///
    /// The exit status is what monitoring systems expect: 0 if nothing is wrong, 1 for a warning, 2 if
    /// something is critical, 3 if it cannot be told. Advice does not change it. The level of an
    /// array that has not been started may stand on its members only, which root may read: for others an
    /// array of any level that waits to be started is a reason for 3.
    Check {
        /// Arrays, such as md0; all by default.
        arrays: Vec<String>,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Shows events of paths as they come.
    Watch {
        /// One JSON object a line.
        #[arg(long)]
        json: bool,
        /// End after this many events.
        #[arg(short = 'n', long)]
        count: Option<u64>,
    },
    /// Prints the commands that replace a multipath map of device mapper by an array, or back.
    ///
    /// Reads what `dmsetup table --target multipath` shows, from a file or from standard input. With
    /// --back it reads a running array. Nothing is executed: read what it prints, then run it with sh.
    ///
    /// Kernel names such as sda change from boot to boot. The commands for an array are for each boot as well: they take
    /// paths by their links in /dev/disk/by-path, and stop where one leads to another disk than it does now. Where
    /// nothing tells which disk that is, they say so.
    Convert {
        /// The file with the table.
        #[arg(conflicts_with = "back")]
        file: Option<PathBuf>,
        /// The other way: from this array to a map.
        #[arg(long, value_name = "ARRAY")]
        back: Option<String>,
    },
    /// Prints a completion script for a shell.
    Completion { shell: Shell },
    /// Prints this manual page.
    #[command(hide = true)]
    Man,
}

/// Why a command failed; for a person.
type Failure = String;

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // Nothing can be done if nobody reads it.
            let _ = error.print();
            // Monitoring takes 2 for critical, and wrong usage is none.
            return ExitCode::from(if error.use_stderr() { 3 } else { 0 });
        }
    };
    match run(&arguments) {
        Ok(status) => ExitCode::from(status),
        Err(failure) => {
            eprintln!("mdmultipath: {failure}");
            ExitCode::from(3)
        }
    }
}

fn run(arguments: &Arguments) -> Result<u8, Failure> {
    let root = Root::new(&arguments.root);
    match &arguments.command {
        Command::Status {
            arrays,
            json,
            prometheus,
            watch,
        } => {
            loop {
                let report = read(&root, arrays)?;
                let text = match (json, prometheus) {
                    (true, _) => to_json(&report)?,
                    (_, true) => report::prometheus(&report),
                    _ => report::text(&report),
                };
                if !*watch {
                    return print(&text);
                }
                // To the top left, each line ended, and what is below cleared.
                print(&format!("\x1b[H{}\x1b[J", text.replace('\n', "\x1b[K\n")))?;
                thread::sleep(Duration::from_secs(2));
            }
        }
        Command::Check { arrays, json } => run_check(&read(&root, arrays)?, *json),
        Command::Watch { json, count } => {
            watch::watch(*json, *count).map_err(|error| format!("events: {error}"))?;
            Ok(0)
        }
        Command::Convert { file, back } => run_convert(&root, file.as_ref(), back.as_deref()),
        Command::Completion { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(
                *shell,
                &mut Arguments::command(),
                "mdmultipath",
                &mut script,
            );
            print(&String::from_utf8_lossy(&script))
        }
        Command::Man => print(&manual().map_err(|error| error.to_string())?),
    }
}

/// Writes to standard output. Whoever has gone away wants no more.
fn print(text: &str) -> Result<u8, Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(0),
        Err(error) => Err(format!("standard output: {error}")),
        Ok(()) => Ok(0),
    }
}

fn to_json(value: &impl Serialize) -> Result<String, Failure> {
    serde_json::to_string_pretty(value)
        .map(|text| text + "\n")
        .map_err(|error| error.to_string())
}

/// The arrays of these names, or all.
fn read(root: &Root, wanted: &[String]) -> Result<Report, Failure> {
    let mut report = model::read(root).map_err(|error| format!("/sys/block: {error}"))?;
    if wanted.is_empty() {
        return Ok(report);
    }
    let wanted: Vec<String> = wanted.iter().map(|name| kernel_name(name)).collect();
    for name in &wanted {
        let arrays = report.arrays.iter().map(|array| &array.name);
        if !arrays
            .chain(&report.undetermined)
            .any(|found| found == name)
        {
            return Err(format!("{name}: no multipath array has this name"));
        }
    }
    report.arrays.retain(|array| wanted.contains(&array.name));
    report.undetermined.retain(|name| wanted.contains(name));
    Ok(report)
}

/// `md0` of `/dev/md0`, and what `/dev/md/NAME` leads to.
fn kernel_name(name: &str) -> String {
    let place = match name.starts_with('/') {
        true => fs::canonicalize(name).unwrap_or_else(|_| PathBuf::from(name)),
        false => PathBuf::from(name),
    };
    place
        .file_name()
        .and_then(|name| name.to_str())
        .unwrap_or(name)
        .to_owned()
}

#[derive(Serialize)]
struct Checked {
    format: u32,
    arrays: Vec<String>,
    findings: Vec<check::Finding>,
}

fn run_check(report: &Report, json: bool) -> Result<u8, Failure> {
    if report.arrays.is_empty() && report.undetermined.is_empty() {
        return Err("there is no multipath array to check".to_owned());
    }
    let mut findings: Vec<check::Finding> = report.arrays.iter().flat_map(check::check).collect();
    findings.extend(
        report
            .undetermined
            .iter()
            .map(|name| check::undetermined(name)),
    );
    let worst = findings.iter().map(|finding| finding.severity).max();
    let status = worst.map_or(0, Severity::status);
    if json {
        print(&to_json(&Checked {
            format: FORMAT,
            arrays: report
                .arrays
                .iter()
                .map(|array| array.name.clone())
                .collect(),
            findings,
        })?)?;
        return Ok(status);
    }
    let mut text = String::new();
    for array in &report.arrays {
        let wrong = findings
            .iter()
            .filter(|finding| finding.array == array.name && finding.severity > Severity::Advice);
        if wrong.count() == 0 {
            text.push_str(&format!(
                "{}: OK, {} of {} paths work\n",
                array.name, array.working, array.slots
            ));
        }
    }
    for finding in findings {
        text.push_str(&format!(
            "{}: {}: {}\n",
            finding.array,
            finding.severity.name(),
            finding.text
        ));
    }
    print(&text)?;
    Ok(status)
}

fn run_convert(root: &Root, file: Option<&PathBuf>, back: Option<&str>) -> Result<u8, Failure> {
    if let Some(name) = back {
        let report = read(root, &[name.to_owned()])?;
        if let Some(name) = report.undetermined.first() {
            return Err(format!("{name}: it does not run"));
        }
        let commands: Result<Vec<String>, Failure> = report
            .arrays
            .iter()
            .map(|array: &Array| convert::to_map(root, array))
            .collect();
        return print(&commands?.concat());
    }
    let text = match file {
        Some(file) => {
            fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?
        }
        None => {
            let mut text = String::new();
            io::stdin()
                .read_to_string(&mut text)
                .map_err(|error| format!("standard input: {error}"))?;
            text
        }
    };
    let mut commands = String::new();
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        let map = convert::parse(line)?;
        commands.push_str(&convert::to_array(root, &map)?);
        // In the commands as well, but those may go to a shell unread.
        if let Some(lost) = convert::handler_lost(&map) {
            eprintln!("mdmultipath: {lost}");
        }
    }
    if commands.is_empty() {
        return Err("there is no map in what was given".to_owned());
    }
    print(&commands)
}

/// The manual page: one for all commands.
fn manual() -> io::Result<String> {
    let mut page = Vec::new();
    let command = Arguments::command();
    let man = clap_mangen::Man::new(command.clone())
        .section("8")
        .date("2026-11-25")
        .manual("System Administration");
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    writeln!(page, ".SH COMMANDS")?;
    for part in command.get_subcommands().filter(|part| !part.is_hide_set()) {
        let mut part = part.clone();
        // Each is described as one of the tool's.
        let usage = part
            .render_usage()
            .to_string()
            .replace("Usage: ", "mdmultipath ");
        writeln!(page, ".SS \"{usage}\"")?;
        let about = part.get_long_about().or(part.get_about());
        for line in about
            .map(|about| about.to_string())
            .unwrap_or_default()
            .lines()
        {
            match line {
                "" => writeln!(page, ".PP")?,
                line => writeln!(page, "{}", line.replace('-', "\\-"))?,
            }
        }
        clap_mangen::Man::new(part).render_options_section(&mut page)?;
    }
    page.write_all(
        b".SH FILES\n.TP\n.I /sys/block/mdX/md/\nThe settings; see\n.BR md_multipath (4).\n\
          .TP\n.I /sys/kernel/debug/md_multipath/mdX/\nWhat the module counts, for root.\n\
          .SH \"SEE ALSO\"\n.BR md_multipath (4),\n.BR mdadm (8),\n.BR multipath (8)\n",
    )?;
    let page = String::from_utf8_lossy(&page).into_owned();
    // An options section of a command stands below that command.
    Ok(page
        .replace(".SH OPTIONS", ".PP\nOptions:")
        .replace("\n\n.br\n", "\n.br\n"))
}
