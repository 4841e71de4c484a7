// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A kernel that complains: loading this module makes a real warning.
 */
#include <linux/bug.h>
#include <linux/module.h>

static int __init planted_init(void)
{
	WARN(1, "planted by tests/meta");
	return 0;
}
module_init(planted_init);

static void __exit planted_exit(void)
{
}
module_exit(planted_exit);

MODULE_DESCRIPTION("a planted warning");
MODULE_LICENSE("GPL");
