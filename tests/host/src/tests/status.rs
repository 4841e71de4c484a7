// SPDX-License-Identifier: GPL-2.0-or-later

//! `Status` against `include/linux/blk_types.h` (Linux 7.3).

use crate::abstractions::bio::Status;
use std::collections::HashSet;

/// The header's numbers, written out a second time.
const HEADER: &[(u8, &str)] = &[
    (0, "BLK_STS_OK"),
    (1, "BLK_STS_NOTSUPP"),
    (2, "BLK_STS_TIMEOUT"),
    (3, "BLK_STS_NOSPC"),
    (4, "BLK_STS_TRANSPORT"),
    (5, "BLK_STS_TARGET"),
    (6, "BLK_STS_RESV_CONFLICT"),
    (7, "BLK_STS_MEDIUM"),
    (8, "BLK_STS_PROTECTION"),
    (9, "BLK_STS_RESOURCE"),
    (10, "BLK_STS_IOERR"),
    (11, "BLK_STS_DM_REQUEUE"),
    (12, "BLK_STS_AGAIN"),
    (13, "BLK_STS_DEV_RESOURCE"),
    (14, "BLK_STS_ZONE_OPEN_RESOURCE"),
    (15, "BLK_STS_ZONE_ACTIVE_RESOURCE"),
    (16, "BLK_STS_OFFLINE"),
    (17, "BLK_STS_DURATION_LIMIT"),
    (19, "BLK_STS_INVAL"),
];

#[test]
fn named_statuses_have_the_headers_numbers() {
    let named: Vec<_> = Status::NAMED
        .iter()
        .map(|&(_, raw, name)| (raw, name))
        .collect();
    assert_eq!(named, HEADER);
}

#[test]
fn variants_are_named_after_the_header() {
    for &(status, _, name) in Status::NAMED {
        let expected = name.strip_prefix("BLK_STS_").unwrap().replace('_', "");
        assert_eq!(format!("{status:?}").to_uppercase(), expected);
    }
}

#[test]
fn every_raw_value_goes_there_and_back() {
    let mut seen = HashSet::new();
    for raw in 0..=u8::MAX {
        let status = Status::from_raw(raw);
        assert_eq!(status.to_raw(), raw);
        assert!(seen.insert(format!("{status:?}")), "{status:?} twice");
        let named = HEADER.iter().any(|&(known, _)| known == raw);
        assert_eq!(status == Status::Other(raw), !named, "{raw}");
    }
}

#[test]
fn named_values_give_their_status() {
    for &(status, raw, _) in Status::NAMED {
        assert_eq!(Status::from_raw(raw), status);
        assert_eq!(status.to_raw(), raw);
    }
}
