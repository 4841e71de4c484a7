// SPDX-License-Identifier: GPL-2.0-or-later

//! Single instructions on the running CPU's copy of a per-CPU number.
//!
//! C headers: `include/linux/percpu-defs.h`, `arch/x86/include/asm/percpu.h` (Linux 7.3). In C these
//! are macros; called through a helper each costs more than what it does, and the caller its
//! registers. So x86-64's instructions are written here, as the C header has them: a per-CPU pointer
//! is an offset from GS. Other processors call the helpers.
//!
//! An interrupt, or a move to another CPU, comes before or after each of these, not in between.

#[cfg(all(CONFIG_X86_64, CONFIG_SMP))]
mod inline {
    use kernel::asm;

    /// Adds to this CPU's number and gives the sum, which wraps.
    ///
    /// # Safety
    ///
    /// - `number` is a per-CPU pointer to a `u32`, valid on every CPU.
    #[inline(always)]
    pub(in crate::abstractions) unsafe fn add_return_u32(number: *mut u32, value: u32) -> u32 {
        let mut old = value;
        // SAFETY: By the safety requirement. It changes this CPU's number and nothing else.
        unsafe {
            asm!(
                "xaddl {old:e}, %gs:({number})";
                old = inout(reg) old,
                number = in(reg) number,
                options(nostack),
            )
        };
        old.wrapping_add(value)
    }

    /// Adds to this CPU's number, which wraps. Says whether it has, taken as signed.
    ///
    /// # Safety
    ///
    /// - As for [`add_return_u32`].
    #[inline(always)]
    pub(in crate::abstractions) unsafe fn add_wraps<const VALUE: i32>(number: *mut u32) -> bool {
        'wraps: {
            // SAFETY: By the safety requirement. It changes this CPU's number and nothing else.
            unsafe {
                asm!(
                    "addl ${value}, %gs:({number}); jo {wraps}";
                    value = const VALUE,
                    number = in(reg) number,
                    wraps = label { break 'wraps true },
                    options(nostack),
                )
            };
            false
        }
    }

    /// This CPU's number.
    ///
    /// # Safety
    ///
    /// - As for [`add_return_u32`].
    #[inline(always)]
    pub(in crate::abstractions) unsafe fn read_u32(number: *mut u32) -> u32 {
        let value;
        // SAFETY: By the safety requirement. It changes nothing.
        unsafe {
            asm!(
                "movl %gs:({number}), {value:e}";
                value = lateout(reg) value,
                number = in(reg) number,
                options(nostack, readonly, preserves_flags),
            )
        };
        value
    }

    /// Sets this CPU's number.
    ///
    /// # Safety
    ///
    /// - As for [`add_return_u32`].
    #[inline(always)]
    pub(in crate::abstractions) unsafe fn write_u32(number: *mut u32, value: u32) {
        // SAFETY: By the safety requirement. It changes this CPU's number and nothing else.
        unsafe {
            asm!(
                "movl {value:e}, %gs:({number})";
                value = in(reg) value,
                number = in(reg) number,
                options(nostack, preserves_flags),
            )
        };
    }

    /// Adds one to this CPU's number, which wraps.
    ///
    /// # Safety
    ///
    /// - `number` is a per-CPU pointer to a `usize`, valid on every CPU.
    #[inline(always)]
    pub(in crate::abstractions) unsafe fn inc_ulong(number: *mut usize) {
        // SAFETY: By the safety requirement. It changes this CPU's number and nothing else.
        unsafe {
            asm!(
                "incq %gs:({number})";
                number = in(reg) number,
                options(nostack),
            )
        };
    }
}

#[cfg(all(CONFIG_X86_64, CONFIG_SMP))]
pub(in crate::abstractions) use inline::{
    add_return_u32, add_wraps, inc_ulong, read_u32, write_u32,
};

#[cfg(not(all(CONFIG_X86_64, CONFIG_SMP)))]
mod called {
    use crate::bindings;

    pub(in crate::abstractions) use bindings::{
        this_cpu_add_return_u32 as add_return_u32, this_cpu_inc_ulong as inc_ulong,
        this_cpu_read_u32 as read_u32, this_cpu_write_u32 as write_u32,
    };

    /// Adds to this CPU's number, which wraps. Says whether it has, taken as signed.
    ///
    /// # Safety
    ///
    /// - `number` is a per-CPU pointer to a `u32`, valid on every CPU.
    #[inline]
    pub(in crate::abstractions) unsafe fn add_wraps<const VALUE: i32>(number: *mut u32) -> bool {
        // SAFETY: By the safety requirement.
        let sum = unsafe { bindings::this_cpu_add_return_u32(number, VALUE as u32) } as i32;
        sum.checked_sub(VALUE).is_none()
    }
}

#[cfg(not(all(CONFIG_X86_64, CONFIG_SMP)))]
pub(in crate::abstractions) use called::{
    add_return_u32, add_wraps, inc_ulong, read_u32, write_u32,
};
