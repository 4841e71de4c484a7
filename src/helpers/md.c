// SPDX-License-Identifier: GPL-2.0-or-later

#include "md.h"

void md_multipath_helper_md_assign_thread(struct md_thread __rcu **place, struct md_thread *thread)
{
	rcu_assign_pointer(*place, thread);
}

/* What was written before comes first. */
void md_multipath_helper_md_wakeup_thread(struct md_thread __rcu **place)
{
	smp_mb__before_atomic();
	md_wakeup_thread(*place);
}

const char *md_multipath_helper_mdname(struct mddev *mddev)
{
	return mdname(mddev);
}
