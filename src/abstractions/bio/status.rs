// SPDX-License-Identifier: GPL-2.0-or-later

//! How an I/O ended: `blk_status_t` by name.
//!
//! C header: `include/linux/blk_types.h` (Linux 7.3). Plain data that depends on `core` alone.

macro_rules! statuses {
    ($($(#[$doc:meta])* $name:ident = $value:literal, $c_name:ident;)*) => {
        /// The result of an I/O.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Status {
            $($(#[$doc])* $name,)*
            /// A value that this kernel's header does not name.
            Other(u8),
        }

        impl Status {
            /// Every status that has a name, with its value and its name in C.
            #[allow(dead_code)]
            pub(crate) const NAMED: &'static [(Self, u8, &'static str)] =
                &[$((Self::$name, $value, stringify!($c_name)),)*];

            /// The status of a `blk_status_t`.
            #[inline]
            pub(crate) const fn from_raw(raw: u8) -> Self {
                if raw == 0 {
                    return Self::Ok;
                }
                Self::from_error(raw)
            }

            /// As [`from_raw`](Self::from_raw), away from what runs for every I/O.
            #[cold]
            #[inline(never)]
            const fn from_error(raw: u8) -> Self {
                match raw {
                    $($value => Self::$name,)*
                    other => Self::Other(other),
                }
            }

            /// The `blk_status_t` of a status.
            #[inline]
            pub(crate) const fn to_raw(self) -> u8 {
                match self {
                    $(Self::$name => $value,)*
                    Self::Other(raw) => raw,
                }
            }
        }
    };
}

statuses! {
    /// Success.
    Ok = 0, BLK_STS_OK;
    /// The device does not know the operation.
    NotSupp = 1, BLK_STS_NOTSUPP;
    /// No answer in time.
    Timeout = 2, BLK_STS_TIMEOUT;
    /// The disk is full (thin provisioning).
    NoSpc = 3, BLK_STS_NOSPC;
    /// The way to the disk is broken.
    Transport = 4, BLK_STS_TRANSPORT;
    /// The disk refused the command.
    Target = 5, BLK_STS_TARGET;
    /// Another initiator holds a reservation.
    ResvConflict = 6, BLK_STS_RESV_CONFLICT;
    /// The medium is bad here.
    Medium = 7, BLK_STS_MEDIUM;
    /// The protection information does not match.
    Protection = 8, BLK_STS_PROTECTION;
    /// Out of some resource.
    Resource = 9, BLK_STS_RESOURCE;
    /// Failed, with no reason given.
    IoErr = 10, BLK_STS_IOERR;
    /// Device mapper asks for a requeue.
    DmRequeue = 11, BLK_STS_DM_REQUEUE;
    /// The submitter did not want to wait.
    Again = 12, BLK_STS_AGAIN;
    /// Out of a resource of the device.
    DevResource = 13, BLK_STS_DEV_RESOURCE;
    /// Too many open zones.
    ZoneOpenResource = 14, BLK_STS_ZONE_OPEN_RESOURCE;
    /// Too many active zones.
    ZoneActiveResource = 15, BLK_STS_ZONE_ACTIVE_RESOURCE;
    /// The device is offline.
    Offline = 16, BLK_STS_OFFLINE;
    /// The command did not end within its duration limit.
    DurationLimit = 17, BLK_STS_DURATION_LIMIT;
    /// The I/O does not fit the device's limits.
    Inval = 19, BLK_STS_INVAL;
}
