// SPDX-License-Identifier: GPL-2.0-or-later

//! Bios in a row, linked through themselves.
//!
//! C header: `include/linux/bio.h` (`struct bio_list`, Linux 7.3). A [`Chain`] knows nothing of what
//! its bios are for: who puts them in owns them and sees to it that none is forgotten.

use crate::bindings;
use core::ptr::{self, NonNull};

/// A first-in first-out list of bios, which needs no memory of its own.
///
/// # Invariants
///
/// 1. `head` and `tail` are the ends of a chain of valid bios linked by `bi_next`, or both null.
/// 2. Nobody else uses `bi_next` of the bios in it.
pub(crate) struct Chain {
    head: *mut bindings::bio,
    tail: *mut bindings::bio,
}

// SAFETY: A bio that is not in flight may be used by any thread.
unsafe impl Send for Chain {}

impl Chain {
    /// Makes an empty chain.
    pub(crate) const fn new() -> Self {
        // INVARIANT: 1 and 2, for nothing.
        Self {
            head: ptr::null_mut(),
            tail: ptr::null_mut(),
        }
    }

    /// Appends a bio.
    ///
    /// # Safety
    ///
    /// - `bio` stays valid, and its `bi_next` unused by others, until it has left the chain.
    pub(crate) unsafe fn push(&mut self, bio: NonNull<bindings::bio>) {
        let bio = bio.as_ptr();
        // SAFETY: By the safety requirement.
        unsafe { (*bio).bi_next = ptr::null_mut() };
        if self.tail.is_null() {
            self.head = bio;
        } else {
            // SAFETY: By invariants 1 and 2.
            unsafe { (*self.tail).bi_next = bio };
        }
        // INVARIANT: 1, as the bio is linked and the last; 2 by the safety requirement.
        self.tail = bio;
    }

    /// Puts a bio before all others.
    ///
    /// # Safety
    ///
    /// - As for [`push`](Self::push).
    pub(crate) unsafe fn push_front(&mut self, bio: NonNull<bindings::bio>) {
        let bio = bio.as_ptr();
        // SAFETY: By the safety requirement.
        unsafe { (*bio).bi_next = self.head };
        // INVARIANT: 1, as the bio is linked and the first; 2 by the safety requirement.
        self.head = bio;
        if self.tail.is_null() {
            self.tail = bio;
        }
    }

    /// Takes the first bio. Its `bi_next` is null, as the block layer wants it in a bio that is
    /// submitted.
    pub(crate) fn pop(&mut self) -> Option<NonNull<bindings::bio>> {
        let bio = NonNull::new(self.head)?;
        // SAFETY: By invariants 1 and 2.
        self.head = unsafe { (*bio.as_ptr()).bi_next };
        if self.head.is_null() {
            self.tail = ptr::null_mut();
        }
        // SAFETY: By invariant 1, and as the bio is out of the chain.
        unsafe { (*bio.as_ptr()).bi_next = ptr::null_mut() };
        Some(bio)
    }

    /// The first bio, which stays in the chain.
    pub(crate) fn first(&self) -> Option<NonNull<bindings::bio>> {
        NonNull::new(self.head)
    }

    /// Moves all of another chain to the end of this one.
    pub(crate) fn append(&mut self, other: &mut Self) {
        if other.head.is_null() {
            return;
        }
        if self.tail.is_null() {
            self.head = other.head;
        } else {
            // SAFETY: By invariants 1 and 2.
            unsafe { (*self.tail).bi_next = other.head };
        }
        self.tail = other.tail;
        // INVARIANT: 1 and 2, as the bios have changed over.
        *other = Self::new();
    }

    /// Sorts by a key, which wraps: of two the one comes first from which fewer steps up lead to the
    /// other. Stable, in place, n log n.
    pub(crate) fn sort(&mut self, key: impl Fn(NonNull<bindings::bio>) -> u32) {
        // In slot `i` is a sorted run of 2^i bios, or none; in the last one is what is beyond.
        let mut runs = [const { Self::new() }; 24];
        while let Some(bio) = self.pop() {
            let mut run = Self::new();
            // SAFETY: The bio has just left this chain.
            unsafe { run.push(bio) };
            for slot in &mut runs {
                // What is in the slot came first.
                let earlier = core::mem::replace(slot, Self::new());
                if earlier.head.is_null() {
                    *slot = core::mem::replace(&mut run, Self::new());
                    break;
                }
                run = earlier.merge(run, &key);
            }
            // All slots were full, and are empty now.
            if let (false, Some(last)) = (run.head.is_null(), runs.last_mut()) {
                *last = run;
            }
        }
        for slot in runs {
            let later = core::mem::replace(self, Self::new());
            *self = slot.merge(later, &key);
        }
    }

    /// Merges two sorted chains; of equals this one's come first.
    fn merge(mut self, mut other: Self, key: &impl Fn(NonNull<bindings::bio>) -> u32) -> Self {
        let mut merged = Self::new();
        while let (Some(a), Some(b)) = (self.first(), other.first()) {
            let other_first = (key(b).wrapping_sub(key(a)) as i32) < 0;
            let from = if other_first { &mut other } else { &mut self };
            if let Some(bio) = from.pop() {
                // SAFETY: The bio has just left a chain that is owned here.
                unsafe { merged.push(bio) };
            }
        }
        merged.append(&mut self);
        merged.append(&mut other);
        merged
    }
}
