// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A module with the driver's name that cannot be unloaded: it has no exit function.
 */
#include <linux/module.h>

static int __init stuck_init(void)
{
	return 0;
}
module_init(stuck_init);

MODULE_DESCRIPTION("a module that stays");
MODULE_LICENSE("GPL");
