// SPDX-License-Identifier: GPL-2.0-or-later

//! How paths share I/O.

use crate::multipath::{
    policy::{priority, queue_depth, round_robin, Choice, Cursor, Policy},
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
    for bits in [0, 1, Policy::RUN, u32::MAX] {
        let cursor = Cursor::from_bits(bits);
        assert_eq!(round_robin(Slots::NONE, cursor), None);
        assert_eq!(queue_depth(Slots::NONE, cursor, |_| 0), None);
    }
}

/// A CPU that sends I/O as the driver does.
struct Cpu(u32);

impl Cpu {
    fn sends(&mut self, slots: Slots, choose: impl Fn(Cursor) -> Option<Choice>) -> usize {
        self.0 = self.0.wrapping_add(1);
        let cursor = Cursor::from_bits(self.0);
        if let Some(slot) = cursor.stays(slots) {
            return slot;
        }
        let choice = choose(cursor).unwrap();
        if let Some(cursor) = choice.moved {
            self.0 = cursor.bits();
        }
        choice.slot
    }
}

fn members(bits: u64) -> Vec<usize> {
    (0..64).filter(|slot| bits & (1 << slot) != 0).collect()
}

proptest! {
    #![proptest_config(super::config(1_000))]

    /// Wherever a CPU was before, once it has begun a run each path in turn gets one.
    #[test]
    fn round_robin_gives_each_path_its_share(bits in 1u64.., start: u32) {
        let slots = Slots::from_bits(bits);
        let run = Policy::RUN as usize;
        let mut cpu = Cpu(start);
        let mut last = cpu.sends(slots, |cursor| round_robin(slots, cursor));
        // To the end of the run that it is in.
        while cpu.0 % Policy::RUN != Policy::RUN - 1 {
            last = cpu.sends(slots, |cursor| round_robin(slots, cursor));
        }
        let mut turns = members(bits);
        let ended = turns.iter().position(|&slot| slot == last).unwrap();
        turns.rotate_left((ended + 1) % slots.len());
        for slot in turns.iter().chain(&turns) {
            for _ in 0..run {
                prop_assert_eq!(*slot, cpu.sends(slots, |cursor| round_robin(slots, cursor)));
            }
        }
    }

    #[test]
    fn what_is_chosen_is_in_the_set(bits in 1u64.., number: u32, depth: i32) {
        let slots = Slots::from_bits(bits);
        let cursor = Cursor::from_bits(number);
        for choice in [round_robin(slots, cursor), queue_depth(slots, cursor, |slot| depth ^ slot as i32)] {
            prop_assert!(slots.contains(choice.unwrap().slot));
        }
    }

    /// Among paths whose depths stay, a CPU ends up on one of the shallowest and stays with those.
    #[test]
    fn queue_depth_comes_to_the_shallowest(
        bits in 1u64..,
        start: u32,
        depths in prop::collection::vec(-2i32..4, 64),
    ) {
        let slots = Slots::from_bits(bits);
        let least = members(bits).into_iter().map(|slot| depths[slot]).min().unwrap();
        let mut cpu = Cpu(start);
        let mut sends = || cpu.sends(slots, |cursor| queue_depth(slots, cursor, |slot| depths[slot]));
        // Each other path is looked at once in a round.
        for _ in 0..(slots.len() as u32 + 1) * Policy::RECHECK {
            sends();
        }
        for _ in 0..3 * slots.len() as u32 * Policy::RECHECK {
            prop_assert_eq!(least, depths[sends()]);
        }
    }

    /// A path is left as soon as it has failed, though its run is not over.
    #[test]
    fn a_failed_path_gets_nothing(bits in 1u64.., number: u32, failed in 0usize..64) {
        let slots = Slots::from_bits(bits).without(Slots::one(failed));
        prop_assume!(!slots.is_empty());
        for bits in [number, failed as u32 * Policy::RUN + 1] {
            let cursor = Cursor::from_bits(bits);
            prop_assert_ne!(cursor.stays(slots), Some(failed));
            prop_assert_ne!(round_robin(slots, cursor).unwrap().slot, failed);
            prop_assert_ne!(queue_depth(slots, cursor, |_| 0).unwrap().slot, failed);
        }
    }

    /// Paths that stay equal take turns, and as many I/Os in each.
    #[test]
    fn equals_share(bits in 1u64.., start: u32) {
        let slots = Slots::from_bits(bits);
        let mut cpu = Cpu(start);
        let mut counts = BTreeMap::<usize, u32>::new();
        // To the start of a turn.
        while cpu.0 % Policy::RECHECK != Policy::RECHECK - 1 {
            cpu.0 = cpu.0.wrapping_add(1);
        }
        for _ in 0..3 * slots.len() as u32 * Policy::RECHECK {
            let slot = cpu.sends(slots, |cursor| queue_depth(slots, cursor, |_| 7));
            *counts.entry(slot).or_default() += 1;
        }
        prop_assert_eq!(counts.len(), slots.len());
        prop_assert!(counts.values().all(|&count| count == 3 * Policy::RECHECK), "{:?}", counts);
    }

    /// One CPU, I/Os that end in any order: what is in flight on two paths differs by little.
    #[test]
    fn queue_depth_balances(bits in 1u64.., ends in prop::collection::vec(any::<prop::sample::Index>(), 400)) {
        let slots = Slots::from_bits(bits);
        let mut cpu = Cpu(0);
        let mut depths = [0i32; 64];
        let mut in_flight = Vec::new();
        for end in ends {
            let slot = cpu.sends(slots, |cursor| queue_depth(slots, cursor, |slot| depths[slot]));
            depths[slot] += 1;
            in_flight.push(slot);
            if in_flight.len() > 64 {
                let slot = in_flight.swap_remove(end.index(in_flight.len()));
                depths[slot] -= 1;
            }
        }
        let share = in_flight.len() as i32 / slots.len() as i32;
        for slot in members(bits) {
            prop_assert!(depths[slot] <= share + 3 * Policy::RECHECK as i32, "{depths:?}");
        }
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
