// SPDX-License-Identifier: GPL-2.0-or-later

#include <linux/rcupdate.h>

void md_multipath_helper_synchronize_rcu_tasks(void)
{
	synchronize_rcu_tasks();
}
