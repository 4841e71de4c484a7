// SPDX-License-Identifier: GPL-2.0-or-later

//! Sets of slots against `BTreeSet`, the choices among them, and the line in `/proc/mdstat`.

use crate::multipath::slots::{choose, fail, Failure, Slots, StatusLine};
use proptest::prelude::*;
use std::collections::BTreeSet;

fn model(bits: u64) -> BTreeSet<usize> {
    (0..64).filter(|slot| bits & (1u64 << slot) != 0).collect()
}

fn set(model: &BTreeSet<usize>) -> Slots {
    model
        .iter()
        .fold(Slots::NONE, |slots, &slot| slots.with(Slots::one(slot)))
}

/// Sets of all sizes, not only those of about 32.
fn bits() -> impl Strategy<Value = u64> {
    prop_oneof![
        any::<u64>(),
        0u64..16,
        (any::<u64>(), any::<u64>(), any::<u64>()).prop_map(|(a, b, c)| a & b & c),
        (0u32..64).prop_map(|slot| 1 << slot),
        Just(0),
        Just(u64::MAX),
    ]
}

#[test]
fn there_are_64_slots() {
    assert_eq!(Slots::MAX, 64);
}

#[test]
fn one_is_that_one_only() {
    for slot in 0..64 {
        assert_eq!(Slots::one(slot).bits(), 1 << slot);
    }
    for slot in [64, 65, 128, 1 << 32, usize::MAX] {
        assert_eq!(Slots::one(slot), Slots::NONE);
        assert!(!Slots::from_bits(u64::MAX).contains(slot));
    }
}

#[test]
fn after_is_all_that_is_higher() {
    for slot in 0..70 {
        let higher = model(u64::MAX)
            .into_iter()
            .filter(|&other| other > slot)
            .collect();
        assert_eq!(Slots::below(64).after(slot), set(&higher), "{slot}");
        assert_eq!(Slots::NONE.after(slot), Slots::NONE);
    }
}

#[test]
fn below_is_all_that_is_lower() {
    for count in 0..=64 {
        assert_eq!(Slots::below(count), set(&(0..count).collect()), "{count}");
    }
    for count in [65, 128, usize::MAX] {
        assert_eq!(Slots::below(count).bits(), u64::MAX);
    }
}

#[test]
fn none_is_empty_and_the_default() {
    assert_eq!(Slots::NONE, Slots::default());
    assert!(Slots::NONE.is_empty());
    assert_eq!(Slots::NONE.first(), None);
    assert_eq!(Slots::NONE.len(), 0);
    assert_eq!(Slots::NONE.iter().next(), None);
}

#[test]
fn failing_takes_one_away_but_never_the_last() {
    for usable in 0..256u64 {
        for slot in 0..10 {
            let mut left = model(usable);
            let expected = if !left.remove(&slot) {
                Failure::NotUsed
            } else if left.is_empty() {
                Failure::Last
            } else {
                Failure::Failed(set(&left))
            };
            assert_eq!(fail(Slots::from_bits(usable), slot), expected);
        }
    }
}

#[test]
fn failing_all_leaves_one() {
    for order in [(0..64).collect::<Vec<_>>(), (0..64).rev().collect()] {
        let mut usable = Slots::below(64);
        for slot in order {
            match fail(usable, slot) {
                Failure::Failed(left) => {
                    assert_eq!(left.len(), usable.len() - 1);
                    usable = left;
                }
                Failure::Last => assert_eq!(usable, Slots::one(slot)),
                Failure::NotUsed => panic!("{slot} was in use"),
            }
        }
        assert_eq!(usable.len(), 1);
    }
}

