// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * C functions that Rust cannot call by themselves: static inlines and macros, each wrapped in a
 * function of the same name behind the prefix md_multipath_helper_. One file for each C header,
 * sorted. Those on the way of an I/O are by_name_only: nobody calls them through a pointer, and the mark of
 * a place that may be called so is an instruction.
 */

#ifdef CONFIG_X86_KERNEL_IBT
#define by_name_only __attribute__((nocf_check))
#else
#define by_name_only
#endif

#include "blkdev.c"
#include "cpumask.c"
#include "debugfs.c"
#include "md.c"
#include "mm.c"
#include "percpu-refcount.c"
#include "percpu.c"
#include "preempt.c"
#include "ratelimit.c"
#include "rcupdate.c"
#include "scsi_device.c"
#include "spinlock.c"
#include "trace.c"
