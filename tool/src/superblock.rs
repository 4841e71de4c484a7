// SPDX-License-Identifier: GPL-2.0-or-later

//! The level of an array by what a member's superblock says: `struct mdp_superblock_1` and `mdp_super_t` of
//! `linux/raid/md_p.h`, in the places where md core looks for them.

use std::{fs::File, os::unix::fs::FileExt, path::Path};

/// The level that md core called multipath.
pub const MULTIPATH: i32 = -4;

const MAGIC: i32 = 0xa92b_4efc_u32 as i32;
const SECTOR: u64 = 512;

/// The level in the superblock of a device of so many sectors, for metadata such as `1.2`. `None` if there is no
/// superblock there, and if the device cannot be read, as by an ordinary user.
pub fn level(device: &Path, metadata: &str, sectors: u64) -> Option<i32> {
    // 0.90 is in the byte order of the machine that made it; 1.x is little-endian.
    type Word = fn([u8; 4]) -> i32;
    let (sector, level_at, word): (u64, u64, Word) = match metadata {
        "0.90" => ((sectors & !127).checked_sub(128)?, 28, i32::from_ne_bytes),
        "1.0" => (sectors.checked_sub(16)? & !7, 72, i32::from_le_bytes),
        "1.1" => (0, 72, i32::from_le_bytes),
        "1.2" => (8, 72, i32::from_le_bytes),
        _ => return None,
    };
    let start = sector.checked_mul(SECTOR)?;
    let file = File::open(device).ok()?;
    let read = |at: u64| {
        let mut bytes = [0; 4];
        file.read_exact_at(&mut bytes, start.checked_add(at)?)
            .ok()?;
        Some(word(bytes))
    };
    (read(0)? == MAGIC).then_some(())?;
    read(level_at)
}
