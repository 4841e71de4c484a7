// SPDX-License-Identifier: GPL-2.0-or-later

//! Whether a device is the disk that the array's other paths lead to. Plain data that depends on
//! `core` alone.

use crate::abstractions::designator::{Designator, Kind};
use core::fmt;

/// What a disk calls itself. It may have a name of each kind, or none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Identity([Option<Designator>; Kind::ALL.len()]);

impl Identity {
    /// The identity of a disk that `reported` tells the designators of.
    pub(crate) fn of(reported: impl FnMut(Kind) -> Option<Designator>) -> Self {
        Self(Kind::ALL.map(reported))
    }

    /// The kinds, with what each of the two has.
    fn both<'a>(
        &'a self,
        other: &'a Self,
    ) -> impl Iterator<Item = (Kind, Option<Designator>, Option<Designator>)> + 'a {
        Kind::ALL
            .into_iter()
            .zip(self.0.iter().zip(other.0.iter()))
            .map(|(kind, (one, other))| (kind, *one, *other))
    }
}

/// Where on its disk a device is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Extent {
    /// The sector of the disk that it begins at. Not zero for a partition.
    pub(crate) start: u64,
    /// Its size, in sectors.
    pub(crate) sectors: u64,
}

/// What shows that a device is not the disk that the array has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Difference {
    /// It calls itself otherwise.
    Identity {
        kind: Kind,
        device: Designator,
        array: Designator,
    },
    /// It has another size, in sectors.
    Size { device: u64, array: u64 },
    /// It is another part of the disk.
    Start { device: u64, array: u64 },
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Identity {
                kind,
                device,
                array,
            } => write!(
                f,
                "not the same disk: its {kind} is {device}, the array's is {array}"
            ),
            Self::Size { device, array } => write!(
                f,
                "not the same disk: it has {device} sectors, the array's has {array}"
            ),
            Self::Start { device, array } => write!(
                f,
                "not the same part of the disk: it begins at sector {device}, the array's at {array}"
            ),
        }
    }
}

/// What could be told of a device that is not known to be another disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Likeness {
    /// It calls itself what the array's disk is called.
    Same,
    /// There is no kind of name that both have.
    Unknown,
}

/// The names, or `unknown` if there are none.
impl fmt::Display for Known {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut before = "";
        for (kind, name, _) in self.identity.both(&self.identity) {
            if let Some(name) = name {
                write!(f, "{before}{kind} {name}")?;
                before = ", ";
            }
        }
        match before {
            "" => f.write_str("unknown"),
            _ => Ok(()),
        }
    }
}

/// What an array knows of its disk. It outlives the paths that it was had from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Known {
    identity: Identity,
    doubted: bool,
    /// Where on it the path is that was taken in last.
    pub(crate) extent: Option<Extent>,
}

impl Known {
    /// Compares a device to the array's disk. `extent` is that of one of the array's paths; without one
    /// whose device is there, it is that of the path that was taken in last, since when the disk may have
    /// grown: then a name is enough.
    ///
    /// # Errors
    ///
    /// The first difference: two names of one kind that differ, then size, then place.
    pub(crate) fn compare(
        &self,
        extent: Option<Extent>,
        identity: &Identity,
        device: Extent,
    ) -> Result<Likeness, Difference> {
        let (extent, fresh) = match (extent, self.extent) {
            (Some(extent), _) => (extent, true),
            (None, Some(extent)) => (extent, false),
            (None, None) => (device, true),
        };
        let mut likeness = Likeness::Unknown;
        for names in self.identity.both(identity) {
            let (kind, Some(array), Some(device)) = names else {
                continue;
            };
            if array != device {
                return Err(Difference::Identity {
                    kind,
                    device,
                    array,
                });
            }
            likeness = Likeness::Same;
        }
        if device.sectors != extent.sectors && (fresh || likeness == Likeness::Unknown) {
            return Err(Difference::Size {
                device: device.sectors,
                array: extent.sectors,
            });
        }
        if device.start != extent.start {
            return Err(Difference::Start {
                device: device.start,
                array: extent.start,
            });
        }
        Ok(likeness)
    }

    /// Learns the names that were not known yet, of a device that was taken in.
    pub(crate) fn learn(&mut self, identity: &Identity) {
        for (known, new) in self.identity.0.iter_mut().zip(identity.0) {
            *known = known.or(new);
        }
    }

    /// Whether this is the first doubt about the disk.
    pub(crate) fn doubt(&mut self) -> bool {
        !core::mem::replace(&mut self.doubted, true)
    }
}
