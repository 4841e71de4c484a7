// SPDX-License-Identifier: GPL-2.0-or-later

#include <linux/percpu-refcount.h>

void md_multipath_helper_percpu_ref_get(struct percpu_ref *ref)
{
	percpu_ref_get(ref);
}

bool md_multipath_helper_percpu_ref_is_percpu(struct percpu_ref *ref, unsigned long __percpu **count)
{
	return __ref_is_percpu(ref, count);
}

void md_multipath_helper_percpu_ref_kill(struct percpu_ref *ref)
{
	percpu_ref_kill(ref);
}

void md_multipath_helper_percpu_ref_put(struct percpu_ref *ref)
{
	percpu_ref_put(ref);
}

bool md_multipath_helper_percpu_ref_tryget_live_rcu(struct percpu_ref *ref)
{
	return percpu_ref_tryget_live_rcu(ref);
}