#[test]
fn a_new_path_gets_its_old_slot_or_the_first_free_one() {
    for count in 0..=6 {
        for taken in 0..64u64 {
            let free: Vec<_> = (0..count).filter(|slot| taken & (1 << slot) == 0).collect();
            for before in [None]
                .into_iter()
                .chain((0..8).map(Some))
                .chain([Some(64), Some(usize::MAX)])
            {
                let expected = match before {
                    Some(slot) if free.contains(&slot) => Some(slot),
                    _ => free.first().copied(),
                };
                let chosen = choose(Slots::from_bits(taken), count, before);
                assert_eq!(
                    chosen, expected,
                    "{taken:06b} of {count}, before {before:?}"
                );
            }
        }
    }
}

#[test]
fn status_lines_are_the_originals() {
    for (count, usable, line) in [
        (2, 0b11, " [2/2] [UU]"),
        (2, 0b10, " [2/1] [_U]"),
        (2, 0b01, " [2/1] [U_]"),
        (2, 0b00, " [2/0] [__]"),
        (1, 0b1, " [1/1] [U]"),
        (3, 0b101, " [3/2] [U_U]"),
        (8, 0b1011_1110, " [8/6] [_UUUUU_U]"),
    ] {
        let usable = Slots::from_bits(usable);
        assert_eq!(StatusLine { count, usable }.to_string(), line);
    }
}

#[test]
fn a_status_line_of_64_paths_is_whole() {
    let mut expected = format!(" [64/63] [{}]", "U".repeat(64));
    expected.replace_range(16..17, "_");
    let line = StatusLine {
        count: 64,
        usable: Slots::below(64).without(Slots::one(6)),
    };
    assert_eq!(line.to_string(), expected);
}

proptest! {
    #![proptest_config(super::config(2_000))]

    #[test]
    fn sets_behave_like_sets(a in bits(), b in bits(), slot in 0usize..70) {
        let (slots, other) = (Slots::from_bits(a), Slots::from_bits(b));
        let (x, y) = (model(a), model(b));
        prop_assert_eq!(slots.bits(), a);
        prop_assert_eq!(slots.len(), x.len());
        prop_assert_eq!(slots.is_empty(), x.is_empty());
        prop_assert_eq!(slots.contains(slot), x.contains(&slot));
        prop_assert_eq!(slots.first(), x.first().copied());
        prop_assert_eq!(slots.iter().take(65).collect::<Vec<_>>(), x.iter().copied().collect::<Vec<_>>());
        prop_assert_eq!(slots.with(other), set(&x.union(&y).copied().collect()));
        prop_assert_eq!(slots.without(other), set(&x.difference(&y).copied().collect()));
        prop_assert_eq!(slots == other, x == y);
    }

    #[test]
    fn choosing_is_safe_for_any_array(taken in bits(), count in 0usize..=64, before: Option<u8>) {
        let before = before.map(usize::from);
        match choose(Slots::from_bits(taken), count, before) {
            Some(slot) => prop_assert!(slot < count && !model(taken).contains(&slot)),
            None => prop_assert!((0..count).all(|slot| model(taken).contains(&slot))),
        }
    }

    #[test]
    fn failing_never_takes_the_last(usable in bits(), slot in 0usize..70) {
        if let Failure::Failed(left) = fail(Slots::from_bits(usable), slot) {
            prop_assert!(!left.is_empty());
            prop_assert_eq!(left.bits(), usable & !(1u64 << slot));
        }
    }

    #[test]
    fn a_status_line_counts_what_it_shows(count in 0usize..=64, usable in bits()) {
        let usable = Slots::from_bits(usable & Slots::below(count).bits());
        let line = StatusLine { count, usable }.to_string();
        let shown = line.strip_suffix(']').and_then(|line| line.rsplit_once('[')).unwrap().1;
        let up: BTreeSet<_> = shown.match_indices('U').map(|(slot, _)| slot).collect();
        prop_assert_eq!(shown.len(), count);
        prop_assert!(shown.chars().all(|c| c == 'U' || c == '_'));
        prop_assert_eq!(set(&up), usable);
        let counts = format!(" [{}/{}] [", count, up.len());
        prop_assert!(line.starts_with(&counts));
    }
}
