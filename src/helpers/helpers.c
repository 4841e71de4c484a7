// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * C functions that Rust cannot call by themselves: static inlines and macros, each wrapped in a
 * function of the same name behind the prefix md_multipath_helper_. One file for each C header,
 * sorted.
 */
#include "blkdev.c"
#include "cpumask.c"
#include "debugfs.c"
#include "md.c"
#include "mm.c"
#include "percpu-refcount.c"
#include "percpu.c"
#include "preempt.c"
#include "ratelimit.c"
#include "trace.c"
