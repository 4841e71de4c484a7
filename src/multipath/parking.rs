// SPDX-License-Identifier: GPL-2.0-or-later

//! I/Os for which no path is left: when they wait, and when they go again. A state machine over
//! plain data that depends on `core` alone.
//!
//! A parked I/O waits on a shelf, in the order of tickets, of which it got one when it was first
//! parked. While I/Os wait for a path, new ones go behind them. They are sent again
//!
//! - all, one after the other, when a path has come or one is seen to work;
//! - the first alone, now and then, as a probe of the path that is left;
//!
//! and end with an error when their time is up and none is let go. Once those that were parked when the path came have
//! been sent, new ones take the paths by themselves, beside what is left on the shelf: else a busy
//! array would not leave this state.
//!
//! What is kept is the order in which I/Os are sent. As on any disk, I/Os that are in flight together
//! may be done in any order.

/// Milliseconds since the array was started. They wrap; see [`since`].
pub(crate) type Ms = u32;

/// How long ago `then` was.
pub(crate) const fn since(now: Ms, then: Ms) -> Ms {
    let passed = now.wrapping_sub(then);
    // Another CPU's look at the clock may have come a little later.
    if passed > Ms::MAX / 2 {
        0
    } else {
        passed
    }
}

/// The number of a parked I/O's turn. Zero: it was never parked.
pub(crate) type Ticket = u32;

/// What an array's owner wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    /// How long an I/O may be without a path; zero: not at all.
    pub(crate) timeout: Ms,
    /// How many I/Os may be parked at a time, those counted in that were let go and have not ended.
    pub(crate) max_parked: u32,
}

/// What an I/O remembers of being parked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Parked {
    /// Its turn; kept when it is parked again.
    pub(crate) ticket: Ticket,
    /// When it was first parked.
    pub(crate) at: Ms,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// I/Os take the usable paths. What is still on the shelf goes too.
    Open,
    /// The next probe is due some time after `from`.
    Waiting { from: Ms },
    /// The I/O of this ticket is out as a probe.
    Probing(Ticket),
    /// All up to this ticket are let go, one after the other.
    Releasing(Ticket),
}

/// The state of an array's parking.
#[derive(Debug)]
pub(crate) struct Parking {
    phase: Phase,
    /// The last ticket given out.
    last: Ticket,
    /// How many I/Os have one.
    holders: u32,
}

/// What is to be done with a new I/O that found no path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// There are paths again.
    Retry,
    /// It is parked, with this.
    Park(Parked),
    /// There is no room.
    Full,
}

/// What the array's thread is to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// End the first of the parked: its time is up, and none is let go; or nothing is to wait any more.
    Expire,
    /// Send the first of the parked.
    Send,
    /// Nothing, for so long; or until it is woken.
    Sleep(Option<Ms>),
}

impl Parking {
    /// How long after a failure the next probe is sent.
    pub(crate) const PROBE_INTERVAL: Ms = 1000;

    pub(crate) const fn new() -> Self {
        Self {
            phase: Phase::Open,
            last: 0,
            holders: 0,
        }
    }

    /// Whether I/Os take the usable paths; else they are to go behind the parked.
    pub(crate) const fn is_open(&self) -> bool {
        matches!(self.phase, Phase::Open)
    }

    /// How many I/Os are parked, or were and have not ended.
    pub(crate) const fn holders(&self) -> u32 {
        self.holders
    }

    fn has_room(&self, limits: Limits) -> bool {
        limits.timeout != 0 && self.holders < limits.max_parked
    }

    fn ticket(&mut self, now: Ms) -> Parked {
        self.holders += 1;
        self.last = match self.last.wrapping_add(1) {
            0 => 1,
            ticket => ticket,
        };
        Parked {
            ticket: self.last,
            at: now,
        }
    }

    /// An I/O with a ticket ends.
    fn give_back(&mut self) {
        self.holders = self.holders.saturating_sub(1);
    }

    /// A new I/O has found no path to take.
    pub(crate) fn arrive(&mut self, now: Ms, limits: Limits) -> Arrival {
        match self.phase {
            Phase::Open => Arrival::Retry,
            _ if self.has_room(limits) => Arrival::Park(self.ticket(now)),
            // There is a path: rather out of turn than not at all.
            Phase::Releasing(_) => Arrival::Retry,
            _ => Arrival::Full,
        }
    }

