// SPDX-License-Identifier: GPL-2.0-or-later

#include <linux/preempt.h>

void md_multipath_helper_preempt_disable(void)
{
	preempt_disable();
}

void by_name_only md_multipath_helper_preempt_enable(void)
{
	preempt_enable();
}
