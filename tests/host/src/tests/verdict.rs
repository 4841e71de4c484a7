// SPDX-License-Identifier: GPL-2.0-or-later

//! Verdicts, histories and failfast.

use super::op;
use crate::{
    abstractions::bio::{Kind, Op, Status},
    multipath::{
        slots::Slots,
        verdict::{ending, failfast, verdict, Exhausted, History, Mark, Verdict},
    },
};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

/// What is done about a status of a path that is there, for a read or write that is no read-ahead.
///
/// This is the table that users are promised, in numbers, apart from the driver's.
const fn of_a_live_path(raw: u8) -> Verdict {
    match raw {
        0 => Verdict::Done,
        // NOSPC TARGET RESV_CONFLICT MEDIUM PROTECTION DURATION_LIMIT INVAL ZONE_*
        3 | 5 | 6 | 7 | 8 | 17 | 19 | 14 | 15 => Verdict::Fail,
        // AGAIN
        12 => Verdict::Fail,
        // TRANSPORT OFFLINE
        4 | 16 => Verdict::PathDown,
        // IOERR TIMEOUT NOTSUPP and anything else
        _ => Verdict::Ambiguous,
    }
}

/// The same with all that counts.
pub(super) const fn expected(raw: u8, read_ahead: bool, live: bool) -> Verdict {
    match (raw, read_ahead, live) {
        (0, _, _) => Verdict::Done,
        (_, true, _) => Verdict::Fail,
        (12, _, _) => Verdict::Fail,
        (_, _, false) => Verdict::PathDown,
        _ => of_a_live_path(raw),
    }
}

#[test]
fn verdicts_are_as_promised_for_every_status() {
    for raw in 0..=u8::MAX {
        for read_ahead in [false, true] {
            for live in [false, true] {
                let status = Status::from_raw(raw);
                assert_eq!(
                    verdict(op(read_ahead), status, live),
                    expected(raw, read_ahead, live),
                    "{status:?} ({raw}), read-ahead {read_ahead}, live {live}"
                );
            }
        }
    }
}

/// `blk_path_error()` of `include/linux/blk_types.h`: whether another path may help.
fn blk_path_error(name: &str) -> bool {
    !matches!(
        name,
        "BLK_STS_NOTSUPP"
            | "BLK_STS_NOSPC"
            | "BLK_STS_TARGET"
            | "BLK_STS_RESV_CONFLICT"
            | "BLK_STS_MEDIUM"
            | "BLK_STS_PROTECTION"
    )
}

#[test]
fn what_no_path_can_cure_is_never_retried_and_blames_no_live_path() {
    let mut seen = 0;
    for &(status, _, name) in Status::NAMED {
        if blk_path_error(name) {
            continue;
        }
        seen += 1;
        for op in [op(true), op(false)] {
            let discard = Op {
                kind: Kind::Discard,
                ..op
            };
            assert_eq!(verdict(discard, status, true), Verdict::Fail, "{name}");
            let may_be_detached = status == Status::NotSupp && !op.read_ahead;
            let verdict = verdict(op, status, true);
            assert_eq!(verdict == Verdict::Fail, !may_be_detached, "{name}");
        }
    }
    assert_eq!(seen, 6);
}

/// Every disk can read, write and flush; all else it may not have.
#[test]
fn not_supported_may_be_the_path_only_for_what_every_disk_can_do() {
    let others = [10, 36, 255].map(|raw| (Kind::Other(raw), raw, "other"));
    for &(kind, _, name) in Kind::NAMED.iter().chain(&others) {
        for bits in 0..16 {
            let [read_ahead, nowait, flushes, atomic] = [1, 2, 4, 8].map(|bit| bits & bit != 0);
            let op = Op {
                kind,
                read_ahead,
                nowait,
                flushes,
                atomic,
            };
            let plain = matches!(kind, Kind::Read | Kind::Write | Kind::Flush);
            let expected = match plain && !read_ahead {
                true => Verdict::Ambiguous,
                false => Verdict::Fail,
            };
            assert_eq!(
                verdict(op, Status::NotSupp, true),
                expected,
                "{name} {bits:04b}"
            );
        }
    }
}

