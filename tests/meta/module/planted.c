// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A kernel that complains: loading this module does what its parameter says, for real.
 */
#include <linux/bug.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/string.h>

static char *fault = "warning";
module_param(fault, charp, 0444);

static DEFINE_MUTEX(one);
static DEFINE_MUTEX(other);
static DEFINE_SPINLOCK(spin);
static int __rcu *guarded;

static void in_both_orders(void)
{
	mutex_lock(&one);
	mutex_lock(&other);
	mutex_unlock(&other);
	mutex_unlock(&one);
	mutex_lock(&other);
	mutex_lock(&one);
	mutex_unlock(&one);
	mutex_unlock(&other);
}

/* The allocation may sleep. */
static void sleep_with_a_spinlock(void)
{
	spin_lock(&spin);
	kfree(kmalloc(64, GFP_KERNEL));
	spin_unlock(&spin);
}

static void read_what_is_freed(void)
{
	char *place = kmalloc(64, GFP_KERNEL);

	kfree(place);
	OPTIMIZER_HIDE_VAR(place);
	pr_info("planted: %d\n", READ_ONCE(*place));
}

/* More than one object: a stale pointer to the last may stay on a stack or in a register that is saved. */
static void lose_memory(void)
{
	int i;

	for (i = 0; i < 100; i++) {
		char *place = kmalloc(64, GFP_KERNEL);

		OPTIMIZER_HIDE_VAR(place);
	}
}

static int __init planted_init(void)
{
	if (!strcmp(fault, "warning"))
		WARN(1, "planted by tests/meta");
	else if (!strcmp(fault, "locks"))
		in_both_orders();
	else if (!strcmp(fault, "sleep"))
		sleep_with_a_spinlock();
	else if (!strcmp(fault, "rcu"))
		pr_info("planted: %d\n", !rcu_dereference(guarded));
	else if (!strcmp(fault, "freed"))
		read_what_is_freed();
	else if (!strcmp(fault, "leak"))
		lose_memory();
	else
		return -EINVAL;
	return 0;
}
module_init(planted_init);

static void __exit planted_exit(void)
{
}
module_exit(planted_exit);

MODULE_DESCRIPTION("planted faults");
MODULE_LICENSE("GPL");
