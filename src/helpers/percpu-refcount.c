// SPDX-License-Identifier: GPL-2.0-or-later

#include <linux/percpu-refcount.h>

void md_multipath_helper_percpu_ref_get(struct percpu_ref *ref)
{
	percpu_ref_get(ref);
}

void md_multipath_helper_percpu_ref_kill(struct percpu_ref *ref)
{
	percpu_ref_kill(ref);
}

/*
 * What percpu_ref_put() does, for less: a region that cannot be preempted is a reader of RCU as well,
 * and entering it is no call. Only the per-CPU count needs it.
 */
void md_multipath_helper_percpu_ref_put(struct percpu_ref *ref)
{
	unsigned long __percpu *count;
	bool percpu;

	preempt_disable();
	percpu = __ref_is_percpu(ref, &count);
	if (likely(percpu))
		this_cpu_dec(*count);
	preempt_enable();
	if (unlikely(!percpu) && atomic_long_dec_and_test(&ref->data->count))
		ref->data->release(ref);
}

bool md_multipath_helper_percpu_ref_tryget_live_rcu(struct percpu_ref *ref)
{
	return percpu_ref_tryget_live_rcu(ref);
}
