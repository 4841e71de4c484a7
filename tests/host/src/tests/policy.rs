// SPDX-License-Identifier: GPL-2.0-or-later

//! How paths share I/O.

use crate::multipath::{
    policy::{priority, round_robin, shallowest, Policy},
    slots::Slots,
};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

#[test]
fn policies_have_the_documented_names() {
    let mut numbers = BTreeSet::new();
    for (policy, name) in [
        (Policy::First, "first"),
        (Policy::RoundRobin, "round-robin"),
        (Policy::QueueDepth, "queue-depth"),
    ] {
        assert_eq!(policy.name(), name);
        assert_eq!(Policy::from_name(name), Some(policy));
        assert_eq!(Policy::from_number(policy.number()), policy);
        assert!(numbers.insert(policy.number()));
    }
    assert_eq!(Policy::default(), Policy::First);
}

#[test]
fn nonsense_is_no_policy() {
    for name in [
        "",
        "First",
        "first ",
        "round_robin",
        "round-robin\n",
        "0",
        "\0",
    ] {
        assert_eq!(Policy::from_name(name), None, "{name:?}");
    }
}

#[test]
fn no_path_is_chosen_where_there_is_none() {
    for turn in [0, 1, u32::MAX] {
        assert_eq!(round_robin(Slots::NONE, turn), None);
        assert_eq!(shallowest(Slots::NONE, turn as usize, |_| 0), None);
    }
}

proptest! {
    #![proptest_config(super::config(1_000))]

    /// In as many turns as make a round, each path gets the same number, in runs.
    #[test]
    fn round_robin_gives_each_path_its_share(bits in 1u64.., round in 0u32..1_000) {
        let slots = Slots::from_bits(bits);
        let turns = slots.len() as u32 * Policy::RUN;
        let mut chosen = Vec::new();
        for turn in round * turns..(round + 1) * turns {
            chosen.push(round_robin(slots, turn).unwrap());
        }
        let expected: Vec<_> = (0..64)
            .filter(|slot| bits & (1 << slot) != 0)
            .flat_map(|slot| [slot; Policy::RUN as usize])
            .collect();
        prop_assert_eq!(chosen, expected);
    }

    #[test]
    fn round_robin_is_always_in_the_set(bits in 1u64.., turn: u32) {
        let chosen = round_robin(Slots::from_bits(bits), turn).unwrap();
        prop_assert!(bits & (1 << chosen) != 0);
    }

    /// The chosen path is usable, none has less to do, and of those with as little it is the next
    /// one after the last.
    #[test]
    fn the_shallowest_path_is_chosen(
        bits in 1u64..,
        last in prop_oneof![0usize..64, Just(usize::MAX)],
        depths in prop::collection::vec(0usize..4, 64),
    ) {
        let chosen = shallowest(Slots::from_bits(bits), last, |slot| depths[slot]).unwrap();
        let usable: Vec<_> = (0..64).filter(|slot| bits & (1 << slot) != 0).collect();
        let least = usable.iter().map(|&slot| depths[slot]).min().unwrap();
        let equals: Vec<_> = usable.into_iter().filter(|&slot| depths[slot] == least).collect();
        let next = equals.iter().find(|&&slot| slot > last).or(equals.first());
        prop_assert_eq!(Some(&chosen), next);
    }

    /// Paths that stay equal take turns.
    #[test]
    fn equals_share(bits in 1u64.., start in 0usize..64) {
        let slots = Slots::from_bits(bits);
        let mut last = start;
        let mut counts = BTreeMap::<usize, usize>::new();
        for _ in 0..3 * slots.len() {
            last = shallowest(slots, last, |_| 7).unwrap();
            *counts.entry(last).or_default() += 1;
        }
        prop_assert_eq!(counts.len(), slots.len());
        prop_assert!(counts.values().all(|&count| count == 3));
    }
}

#[test]
fn a_priority_is_a_number_from_minus_1000_to_1000() {
    for number in -1100..=1100 {
        let expected = (-1000..=1000).contains(&number).then_some(number);
        assert_eq!(priority(&number.to_string()), expected);
    }
    for text in [
        "",
        " ",
        "-",
        "+",
        "1 ",
        " 1",
        "1x",
        "0x1",
        "1.0",
        "1_0",
        "2147483648",
        "4294967297",
        "\0",
        "1\0",
    ] {
        assert_eq!(priority(text), None, "{text:?}");
    }
}
