// SPDX-License-Identifier: GPL-2.0-or-later

//! I/Os that wait for the array's thread to send them down another path.

use super::Multipath;
use crate::abstractions::md::{List, Remap};
use kernel::{new_spinlock_irq, prelude::*, sync::SpinLockIrq};

/// The retry list of an array.
#[pin_data]
pub(crate) struct Retries {
    #[pin]
    list: SpinLockIrq<State>,
}

struct State {
    waiting: List<Multipath>,
    /// The thread has ended: nobody would look.
    closed: bool,
}

impl Retries {
    pub(crate) fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            list <- new_spinlock_irq!(State {
                waiting: List::new(),
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
        let mut state = self.list.lock();
        if state.closed {
            return Err(io);
        }
        state.waiting.push(io);
        Ok(())
    }

    /// Takes all that is waiting.
    pub(crate) fn take(&self) -> List<Multipath> {
        self.list.lock().waiting.take()
    }

    /// Takes all that is waiting, and lets nothing more in.
    pub(crate) fn close(&self) -> List<Multipath> {
        let mut state = self.list.lock();
        state.closed = true;
        state.waiting.take()
    }
}
