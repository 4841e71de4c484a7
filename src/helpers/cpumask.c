// SPDX-License-Identifier: GPL-2.0-or-later

#include <linux/cpumask.h>

unsigned int md_multipath_helper_cpumask_next_possible(int cpu)
{
	return cpumask_next(cpu, cpu_possible_mask);
}
