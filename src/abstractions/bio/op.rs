// SPDX-License-Identifier: GPL-2.0-or-later

//! What an I/O does: the operation and the flags of `blk_opf_t` that matter when it fails.
//!
//! C header: `include/linux/blk_types.h` (Linux 7.3). Plain data that depends on `core` alone.

macro_rules! operations {
    ($($(#[$doc:meta])* $name:ident = $value:literal, $c_name:ident;)*) => {
        /// An operation: `enum req_op`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Kind {
            $($(#[$doc])* $name,)*
            /// A value that this kernel's header does not name.
            Other(u8),
        }

        impl Kind {
            /// Every operation that has a name, with its value and its name in C.
            #[allow(dead_code)]
            pub(crate) const NAMED: &'static [(Self, u8, &'static str)] =
                &[$((Self::$name, $value, stringify!($c_name)),)*];

            /// The operation of a `blk_opf_t`, of which the lowest byte is the operation.
            pub(crate) const fn from_opf(opf: u32) -> Self {
                match opf as u8 {
                    $($value => Self::$name,)*
                    other => Self::Other(other),
                }
            }

            /// The operation as a `blk_opf_t` has it in its lowest byte.
            #[allow(dead_code)]
            pub(crate) const fn to_raw(self) -> u8 {
                match self {
                    $(Self::$name => $value,)*
                    Self::Other(raw) => raw,
                }
            }
        }
    };
}

operations! {
    /// Reads.
    Read = 0, REQ_OP_READ;
    /// Writes.
    Write = 1, REQ_OP_WRITE;
    /// Flushes the disk's write cache. To drivers of bios it comes as an empty write with `REQ_PREFLUSH`.
    Flush = 2, REQ_OP_FLUSH;
    /// Gives sectors up.
    Discard = 3, REQ_OP_DISCARD;
    /// Gives sectors up so that they cannot be read again.
    SecureErase = 5, REQ_OP_SECURE_ERASE;
    /// Writes at a zone's write pointer.
    ZoneAppend = 7, REQ_OP_ZONE_APPEND;
    /// Writes zeroes without sending them.
    WriteZeroes = 9, REQ_OP_WRITE_ZEROES;
    /// Opens a zone.
    ZoneOpen = 11, REQ_OP_ZONE_OPEN;
    /// Closes a zone.
    ZoneClose = 13, REQ_OP_ZONE_CLOSE;
    /// Makes a zone full.
    ZoneFinish = 15, REQ_OP_ZONE_FINISH;
    /// Empties a zone.
    ZoneReset = 17, REQ_OP_ZONE_RESET;
    /// Empties all zones.
    ZoneResetAll = 19, REQ_OP_ZONE_RESET_ALL;
    /// A driver's own command, from the device.
    DriverIn = 34, REQ_OP_DRV_IN;
    /// A driver's own command, to the device.
    DriverOut = 35, REQ_OP_DRV_OUT;
}

/// The operation of an I/O, as far as it decides what a failure means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Op {
    /// What it does.
    pub(crate) kind: Kind,
    /// Nobody waits for it; it may fail for any reason.
    pub(crate) read_ahead: bool,
    /// Its submitter must not be made to sleep.
    pub(crate) nowait: bool,
    /// It flushes the disk's write cache, or is to get past it: a [`Kind::Flush`], or a write with
    /// `REQ_PREFLUSH` or `REQ_FUA`.
    pub(crate) flushes: bool,
    /// All of it is to be written, or nothing: `REQ_ATOMIC`.
    pub(crate) atomic: bool,
}

impl Op {
    /// Whether every disk to which it gets can do it. Where the device has no `REQ_FUA`, the block layer has another
    /// way; it asks for no flush where there is no cache, and for no atomic write where there are none (C:
    /// `submit_bio_noacct`).
    pub(crate) const fn is_plain(self) -> bool {
        matches!(self.kind, Kind::Read | Kind::Write | Kind::Flush)
    }

    /// Whether it changes what is on the disk, so that it matters when the disk gets to it.
    pub(crate) const fn changes_data(self) -> bool {
        match self.kind {
            Kind::Write
            | Kind::Discard
            | Kind::SecureErase
            | Kind::ZoneAppend
            | Kind::WriteZeroes
            | Kind::ZoneOpen
            | Kind::ZoneClose
            | Kind::ZoneFinish
            | Kind::ZoneReset
            | Kind::ZoneResetAll
            | Kind::DriverOut
            | Kind::Other(_) => true,
            Kind::Read | Kind::Flush | Kind::DriverIn => false,
        }
    }
}
