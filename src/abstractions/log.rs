// SPDX-License-Identifier: GPL-2.0-or-later

//! Kernel log lines that name their array, and a limit to their rate.
//!
//! C headers: `include/linux/printk.h`, `include/linux/ratelimit.h` (Linux 7.3).

use crate::bindings;
use kernel::{
    fmt,
    prelude::*,
    print::{call_printk, format_strings},
    str::CStr,
    types::Opaque,
};

/// How much a line matters.
#[derive(Clone, Copy)]
pub(crate) enum Level {
    /// Somebody has to act.
    Alert,
    /// Something was refused.
    Err,
    /// Something may be wrong.
    Warning,
    /// All is well.
    Info,
}

/// Logs a line about an array, as `md/multipath:md0: …`, which is how md's personalities do it; the
/// end of line is added. Any context.
pub(crate) fn array_line(level: Level, personality: &CStr, array: &CStr, line: fmt::Arguments<'_>) {
    let format = match level {
        Level::Alert => &format_strings::ALERT,
        Level::Err => &format_strings::ERR,
        Level::Warning => &format_strings::WARNING,
        Level::Info => &format_strings::INFO,
    };
    // The last byte stays zero.
    let mut prefix = [0; 64];
    let text = [b"md/", personality.to_bytes(), b":", array.to_bytes()];
    let room = prefix.len() - 1;
    for (to, from) in prefix.iter_mut().zip(text.into_iter().flatten()).take(room) {
        *to = *from;
    }
    // SAFETY: The format is one of `format_strings`, and `prefix` ends with a zero.
    unsafe { call_printk(format, &prefix, fmt!("{}\n", line)) };
}

/// At most ten events in five seconds, counted for each value of this type by itself.
#[pin_data]
pub(crate) struct RateLimit {
    #[pin]
    state: Opaque<bindings::ratelimit_state>,
}

// SAFETY: `___ratelimit` locks the state by itself.
unsafe impl Send for RateLimit {}

// SAFETY: As above.
unsafe impl Sync for RateLimit {}

impl RateLimit {
    /// Makes a limit with the kernel's default interval and burst.
    pub(crate) fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            state <- Opaque::ffi_init(|state| {
                // SAFETY: `state` is valid for writes.
                unsafe { bindings::ratelimit_default_init(state) }
            }),
        })
    }

    /// Whether one more event may be logged now. Any context. Logs how many were suppressed when
    /// the next interval begins, under the name `event`.
    pub(crate) fn allow(&self, event: &'static CStr) -> bool {
        // SAFETY: The state was initialised by `new`; `event` is a C string.
        unsafe { bindings::___ratelimit(self.state.get(), event.as_char_ptr()) != 0 }
    }
}
