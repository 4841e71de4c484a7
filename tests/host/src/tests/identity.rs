// SPDX-License-Identifier: GPL-2.0-or-later

//! Which devices may be paths to one disk.

use crate::{
    abstractions::designator::{Designator, Kind},
    multipath::identity::{Difference, Extent, Identity, Known, Likeness},
};
use proptest::prelude::*;

const HERE: Extent = Extent {
    start: 0,
    sectors: 1000,
};

fn name(first: u8, len: usize) -> Option<Designator> {
    Designator::new([first; 16], len)
}

fn identity(
    t10: Option<Designator>,
    eui64: Option<Designator>,
    naa: Option<Designator>,
) -> Identity {
    Identity::of(|kind| match kind {
        Kind::T10 => t10,
        Kind::Eui64 => eui64,
        Kind::Naa => naa,
    })
}

/// What an array knows that has met one disk.
fn known(identity: &Identity) -> Known {
    let mut known = Known::default();
    known.learn(identity);
    known
}

fn compare(one: &Identity, other: &Identity) -> Result<Likeness, Difference> {
    known(one).compare(Some(HERE), other, HERE)
}

/// Few values, so that equal ones are met often.
fn designators() -> impl Strategy<Value = Option<Designator>> {
    prop_oneof![
        Just(None),
        (0u8..3, prop_oneof![Just(8usize), Just(16)]).prop_map(|(first, len)| name(first, len)),
    ]
}

fn identities() -> impl Strategy<Value = Identity> {
    (designators(), designators(), designators())
        .prop_map(|(t10, eui64, naa)| identity(t10, eui64, naa))
}

#[test]
fn a_designator_has_1_to_16_bytes() {
    for len in 0..40 {
        assert_eq!(name(1, len).is_some(), (1..=16).contains(&len), "{len}");
    }
}

#[test]
fn what_follows_a_designator_is_no_part_of_it() {
    let mut other = [7; 16];
    other[8..].fill(9);
    assert_eq!(Designator::new([7; 16], 8), Designator::new(other, 8));
    assert_ne!(Designator::new([7; 16], 9), Designator::new(other, 9));
}

#[test]
fn designators_are_shown_in_hexadecimal() {
    let bytes = [
        0x50, 0x00, 0xc5, 0x00, 0x0a, 0xb2, 0xc3, 0xd4, 1, 1, 1, 1, 1, 1, 1, 1,
    ];
    assert_eq!(
        Designator::new(bytes, 8).unwrap().to_string(),
        "5000c5000ab2c3d4"
    );
}

#[test]
fn the_same_name_is_the_same_disk() {
    let disk = identity(None, None, name(5, 8));
    assert_eq!(compare(&disk, &disk), Ok(Likeness::Same));
    // Other kinds that only one of them has do not matter.
    assert_eq!(
        compare(&disk, &identity(name(1, 8), name(2, 16), name(5, 8))),
        Ok(Likeness::Same)
    );
}

#[test]
fn another_name_is_another_disk_and_both_are_shown() {
    let difference = compare(
        &identity(None, None, name(0x50, 8)),
        &identity(None, None, name(0x33, 8)),
    )
    .unwrap_err();
    assert_eq!(
        difference.to_string(),
        "not the same disk: its NAA is 3333333333333333, the array's is 5050505050505050"
    );
}

#[test]
fn a_name_that_is_longer_is_another() {
    assert!(compare(
        &identity(None, name(5, 8), None),
        &identity(None, name(5, 16), None)
    )
    .is_err());
}

#[test]
fn nothing_in_common_says_nothing() {
    let none = Identity::default();
    let t10 = identity(name(1, 8), None, None);
    let naa = identity(None, None, name(1, 8));
    for (one, other) in [
        (none, none),
        (none, naa),
        (naa, none),
        (t10, naa),
        (naa, t10),
    ] {
        assert_eq!(compare(&one, &other), Ok(Likeness::Unknown));
    }
}

