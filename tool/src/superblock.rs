// SPDX-License-Identifier: GPL-2.0-or-later

//! The level of an array by what a member's superblock says: `struct mdp_superblock_1` and `mdp_super_t` of
//! `linux/raid/md_p.h`, in the places where md core looks for them.

use std::{fs::File, io, os::unix::fs::FileExt, path::Path};

/// The level that md core called multipath.
pub const MULTIPATH: i32 = -4;

const MAGIC: i32 = 0xa92b_4efc_u32 as i32;
const SECTOR: u64 = 512;

/// The level in the superblock of a device of so many sectors, for metadata such as `1.2`. `None` if there is no
/// superblock there.
///
/// # Errors
///
/// The device cannot be read: `EACCES` for an ordinary user.
pub fn level(device: &Path, metadata: &str, sectors: u64) -> io::Result<Option<i32>> {
    let Some((start, level_at, word)) = place(metadata, sectors) else {
        return Ok(None);
    };
    let file = File::open(device)?;
    let read = |at: u64| {
        let mut bytes = [0; 4];
        file.read_exact_at(&mut bytes, start.saturating_add(at))?;
        io::Result::Ok(word(bytes))
    };
    Ok(match read(0)? {
        MAGIC => Some(read(level_at)?),
        _ => None,
    })
}

type Word = fn([u8; 4]) -> i32;

/// Where a superblock begins, in bytes; where in it the level is; and how a number is read.
fn place(metadata: &str, sectors: u64) -> Option<(u64, u64, Word)> {
    // 0.90 is in the byte order of the machine that made it; 1.x is little-endian.
    let (sector, level_at, word): (u64, u64, Word) = match metadata {
        "0.90" => ((sectors & !127).checked_sub(128)?, 28, i32::from_ne_bytes),
        "1.0" => (sectors.checked_sub(16)? & !7, 72, i32::from_le_bytes),
        "1.1" => (0, 72, i32::from_le_bytes),
        "1.2" => (8, 72, i32::from_le_bytes),
        _ => return None,
    };
    Some((sector.checked_mul(SECTOR)?, level_at, word))
}