#[test]
fn only_success_is_done() {
    for raw in 0..=u8::MAX {
        for (read_ahead, live) in [(false, false), (false, true), (true, false), (true, true)] {
            let verdict = verdict(op(read_ahead), Status::from_raw(raw), live);
            assert_eq!(verdict == Verdict::Done, raw == 0, "{raw}");
        }
    }
}

#[test]
fn read_ahead_is_never_retried() {
    for raw in 1..=u8::MAX {
        for live in [false, true] {
            let verdict = verdict(op(true), Status::from_raw(raw), live);
            assert_eq!(verdict, Verdict::Fail, "{raw}");
        }
    }
}

#[test]
fn again_is_never_retried() {
    for live in [false, true] {
        let verdict = verdict(op(false), Status::Again, live);
        assert_eq!(verdict, Verdict::Fail);
    }
}

#[test]
fn a_new_io_has_tried_nothing() {
    let history = History::new(7);
    assert_eq!(history.untried(Slots::below(64)), Slots::below(64));
    assert_eq!(history.suspects(), Slots::NONE);
    assert!(!history.is_newer(7));
    assert!(history.is_newer(8));
}

#[test]
fn newer_holds_across_the_wrap() {
    for (known, number, newer) in [
        (0, 0, false),
        (0, 1, true),
        (1, 0, false),
        (u32::MAX, 0, true),
        (u32::MAX, u32::MAX, false),
        (0, u32::MAX, false),
        (u32::MAX - 1, 1, true),
        (0, 0x7_ffff, true),
        (0, 0x8_0001, false),
        (5, 5u32.wrapping_sub(1000), false),
    ] {
        let history = History::new(known);
        assert_eq!(history.is_newer(number), newer, "{number} after {known}");
    }
}

#[test]
fn failfast_unless_no_other_path_is_left() {
    for usable in 0..64 {
        for slot in 0..6 {
            let others = usable & !(1u64 << slot);
            assert_eq!(
                failfast(Slots::from_bits(usable), Slots::one(slot)),
                others != 0,
                "{usable:06b} {slot}"
            );
        }
    }
}

/// Who completes it looks at the marks only.
#[test]
fn an_io_with_a_suspect_is_watched() {
    let mut history = History::new(7);
    assert!(history.is_plain());
    history.mark(Mark::Patient, true);
    history.failed_on(3, false, false);
    assert!(history.is_plain());
    history.mark(Mark::Counted, true);
    assert!(history.is_counted_only() && !history.is_plain());
    history.failed_on(4, true, false);
    assert!(history.is_marked(Mark::Watched) && !history.is_counted_only());
    history.mark(Mark::Counted, false);
    assert!(!history.is_plain() && !history.is_counted_only() && !history.is_newer(7));
}

/// Nothing that is kept of one thing changes another.
#[test]
fn marks_slots_and_numbers_are_kept_apart() {
    const MARKS: [Mark; 6] = [
        Mark::Counted,
        Mark::Watched,
        Mark::Renewed,
        Mark::Patient,
        Mark::Answered,
        Mark::Heard,
    ];
    for known in [0, 7, 0x7_ffff, u32::MAX] {
        for slot in 0..64 {
            for mark in MARKS {
                let mut history = History::new(known);
                history.mark(mark, true);
                for other in MARKS {
                    assert_eq!(history.is_marked(other), other == mark);
                }
                history.mark(Mark::Patient, true);
                history.failed_on(slot, true, false);
                assert!(history.is_marked(mark) && history.is_marked(Mark::Patient));
                assert!(!history.is_newer(known) && history.is_newer(known.wrapping_add(1)));
                assert_eq!(history.exhausted(Slots::below(64)), Exhausted::Answer);
                let others = Slots::below(64).without(Slots::one(slot));
                assert_eq!(history.exhausted(others), Exhausted::NoPath);
            }
        }
    }
}

#[test]
fn what_a_path_says_in_haste_is_no_answer() {
    let both = Slots::below(2);
    let mut history = History::new(0);
    history.failed_on(1, true, false);
    history.mark(Mark::Patient, true);
    history.failed_on(0, false, false);
    // The path in slot 0 is down and failed; nobody has asked the other one in earnest.
    assert_eq!(
        history.exhausted(Slots::one(1)),
        Exhausted::Hasty(Slots::one(1))
    );
    history.try_again(1);
    assert_eq!(history.untried(both), Slots::one(1));
    assert_eq!(history.suspects(), Slots::one(1));
    let before = history;
    history.failed_on(1, true, false);
    assert_eq!(history.exhausted(Slots::one(1)), Exhausted::Answer);
    history = before;
    history.failed_on(1, false, false);
    assert_eq!(history.exhausted(Slots::one(1)), Exhausted::NoPath);
}

