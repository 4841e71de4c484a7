// SPDX-License-Identifier: GPL-2.0-or-later

#include <linux/percpu-refcount.h>
#include <linux/preempt.h>

/* What percpu_ref_tryget_live_rcu() does, for a reader of RCU of any kind. */
static __always_inline bool tryget_live(struct percpu_ref *ref)
{
	unsigned long __percpu *count;

	if (likely(__ref_is_percpu(ref, &count))) {
		this_cpu_inc(*count);
		return true;
	}
	return !(ref->percpu_count_ptr & __PERCPU_REF_DEAD) &&
	       atomic_long_inc_not_zero(&ref->data->count);
}

void md_multipath_helper_percpu_ref_get(struct percpu_ref *ref)
{
	percpu_ref_get(ref);
}

/* As alloc_at_hand() of percpu.c. */
int md_multipath_helper_percpu_ref_init_at_hand(struct percpu_ref *ref, percpu_ref_func_t *release,
						unsigned int flags)
{
	return percpu_ref_init(ref, release, flags, GFP_NOWAIT | __GFP_NOWARN) ?
		percpu_ref_init(ref, release, flags, GFP_KERNEL) : 0;
}

void md_multipath_helper_percpu_ref_kill(struct percpu_ref *ref)
{
	percpu_ref_kill(ref);
}

/*
 * What percpu_ref_put() does, for less: a region that cannot be preempted is a reader of RCU as well,
 * and entering it is no call. Only the per-CPU count needs it.
 */
void by_name_only md_multipath_helper_percpu_ref_put(struct percpu_ref *ref)
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

/* If it gives a reference, the caller cannot be preempted until it calls preempt_enable(). */
bool by_name_only md_multipath_helper_percpu_ref_tryget_live_preempt_disable(struct percpu_ref *ref)
{
	preempt_disable();
	if (likely(tryget_live(ref)))
		return true;
	preempt_enable();
	return false;
}

bool md_multipath_helper_percpu_ref_tryget_live_reader(struct percpu_ref *ref)
{
	return tryget_live(ref);
}
