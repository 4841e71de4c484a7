// SPDX-License-Identifier: GPL-2.0-or-later

#include <linux/percpu.h>

/*
 * Without waiting, if there is memory at hand: else pcpu_alloc() takes a lock. In Linux 7.2 its holder may wait
 * for memory that is to be written to an array, which is suspended while its paths are added.
 */
#define alloc_at_hand(type) \
	(alloc_percpu_gfp(type, GFP_NOWAIT | __GFP_NOWARN) ?: alloc_percpu(type))

u32 __percpu *md_multipath_helper_alloc_percpu_u32(void)
{
	return alloc_at_hand(u32);
}

unsigned long __percpu *md_multipath_helper_alloc_percpu_ulong(void)
{
	return alloc_at_hand(unsigned long);
}

unsigned long md_multipath_helper_per_cpu_ulong(unsigned long __percpu *number, unsigned int cpu)
{
	return READ_ONCE(*per_cpu_ptr(number, cpu));
}

u32 md_multipath_helper_this_cpu_add_return_u32(u32 __percpu *number, u32 value)
{
	return this_cpu_add_return(*number, value);
}

void md_multipath_helper_this_cpu_inc_ulong(unsigned long __percpu *number)
{
	this_cpu_inc(*number);
}

u32 md_multipath_helper_this_cpu_read_u32(u32 __percpu *number)
{
	return this_cpu_read(*number);
}

void md_multipath_helper_this_cpu_write_u32(u32 __percpu *number, u32 value)
{
	this_cpu_write(*number, value);
}
