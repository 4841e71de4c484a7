// SPDX-License-Identifier: GPL-2.0-or-later

//! I/Os that wait for the array's thread to send them down another path.

use super::{
    parking::{since, Ms, Parked},
    verdict::{History, Mark},
    Multipath,
};
use crate::abstractions::{
    md::{List, Remap},
    release::{new_spinlock_irq, SpinLockIrq},
};
use kernel::prelude::*;

/// What the driver keeps of an I/O.
#[derive(Clone, Copy)]
pub(crate) struct Progress {
    pub(crate) history: History,
    pub(crate) parked: Parked,
}

// With what the abstractions keep it makes 64 bytes in front of each clone.
const _: () = assert!(size_of::<Progress>() <= 32);

impl Progress {
    /// That of a new I/O; see [`History::new`].
    #[inline]
    pub(crate) const fn new(known: u32) -> Self {
        Self {
            history: History::new(known),
            parked: Parked { ticket: 0, at: 0 },
        }
    }

    /// The I/O is to be parked.
    pub(crate) fn park(&mut self, parked: Parked) {
        self.parked = parked;
        self.history.mark(Mark::Watched, true);
    }
}

/// The retry list of an array, and what has to wait before its retry.
#[pin_data]
pub(crate) struct Retries {
    #[pin]
    lists: SpinLockIrq<Lists>,
}

struct Lists {
    waiting: List<Multipath>,
    /// In the order of `held_at`.
    held: List<Multipath>,
    /// The thread has ended: nobody would look.
    closed: bool,
}

/// What is held, now.
pub(crate) enum Held {
    /// This one has waited long enough.
    Due(Remap<Multipath>),
    /// The next has so long to wait.
    Later(Ms),
    /// There is none.
    Nothing,
}

impl Retries {
    pub(crate) fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            lists <- new_spinlock_irq!(Lists {
                waiting: List::new(),
                held: List::new(),
                closed: false,
            }),
        })
    }

    /// Appends an I/O. Any context.
    ///
    /// # Errors
    ///
    /// Gives it back if the list was closed.
    pub(crate) fn push(&self, io: Remap<Multipath>) -> core::result::Result<(), Remap<Multipath>> {
        let mut lists = self.lists.lock();
        if lists.closed {
            return Err(io);
        }
        lists.waiting.push(io);
        Ok(())
    }

    /// Takes all that is waiting.
    pub(crate) fn take(&self) -> List<Multipath> {
        self.lists.lock().waiting.take()
    }

    /// Keeps an I/O for later. Only the thread does.
    pub(crate) fn hold(&self, mut io: Remap<Multipath>, now: Ms) {
        io.data_mut().history.held_at = now;
        self.lists.lock().held.push(io);
    }

    /// Takes the first of the held, if it has waited for `hold`.
    pub(crate) fn due(&self, now: Ms, hold: Ms) -> Held {
        let mut lists = self.lists.lock();
        let Some(first) = lists.held.first() else {
            return Held::Nothing;
        };
        let waited = since(now, first.history.held_at);
        if waited < hold {
            return Held::Later(hold - waited);
        }
        lists.held.pop().map_or(Held::Nothing, Held::Due)
    }

    /// Takes all that is waiting or held, and lets nothing more in.
    pub(crate) fn close(&self) -> [List<Multipath>; 2] {
        let mut lists = self.lists.lock();
        lists.closed = true;
        [lists.waiting.take(), lists.held.take()]
    }
}