#[test]
fn size_and_place_have_to_be_equal() {
    for disk in [Identity::default(), identity(None, None, name(1, 8))] {
        for sectors in [0, 999, 1001, u64::MAX] {
            let other = Extent { sectors, ..HERE };
            let difference = known(&disk).compare(Some(HERE), &disk, other).unwrap_err();
            assert_eq!(
                difference.to_string(),
                format!("not the same disk: it has {sectors} sectors, the array's has 1000")
            );
        }
        let other = Extent {
            start: 2048,
            ..HERE
        };
        let difference = known(&disk).compare(Some(HERE), &disk, other).unwrap_err();
        assert_eq!(
            difference.to_string(),
            "not the same part of the disk: it begins at sector 2048, the array's at 0"
        );
    }
}

#[test]
fn a_disk_that_grew_while_no_path_was_there_is_known_by_its_name() {
    let named = identity(None, None, name(1, 8));
    let grown = Extent {
        sectors: 2000,
        ..HERE
    };
    let moved = Extent {
        start: 2048,
        ..grown
    };
    let met = |disk: &Identity| {
        let mut known = known(disk);
        known.extent = Some(HERE);
        known
    };
    let without = |disk: &Identity, path| met(disk).compare(None, disk, path);
    assert_eq!(without(&named, grown), Ok(Likeness::Same));
    assert_eq!(without(&Identity::default(), HERE), Ok(Likeness::Unknown));
    assert!(without(&Identity::default(), grown).is_err());
    assert!(without(&named, moved).is_err());
    assert!(met(&named).compare(Some(HERE), &named, grown).is_err());
}

#[test]
fn there_is_one_first_doubt() {
    let mut known = Known::default();
    assert!(known.doubt());
    assert!(!known.doubt());
    assert!(!known.doubt());
}

proptest! {
    #![proptest_config(super::config(2_000))]

    /// Comparing does not depend on who was first.
    #[test]
    fn likeness_is_mutual(one in identities(), other in identities()) {
        prop_assert_eq!(compare(&one, &other).ok(), compare(&other, &one).ok());
    }

    #[test]
    fn every_common_name_counts(
        one in [designators(), designators(), designators()],
        other in [designators(), designators(), designators()],
    ) {
        let mut common = 0;
        let mut differ = 0;
        for (a, b) in one.into_iter().zip(other) {
            if let (Some(a), Some(b)) = (a, b) {
                common += 1;
                differ += u32::from(a != b);
            }
        }
        let [one, other] = [one, other].map(|[t10, eui64, naa]| identity(t10, eui64, naa));
        match compare(&one, &other) {
            Ok(Likeness::Same) => prop_assert!(common > 0 && differ == 0),
            Ok(Likeness::Unknown) => prop_assert_eq!(common, 0),
            Err(_) => prop_assert!(differ > 0),
        }
    }

    /// What was learned once stays, whatever paths come and go after it.
    #[test]
    fn names_are_not_forgotten(first in identities(), later in prop::collection::vec(identities(), 0..6)) {
        let mut array = known(&first);
        for path in &later {
            if array.compare(Some(HERE), path, HERE).is_ok() {
                array.learn(path);
            }
        }
        let back = array.compare(Some(HERE), &first, HERE);
        prop_assert!(back.is_ok());
        for path in later {
            // Who is taken in after all that is like the first, where that can be told.
            if array.compare(Some(HERE), &path, HERE).is_ok() {
                prop_assert!(compare(&first, &path).is_ok());
            }
        }
    }
}

#[test]
fn what_is_known_of_a_disk_is_shown() {
    assert_eq!(Known::default().to_string(), "unknown");
    let disk = identity(None, name(0x25, 16), name(0x50, 8));
    assert_eq!(
        known(&disk).to_string(),
        format!("EUI-64 {}, NAA {}", "25".repeat(16), "50".repeat(8))
    );
}
