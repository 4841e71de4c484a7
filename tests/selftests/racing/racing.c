// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A data race: as long as this module is loaded two threads count the same number up, without a lock.
 */
#include <linux/err.h>
#include <linux/kthread.h>
#include <linux/module.h>
#include <linux/sched.h>

static struct task_struct *racers[2];
static unsigned long raced;

static int race(void *unused)
{
	while (!kthread_should_stop()) {
		raced++;
		cond_resched();
	}
	return 0;
}

static void stop(void)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(racers); i++)
		if (racers[i])
			kthread_stop(racers[i]);
}

static int __init racing_init(void)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(racers); i++) {
		struct task_struct *racer = kthread_run(race, NULL, "racing/%d", i);

		if (IS_ERR(racer)) {
			stop();
			return PTR_ERR(racer);
		}
		racers[i] = racer;
	}
	return 0;
}
module_init(racing_init);

static void __exit racing_exit(void)
{
	stop();
}
module_exit(racing_exit);

MODULE_DESCRIPTION("a data race");
MODULE_LICENSE("GPL");
