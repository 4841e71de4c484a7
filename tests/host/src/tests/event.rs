// SPDX-License-Identifier: GPL-2.0-or-later

//! The queue of events against a model that keeps all of them.

use crate::multipath::event::{Event, Kind, Queue};
use proptest::prelude::*;

const KINDS: [Kind; 4] = [Kind::Failed, Kind::Reinstated, Kind::Added, Kind::Removed];

#[test]
fn events_have_the_documented_names() {
    assert_eq!(
        KINDS.map(|kind| kind.name().to_str().unwrap()),
        [
            "PATH_FAILED",
            "PATH_REINSTATED",
            "PATH_ADDED",
            "PATH_REMOVED"
        ]
    );
}

#[test]
fn an_empty_queue_has_nothing() {
    let mut queue = Queue::<u8>::new();
    assert_eq!(queue.pop(), None);
}

#[test]
fn a_slot_that_cannot_be_has_no_event() {
    let mut queue = Queue::new();
    for slot in [64, 65, usize::MAX] {
        queue.push(slot, Kind::Failed, 0u8, 1);
    }
    assert_eq!(queue.pop(), None);
}

#[test]
fn each_slot_has_room_at_once() {
    let mut queue = Queue::new();
    for slot in (0..64).rev() {
        queue.push(slot, Kind::Failed, slot, slot);
    }
    for slot in (0..64).rev() {
        let event = queue.pop().unwrap();
        assert_eq!(
            (event.slot, event.name, event.left, event.times),
            (slot, slot, slot, 1)
        );
    }
    assert_eq!(queue.pop(), None);
}

proptest! {
    #![proptest_config(super::config(2_000))]

    /// Whatever is pushed and popped in whatever order: the last event of a slot is told, with the
    /// number of those that it stands for, and slots are told in the order of their last events.
    #[test]
    fn the_last_event_of_a_slot_is_told(steps in prop::collection::vec(
        prop_oneof![3 => (0usize..6, 0usize..4, any::<u8>(), 0usize..64).prop_map(Some), 1 => Just(None)],
        0..60,
    )) {
        let mut queue = Queue::new();
        let mut model: Vec<Event<u8>> = Vec::new();
        for step in steps {
            match step {
                Some((slot, kind, name, left)) => {
                    queue.push(slot, KINDS[kind], name, left);
                    let before = model.iter().position(|event| event.slot == slot);
                    let times = before.map_or(0, |place| model.remove(place).times) + 1;
                    model.push(Event { slot, kind: KINDS[kind], name, left, times });
                }
                None => {
                    let expected = (!model.is_empty()).then(|| model.remove(0));
                    prop_assert_eq!(queue.pop(), expected);
                }
            }
        }
        for event in model {
            prop_assert_eq!(queue.pop(), Some(event));
        }
        prop_assert_eq!(queue.pop(), None);
    }
}
