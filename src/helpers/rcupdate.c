// SPDX-License-Identifier: GPL-2.0-or-later

#include <linux/rcupdate.h>

/* What synchronize_rcu_tasks() is then does not wait for a task that was preempted in a module's code. */
#if defined(CONFIG_PREEMPTION) && !defined(CONFIG_TASKS_RCU)
#error "a preemptible kernel needs CONFIG_TASKS_RCU for the module to be unloaded safely"
#endif

void md_multipath_helper_synchronize_rcu_tasks(void)
{
	synchronize_rcu_tasks();
}