    /// An I/O has failed on every path, none of which works. `before` is what it was parked with, if
    /// it was. Says what it is parked with now, or that it has to end with its error.
    pub(crate) fn park(&mut self, before: Parked, now: Ms, limits: Limits) -> Option<Parked> {
        let parked = if before.ticket == 0 {
            self.has_room(limits).then(|| self.ticket(now))
        } else if since(now, before.at) < limits.timeout {
            Some(before)
        } else {
            self.give_back();
            None
        };
        // Whatever becomes of it, the path that is left does not work.
        match self.phase {
            // It ends. Those that are on the shelf have a try of their own.
            Phase::Open if parked.is_none() => {}
            // Another I/O is out to see.
            Phase::Probing(ticket) if ticket != before.ticket => {}
            // The next probe is due already.
            Phase::Waiting { .. } => {}
            _ => self.phase = Phase::Waiting { from: now },
        }
        parked
    }

    /// An I/O that was parked with `ticket` (zero: it was not) has ended, in any other way than for
    /// want of a path. If it was the probe, the parked are let go. Says whether the thread is to be
    /// woken.
    pub(crate) fn ended(&mut self, ticket: Ticket) -> bool {
        if ticket == 0 {
            return false;
        }
        self.give_back();
        match self.phase {
            Phase::Probing(probe) if probe == ticket => {
                self.phase = Phase::Releasing(self.last);
                true
            }
            // There may be nothing left to wait for.
            Phase::Waiting { .. } => self.holders == 0,
            _ => false,
        }
    }

    /// The I/O that was parked with `ticket` does not go again for some time. If it was the probe,
    /// there will be another.
    pub(crate) fn held(&mut self, ticket: Ticket, now: Ms) {
        if ticket != 0 && self.phase == Phase::Probing(ticket) {
            self.phase = Phase::Waiting { from: now };
        }
    }

    /// A path has come. If anything is parked it is let go: the thread is to be woken.
    pub(crate) fn path_came(&mut self) -> bool {
        let open = self.is_open();
        if !open {
            self.phase = Phase::Releasing(self.last);
        }
        !open
    }

    /// What to do with the shelf, on which the first is `first`. Without `may_send` nothing can be
    /// sent now; the thread is woken when that changes.
    pub(crate) fn step(
        &mut self,
        now: Ms,
        first: Option<Parked>,
        may_send: bool,
        limits: Limits,
    ) -> Step {
        let Some(first) = first else {
            match self.phase {
                // Nothing waits for a path any more: new I/O sees for itself whether one works.
                _ if limits.timeout == 0 => self.phase = Phase::Open,
                // The probe that is out says later whether the path works.
                Phase::Probing(_) => {}
                // Those that are to be retried later come back, or end.
                Phase::Waiting { .. } if self.holders > 0 => {}
                _ => self.phase = Phase::Open,
            }
            return Step::Sleep(None);
        };
        let left = limits.timeout.saturating_sub(since(now, first.at));
        // There is a path for what is let go, however long it has waited.
        let goes = matches!(self.phase, Phase::Open | Phase::Releasing(_));
        if limits.timeout == 0 || left == 0 && !goes {
            self.give_back();
            return Step::Expire;
        }
        match self.phase {
            // Tickets wrap.
            Phase::Releasing(until) if (first.ticket.wrapping_sub(until) as i32) > 0 => {
                self.phase = Phase::Open;
            }
            _ => {}
        }
        match self.phase {
            Phase::Open | Phase::Releasing(_) if may_send => Step::Send,
            Phase::Waiting { from } if may_send => {
                let waited = since(now, from);
                if waited >= Self::PROBE_INTERVAL {
                    self.phase = Phase::Probing(first.ticket);
                    Step::Send
                } else {
                    Step::Sleep(Some(left.min(Self::PROBE_INTERVAL - waited)))
                }
            }
            _ => Step::Sleep((left > 0).then_some(left)),
        }
    }
}
