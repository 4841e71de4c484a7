// SPDX-License-Identifier: GPL-2.0-or-later

//! What the kernel crate calls otherwise, or does not have, before Linux 7.3.
//!
//! The rest of the module is written for 7.3 and takes from here what is not the same in all releases
//! that it is made for. `Kbuild` sets `before_linux_7_3`.

use crate::bindings;
use kernel::ffi::c_char;

#[cfg(before_linux_7_3)]
#[path = "release/before_7_3.rs"]
mod imp;

#[cfg(not(before_linux_7_3))]
mod imp {
    pub(crate) use kernel::{
        module::{this_module, ModuleMetadata},
        new_spinlock_irq,
        sync::{
            rcu::{rcu_barrier, synchronize_rcu},
            SpinLockIrq, SpinLockIrqGuard,
        },
    };
    pub(crate) use pin_init::raw_init;

    use super::{Show, Store};
    use crate::bindings;
    use kernel::{
        module_param::ModuleParamAccess,
        sync::barrier::{smp_mb as barrier, Full},
        time::Delta,
    };

    /// A full barrier between processors.
    #[inline(always)]
    pub(crate) fn smp_mb() {
        barrier(Full);
    }

    /// A span in milliseconds, rounded up.
    pub(crate) fn millis_ceil(span: Delta) -> i64 {
        span.as_millis_ceil()
    }

    /// Gives an attribute its functions.
    pub(crate) const fn set_functions(
        attr: &mut bindings::kobj_attribute,
        show: Show,
        store: Store,
    ) {
        attr.__bindgen_anon_1.show = Some(show);
        attr.__bindgen_anon_2.store = Some(store);
    }

    /// A module parameter's value.
    pub(crate) fn parameter<T: Copy>(parameter: &ModuleParamAccess<T>) -> T {
        parameter.value()
    }

    /// The value of a parameter that is on or off.
    pub(crate) fn flag(parameter: &ModuleParamAccess<bool>) -> bool {
        parameter.value()
    }

    /// Gives `$then` the type of a parameter that is on or off, and the value of one that is on.
    macro_rules! with_flag {
        ($then:ident) => {
            $then!(bool, true);
        };
    }
    pub(crate) use with_flag;
}

pub(crate) use imp::*;

/// What reads an attribute of a kobject.
pub(crate) type Show = unsafe extern "C" fn(
    *mut bindings::kobject,
    *mut bindings::kobj_attribute,
    *mut c_char,
) -> isize;

/// What writes one.
pub(crate) type Store = unsafe extern "C" fn(
    *mut bindings::kobject,
    *mut bindings::kobj_attribute,
    *const c_char,
    usize,
) -> isize;
