// SPDX-License-Identifier: GPL-2.0-or-later

//! Events as they come: uevents of the kernel, by a netlink socket.

use rustix::{
    io::Errno,
    net::{
        bind, netlink, recvfrom, socket_with, sockopt, AddressFamily, RecvFlags, SocketFlags,
        SocketType,
    },
};
use serde::Serialize;
use std::{
    io::{self, Write},
    os::fd::OwnedFd,
    time::{SystemTime, UNIX_EPOCH},
};

/// What happened to a path, or that nobody knows what happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Event {
    pub array: String,
    pub event: String,
    pub path: String,
    pub slot: u64,
    pub paths_left: u64,
    /// How many events of the slot this one stands for.
    pub times: u64,
}

/// The event that a kernel's message tells of, if it tells of one: `ACTION@PLACE`, then variables, each
/// with a zero byte after it.
pub fn parse(message: &[u8]) -> Option<Event> {
    let mut fields = message.split(|byte| *byte == 0);
    let (action, _) = std::str::from_utf8(fields.next()?).ok()?.split_once('@')?;
    if action != "change" {
        return None;
    }
    let mut event = Event {
        array: String::new(),
        event: String::new(),
        path: String::new(),
        slot: 0,
        paths_left: 0,
        times: 1,
    };
    for field in fields {
        let Some((name, value)) = std::str::from_utf8(field)
            .ok()
            .and_then(|field| field.split_once('='))
        else {
            continue;
        };
        match name {
            "DEVNAME" => event.array = value.to_owned(),
            "MD_MULTIPATH_EVENT" => event.event = value.to_owned(),
            "MD_MULTIPATH_PATH" => event.path = value.to_owned(),
            "MD_MULTIPATH_SLOT" => event.slot = value.parse().ok()?,
            "MD_MULTIPATH_PATHS_LEFT" => event.paths_left = value.parse().ok()?,
            "MD_MULTIPATH_TIMES" => event.times = value.parse().ok()?,
            _ => {}
        }
    }
    (!event.event.is_empty() && !event.array.is_empty()).then_some(event)
}

/// A moment as `2026-01-31T12:34:56Z`.
pub fn moment(since_epoch_s: u64) -> String {
    let (days, second) = (since_epoch_s / 86_400, since_epoch_s % 86_400);
    // Years that begin in March end with the leap day. Eras of 400 years are equally long.
    let shifted = days.saturating_add(719_468);
    let (era, day) = (shifted / 146_097, shifted % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let shifted_month = (5 * day + 2) / 153;
    let day = day - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
    let year = era * 400 + year + u64::from(month <= 2);
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z",
        second / 3600,
        second / 60 % 60,
        second % 60
    )
}

/// A line of output.
#[derive(Serialize)]
struct Line<'a> {
    time: &'a str,
    #[serde(flatten)]
    event: &'a Event,
}

fn show(event: &Event, time: &str, json: bool) -> io::Result<()> {
    let mut out = io::stdout().lock();
    if json {
        serde_json::to_writer(&mut out, &Line { time, event })?;
        writeln!(out)?;
    } else {
        let times = match event.times {
            0 | 1 => String::new(),
            times => format!(" (the last of {times} events of this slot)"),
        };
        writeln!(
            out,
            "{time} {}: {} {}, slot {}, {} paths left{times}",
            event.array, event.event, event.path, event.slot, event.paths_left
        )?;
    }
    out.flush()
}

/// The group of the socket that the kernel itself sends to.
const KERNEL: u32 = 1;

fn listen() -> io::Result<OwnedFd> {
    let socket = socket_with(
        AddressFamily::NETLINK,
        SocketType::DGRAM,
        SocketFlags::CLOEXEC,
        Some(netlink::KOBJECT_UEVENT),
    )?;
    // Room for a storm of events; the kernel bounds it.
    let _ = sockopt::set_socket_recv_buffer_size(&socket, 1 << 20);
    bind(&socket, &netlink::SocketAddrNetlink::new(0, KERNEL))?;
    Ok(socket)
}

/// Shows events until `count` are shown, or for ever.
///
/// # Errors
///
/// There is no socket, or nobody reads what is shown.
pub fn watch(json: bool, count: Option<u64>) -> io::Result<()> {
    let socket = listen()?;
    eprintln!("mdmultipath: waiting for events");
    let mut buffer = vec![0_u8; 1 << 16];
    let mut shown = 0_u64;
    while count.is_none_or(|count| shown < count) {
        let (length, sender) = match recvfrom(&socket, buffer.as_mut_slice(), RecvFlags::empty()) {
            Ok((length, _, sender)) => (length, sender),
            Err(Errno::NOBUFS) => {
                eprintln!("mdmultipath: events came faster than they were read: some are lost");
                continue;
            }
            Err(Errno::INTR) => continue,
            Err(error) => return Err(error.into()),
        };
        // Only what the kernel says counts.
        let from_kernel = sender
            .and_then(|sender| netlink::SocketAddrNetlink::try_from(sender).ok())
            .is_some_and(|sender| sender.pid() == 0);
        let Some(event) = buffer.get(..length).filter(|_| from_kernel).and_then(parse) else {
            continue;
        };
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_secs());
        show(&event, &moment(now), json)?;
        shown = shown.saturating_add(1);
    }
    Ok(())
}
