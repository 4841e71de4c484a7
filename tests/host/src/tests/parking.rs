// SPDX-License-Identifier: GPL-2.0-or-later

//! Parking: random schedules against records of who waits, who is out and what time it is.

use crate::multipath::parking::{since, Arrival, Limits, Ms, Parked, Parking, Step};
use proptest::prelude::*;
use std::collections::BTreeMap;

macro_rules! ensure {
    ($holds:expr, $($why:tt)+) => {
        if !$holds {
            return Err(TestCaseError::fail(format!($($why)+)));
        }
    };
}

type Checked<T = ()> = Result<T, TestCaseError>;

#[derive(Clone, Debug)]
enum Act {
    /// A bio finds no path to take.
    Arrive,
    /// An I/O that was never parked has failed on every path.
    Fails,
    /// One that was let go does so; comes to another end; is kept for a later retry.
    FailsAgain(usize),
    Ends(usize),
    IsHeld(usize),
    PathCame,
    Time(Ms),
    Thread {
        may_send: bool,
    },
    Limits(Limits),
}

struct Array {
    parking: Parking,
    limits: Limits,
    now: Ms,
    /// By ticket: the order in which they were parked first.
    shelf: BTreeMap<u32, Parked>,
    out: BTreeMap<u32, Parked>,
    /// Those that are out and were sent as a probe.
    probe: Option<u32>,
    /// The last time that an I/O showed that no path works, and nothing has shown since that one does.
    no_path: Option<Ms>,
    /// All up to this one are to be sent.
    release: Option<u32>,
    last: u32,
}

impl Array {
    fn new(now: Ms, limits: Limits) -> Self {
        Self {
            parking: Parking::new(),
            limits,
            now,
            shelf: BTreeMap::new(),
            out: BTreeMap::new(),
            probe: None,
            no_path: None,
            release: None,
            last: 0,
        }
    }

    fn holders(&self) -> usize {
        self.shelf.len() + self.out.len()
    }

    /// Whether nothing has happened yet since an I/O showed that no path works.
    fn waits(&self) -> bool {
        !self.parking.is_open() && self.probe.is_none() && self.release.is_none()
    }

    fn has_room(&self) -> bool {
        self.limits.timeout != 0 && self.holders() < self.limits.max_parked as usize
    }

    fn is_late(&self, parked: Parked) -> bool {
        since(self.now, parked.at) >= self.limits.timeout
    }

    fn put(&mut self, parked: Parked) -> Checked {
        ensure!(
            self.shelf.insert(parked.ticket, parked).is_none(),
            "ticket {} twice",
            parked.ticket
        );
        ensure!(!self.parking.is_open(), "parked, and open to new I/O");
        Ok(())
    }

    fn put_new(&mut self, parked: Parked) -> Checked {
        ensure!(parked.ticket > self.last, "not behind all others");
        ensure!(parked.at == self.now, "its time does not begin now");
        self.last = parked.ticket;
        self.put(parked)
    }

    fn nth(&self, which: usize) -> Option<Parked> {
        self.out
            .values()
            .nth(which % self.out.len().max(1))
            .copied()
    }

    /// An I/O has seen that no path works.
    fn failed(&mut self, ticket: u32) {
        match self.probe {
            // Another is out to see.
            Some(probe) if probe != ticket => return,
            _ => self.probe = None,
        }
        self.release = None;
        if self.no_path.is_none() {
            self.no_path = Some(self.now);
        }
    }