/// A flush may have been answered with another one.
#[test]
fn what_a_path_says_once_to_a_flush_is_no_answer() {
    let both = Slots::below(2);
    let mut history = History::new(0);
    history.failed_on(0, true, true);
    history.mark(Mark::Patient, true);
    history.failed_on(1, true, true);
    assert_eq!(history.exhausted(both), Exhausted::Hasty(both));
    let once = history;
    history.try_again(0);
    history.failed_on(0, true, true);
    assert_eq!(history.exhausted(both), Exhausted::Answer);
    // What was said in between is not counted.
    history = once;
    history.try_again(0);
    history.failed_on(0, false, true);
    assert_eq!(history.exhausted(both), Exhausted::Hasty(Slots::one(1)));
    history.try_again(1);
    history.failed_on(1, true, true);
    assert_eq!(history.exhausted(both), Exhausted::Answer);
}

/// However old a path is, it is not taken for one that came after the I/O.
#[test]
fn an_old_path_is_never_newer() {
    for start in [0, u32::MAX - 3, u32::MAX / 2] {
        let mut number = start;
        let mut newest = start;
        for step in [1, 5, 0x3_ffff, 0x3_fffe, 0x4_0000, 1, 3, 0x3_ffff] {
            newest = newest.wrapping_add(step);
            number = History::kept_up(number, newest);
            for behind in [0, 1, 0x3_fffe, 0x3_ffff] {
                let history = History::new(newest.wrapping_sub(behind));
                let came_after = newest.wrapping_sub(number) < behind;
                assert_eq!(
                    history.is_newer(number),
                    came_after,
                    "{start} {step} {behind}"
                );
            }
        }
        assert_ne!(number, start);
    }
}

/// It is not spent where there is nothing to look at again.
#[test]
fn a_second_look_is_kept_for_a_path_that_was_down() {
    let mut history = History::new(0);
    history.failed_on(0, true, false);
    history.renew(0, |_| Some(0), Slots::one(0));
    assert!(!history.is_marked(Mark::Renewed));
    history.try_again(0);
    history.failed_on(0, false, false);
    // Another path has come into the slot: that one is untried.
    let mut replaced = history;
    replaced.renew(1, |_| Some(1), Slots::one(0));
    assert!(!replaced.is_marked(Mark::Renewed));
    assert_eq!(replaced.untried(Slots::one(0)), Slots::one(0));
    replaced.failed_on(0, false, false);
    replaced.renew(1, |_| Some(1), Slots::one(0));
    assert!(replaced.is_marked(Mark::Renewed));
    history.renew(0, |_| Some(0), Slots::one(0));
    assert!(history.is_marked(Mark::Renewed));
    assert_eq!(history.untried(Slots::one(0)), Slots::one(0));
}

/// A flush that ends with `NotSupp` has succeeded, for who sent it.
#[test]
fn a_flush_that_fails_is_an_error() {
    let read = op(false);
    let flush = Op {
        kind: Kind::Flush,
        flushes: true,
        ..read
    };
    for raw in 1..=u8::MAX {
        let status = Status::from_raw(raw);
        assert_eq!(ending(read, status), status);
        let of_flush = if raw == 1 { Status::IoErr } else { status };
        assert_eq!(ending(flush, status), of_flush);
    }
    for op in [read, flush] {
        assert_eq!(ending(op, Status::Ok), Status::IoErr);
    }
}

/// One that is to be tried again may be replaced before it is.
#[test]
fn a_suspicion_goes_with_its_path() {
    let mut history = History::new(0);
    history.failed_on(5, true, false);
    history.try_again(5);
    history.refresh(1, |slot| Some(u32::from(slot == 5)));
    assert_eq!(history.suspects(), Slots::NONE);
    assert_eq!(history.exhausted(Slots::below(64)), Exhausted::NoPath);
}

