// SPDX-License-Identifier: GPL-2.0-or-later

//! The driver's decisions, compiled for the host from the driver's own files, and their tests.
//!
//! The modules stand where the driver has them, so that they find each other. The tests are:
//!
//! - `status`, `slots`, `policy`, `verdict`, `identity`, `event`: each module for itself,
//!   exhaustively where that can be done;
//! - `parking`: random schedules against records of who waits;
//! - `protocol`: an I/O's way through an array, random schedules of a model that uses them.

#![allow(dead_code)]

#[path = "../../../src/abstractions"]
mod abstractions {
    #[path = "bio"]
    pub(crate) mod bio {
        pub(crate) mod op;
        pub(crate) mod status;

        pub(crate) use op::{Kind, Op};
        pub(crate) use status::Status;
    }

    pub(crate) mod designator;
}

#[path = "../../../src/multipath"]
mod multipath {
    pub(crate) mod event;
    pub(crate) mod identity;
    pub(crate) mod parking;
    pub(crate) mod policy;
    pub(crate) mod slots;
    pub(crate) mod verdict;
}

#[cfg(test)]
mod tests {
    mod event;
    mod identity;
    mod parking;
    mod policy;
    mod protocol;
    mod slots;
    mod status;
    mod verdict;

    use crate::abstractions::bio::{Kind, Op};
    use proptest::test_runner::Config;

    /// A read, or a read-ahead.
    pub(crate) const fn op(read_ahead: bool) -> Op {
        Op {
            kind: Kind::Read,
            read_ahead,
            nowait: false,
            flushes: false,
            atomic: false,
        }
    }

    /// What the properties are tried with. `PROPTEST_CASES` has precedence over `cases`. A failure
    /// prints its smallest input, which is all there is to it; nothing is kept in files.
    pub(crate) fn config(cases: u32) -> Config {
        let default = Config::default();
        Config {
            cases: match std::env::var_os("PROPTEST_CASES") {
                Some(_) => default.cases,
                None => cases,
            },
            failure_persistence: None,
            max_shrink_iters: 20_000,
            ..default
        }
    }
}