    fn act(&mut self, act: &Act) -> Checked {
        match *act {
            Act::Arrive => {
                let room = self.has_room();
                let was_open = self.parking.is_open();
                match self.parking.arrive(self.now, self.limits) {
                    Arrival::Retry => ensure!(
                        was_open || (!room && self.release.is_some()),
                        "sent past the parked"
                    ),
                    Arrival::Park(parked) => {
                        ensure!(room && !was_open, "parked without need or room");
                        self.put_new(parked)?;
                    }
                    Arrival::Full => ensure!(!room && !was_open, "refused without need"),
                }
            }
            Act::Fails => {
                let room = self.has_room();
                let parked = self.parking.park(Parked::default(), self.now, self.limits);
                ensure!(parked.is_some() == room, "parked: {parked:?}, room: {room}");
                if parked.is_some() || !self.parking.is_open() {
                    self.failed(0);
                }
                if let Some(parked) = parked {
                    self.put_new(parked)?;
                }
            }
            Act::FailsAgain(which) => {
                let Some(before) = self.nth(which) else {
                    return Ok(());
                };
                self.out.remove(&before.ticket);
                let late = self.is_late(before);
                let parked = self.parking.park(before, self.now, self.limits);
                if !(self.parking.is_open() && parked.is_none()) {
                    self.failed(before.ticket);
                }
                match parked {
                    Some(parked) => {
                        ensure!(!late && parked == before, "{before:?} became {parked:?}");
                        self.put(parked)?;
                    }
                    None => ensure!(late, "{before:?} lost its place"),
                }
            }
            Act::Ends(which) => {
                let Some(parked) = self.nth(which) else {
                    return Ok(());
                };
                self.out.remove(&parked.ticket);
                // Once a path came, the probe is one of many.
                let tells = self.probe == Some(parked.ticket);
                let last = self.waits() && self.holders() == 0;
                let woken = self.parking.ended(parked.ticket);
                ensure!(
                    woken == (tells || last),
                    "woken: {woken}, probe: {tells}, last: {last}"
                );
                if tells {
                    self.probe = None;
                    self.no_path = None;
                    self.release = Some(self.last);
                }
            }
            Act::IsHeld(which) => {
                let Some(parked) = self.nth(which) else {
                    return Ok(());
                };
                self.parking.held(parked.ticket, self.now);
                if self.probe == Some(parked.ticket) {
                    self.failed(parked.ticket);
                }
            }
            Act::PathCame => {
                let open = self.parking.is_open();
                let woken = self.parking.path_came();
                ensure!(woken != open, "woken: {woken}, open: {open}");
                if woken {
                    self.probe = None;
                    self.no_path = None;
                    self.release = Some(self.last);
                }
            }
            Act::Time(passed) => self.now = self.now.wrapping_add(passed),
            Act::Thread { may_send } => _ = self.thread(may_send)?,
            Act::Limits(limits) => self.limits = limits,
        }
        Ok(())
    }

    /// One step of the thread. Says whether it had something to do.
    fn thread(&mut self, may_send: bool) -> Checked<bool> {
        let first = self.shelf.first_key_value().map(|(_, parked)| *parked);
        let was_open = self.parking.is_open();
        let was_waiting = self.waits();
        let goes = was_open || self.release.is_some();
        let step = self.parking.step(self.now, first, may_send, self.limits);
        let Some(first) = first else {
            ensure!(step == Step::Sleep(None), "{step:?} with nothing parked");
            // Those that are out and come back later are behind nobody.
            let wait = was_waiting && !self.out.is_empty();
            let parks = self.limits.timeout != 0;
            ensure!(
                self.parking.is_open() == !(parks && (self.probe.is_some() || wait)),
                "open: {}, parks: {parks}, probe: {:?}, wait: {wait}",
                self.parking.is_open(),
                self.probe
            );
            if self.parking.is_open() {
                self.probe = None;
                self.release = None;
                self.no_path = None;
            }
            return Ok(false);
        };
        match step {
            Step::Expire => {
                ensure!(self.is_late(first), "ended before its time");
                ensure!(
                    self.limits.timeout == 0 || !goes,
                    "ended while the parked are let go"
                );
                self.shelf.remove(&first.ticket);
            }
            Step::Send => {
                ensure!(may_send, "sent to a quiesced array");
                ensure!(
                    !self.is_late(first) || self.limits.timeout != 0 && goes,
                    "sent after its time"
                );
                self.shelf.remove(&first.ticket);
                self.out.insert(first.ticket, first);
                if self.release.is_none() && !was_open {
                    let Some(from) = self.no_path else {
                        return Err(TestCaseError::fail("sent without a reason"));
                    };
                    ensure!(self.probe.is_none(), "a second probe");
                    ensure!(
                        since(self.now, from) >= Parking::PROBE_INTERVAL,
                        "a probe too early"
                    );
                    self.probe = Some(first.ticket);
                    self.no_path = None;
                }
            }
            Step::Sleep(limit) => {
                if self.is_late(first) {
                    // It goes when something can be sent.
                    ensure!(goes && !may_send, "asleep over an I/O whose time is up");
                    ensure!(limit.is_none(), "asleep {limit:?} for nothing");
                    return Ok(false);
                }
                let Some(limit) = limit else {
                    return Err(TestCaseError::fail("asleep without limit"));
                };
                let left = self.limits.timeout - since(self.now, first.at);
                ensure!((1..=left).contains(&limit), "asleep {limit}, left {left}");
                if may_send {
                    ensure!(self.release.is_none(), "what is let go waits");
                    ensure!(!self.parking.is_open(), "open, and the parked wait");
                    if let Some(from) = self.no_path {
                        let next = Parking::PROBE_INTERVAL.saturating_sub(since(self.now, from));
                        ensure!(limit <= next, "asleep {limit}, a probe is due in {next}");
                    }
                }
                return Ok(false);
            }
        }
        // Only when all that were there when the path came are sent.
        if self.parking.is_open() && !was_open {
            ensure!(
                self.release.is_some_and(|until| first.ticket > until),
                "open too early"
            );
            self.release = None;
        }
        Ok(true)
    }