/// What the path that was in the slot before has answered is not this one's answer.
#[test]
fn an_answer_goes_with_its_path() {
    let mut history = History::new(0);
    history.mark(Mark::Patient, true);
    history.failed_on(5, true, false);
    history.refresh(1, |slot| Some(u32::from(slot == 5)));
    history.mark(Mark::Patient, false);
    history.failed_on(5, true, false);
    assert_eq!(
        history.exhausted(Slots::below(64)),
        Exhausted::Hasty(Slots::one(5))
    );
}

#[derive(Clone, Debug)]
enum Event {
    FailedOn {
        slot: usize,
        suspect: bool,
        patient: bool,
    },
    TryAgain {
        slot: usize,
    },
    Enter {
        slot: usize,
    },
    Refresh,
}

fn event(slots: usize) -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => (0..slots, any::<bool>(), any::<bool>())
            .prop_map(|(slot, suspect, patient)| Event::FailedOn { slot, suspect, patient }),
        2 => (0..slots).prop_map(|slot| Event::TryAgain { slot }),
        2 => (0..slots).prop_map(|slot| Event::Enter { slot }),
        2 => Just(Event::Refresh),
    ]
}

proptest! {
    #![proptest_config(super::config(2_000))]

    /// A history against sets of the paths themselves, when every change is followed by a refresh.
    #[test]
    fn history_tells_paths_from_their_successors(
        start in prop_oneof![Just(0), Just(u32::MAX), Just(u32::MAX - 3), any::<u32>()],
        slots in 1usize..=64,
        events in prop::collection::vec(event(64), 0..60),
    ) {
        let mut newest = start;
        let mut table: BTreeMap<usize, u32> = (0..slots).map(|slot| (slot, start)).collect();
        let mut history = History::new(newest);
        // (slot, number)
        let mut tried: BTreeSet<(usize, u32)> = BTreeSet::new();
        let mut suspects: BTreeSet<(usize, u32)> = BTreeSet::new();
        let mut answered: BTreeSet<(usize, u32)> = BTreeSet::new();
        for event in events {
            match event {
                Event::FailedOn { slot, suspect, patient } => {
                    let slot = slot % slots;
                    history.mark(Mark::Patient, patient);
                    history.failed_on(slot, suspect, false);
                    tried.insert((slot, table[&slot]));
                    if suspect {
                        suspects.insert((slot, table[&slot]));
                    } else {
                        suspects.remove(&(slot, table[&slot]));
                    }
                    if suspect && patient {
                        answered = BTreeSet::from([(slot, table[&slot])]);
                    }
                }
                Event::TryAgain { slot } => {
                    let slot = slot % slots;
                    history.try_again(slot);
                    tried.remove(&(slot, table[&slot]));
                }
                Event::Enter { slot } => {
                    newest = newest.wrapping_add(1);
                    table.insert(slot % slots, newest);
                    prop_assert!(history.is_newer(newest));
                    history.refresh(newest, |slot| table.get(&slot).copied());
                }
                Event::Refresh => history.refresh(newest, |slot| table.get(&slot).copied()),
            }
            let now = |set: &BTreeSet<(usize, u32)>| -> u64 {
                table
                    .iter()
                    .filter(|(&slot, &number)| set.contains(&(slot, number)))
                    .fold(0, |bits, (&slot, _)| bits | 1 << slot)
            };
            let all = Slots::below(slots);
            prop_assert_eq!(history.untried(all).bits(), all.bits() & !now(&tried));
            prop_assert_eq!(history.suspects().bits(), now(&suspects));
            let exhausted = match now(&suspects) {
                0 => Exhausted::NoPath,
                bits if bits & now(&answered) != 0 => Exhausted::Answer,
                bits => Exhausted::Hasty(Slots::from_bits(bits)),
            };
            prop_assert_eq!(history.exhausted(all), exhausted);
            prop_assert!(!history.is_newer(newest));
        }
    }

    /// A slot that was emptied and got nothing yet stays tried.
    #[test]
    fn an_empty_slot_stays_tried(slot in 0usize..64, known: u32, later in 0u32..1000) {
        let mut history = History::new(known);
        history.failed_on(slot, true, false);
        history.refresh(known.wrapping_add(later), |_| None);
        prop_assert!(!history.untried(Slots::below(64)).contains(slot));
        prop_assert!(history.suspects().contains(slot));
    }
}