    /// From here on nothing comes, and nothing works. Everything ends all the same.
    fn finish(&mut self) -> Checked {
        self.limits.timeout = self.limits.timeout.min(10_000);
        for _ in 0..4 * (self.holders() + 4) {
            // Each round ends all that are out, and then lets the time of the first pass.
            let mut steps = 2 * self.holders() + 2;
            while self.thread(true)? {
                ensure!(steps > 0, "the thread never rests");
                steps -= 1;
            }
            while !self.out.is_empty() {
                self.act(&Act::FailsAgain(0))?;
            }
            if self.shelf.is_empty() {
                break;
            }
            self.now = self.now.wrapping_add(self.limits.timeout);
        }
        self.thread(true)?;
        ensure!(self.holders() == 0, "{} are left", self.holders());
        ensure!(
            self.parking.is_open(),
            "nothing is parked, and it is not open"
        );
        Ok(())
    }
}

fn limits() -> impl Strategy<Value = Limits> {
    (
        prop_oneof![1 => Just(0), 8 => 1u32..5_000, 1 => Just(86_400_000)],
        1u32..6,
    )
        .prop_map(|(timeout, max_parked)| Limits {
            timeout,
            max_parked,
        })
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        4 => Just(Act::Arrive),
        3 => Just(Act::Fails),
        4 => (0usize..8).prop_map(Act::FailsAgain),
        3 => (0usize..8).prop_map(Act::Ends),
        1 => (0usize..8).prop_map(Act::IsHeld),
        1 => Just(Act::PathCame),
        5 => prop_oneof![0u32..50, 400u32..1_200].prop_map(Act::Time),
        10 => prop::bool::weighted(0.9).prop_map(|may_send| Act::Thread { may_send }),
        1 => limits().prop_map(Act::Limits),
    ]
}

proptest! {
    #![proptest_config(super::config(10_000))]

    /// Nobody is lost, sent twice, out of turn or too early, nor after its time, unless it is let go;
    /// there are never too many; one probe is out at a time; what is let go goes at once, and does not
    /// end for want of a path; and all of it ends.
    #[test]
    fn every_schedule_keeps_the_promises(
        start in prop_oneof![Just(0), Just(Ms::MAX - 1_500), Just(Ms::MAX / 2 - 1_500), any::<Ms>()],
        limits in limits(),
        acts in prop::collection::vec(act(), 0..120),
    ) {
        let mut array = Array::new(start, limits);
        for act in &acts {
            array.act(act)?;
        }
        array.finish()?;
    }

    /// All that wait when a path comes are sent without a pause, in their order.
    #[test]
    fn a_path_that_comes_lets_all_go(count in 1u32..40, later in 0u32..5) {
        let limits = Limits { timeout: 5_000, max_parked: 64 };
        let mut array = Array::new(0, limits);
        array.act(&Act::Fails)?;
        for _ in 1..count {
            array.act(&Act::Arrive)?;
        }
        array.act(&Act::PathCame)?;
        for _ in 0..later {
            array.act(&Act::Arrive)?;
        }
        for sent in 1..=count {
            prop_assert!(array.thread(true)?);
            prop_assert!(!array.parking.is_open());
            prop_assert_eq!(array.out.len(), sent as usize);
        }
        // Those that came meanwhile go as well, and new ones need not wait for them.
        for _ in 0..later {
            prop_assert!(array.thread(true)?);
            prop_assert!(array.parking.is_open());
        }
        prop_assert!(!array.thread(true)?);
        prop_assert!(array.parking.is_open());
    }

    #[test]
    fn time_that_wraps_is_time(then: Ms, passed in 0..=Ms::MAX / 2) {
        prop_assert_eq!(since(then.wrapping_add(passed), then), passed);
    }

    /// Another CPU's look at the clock is no great leap forward.
    #[test]
    fn time_does_not_run_backwards(now: Ms, ahead in 1..=Ms::MAX / 2) {
        prop_assert_eq!(since(now, now.wrapping_add(ahead)), 0);
    }
}
