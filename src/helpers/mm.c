// SPDX-License-Identifier: GPL-2.0-or-later

#include <linux/sched/mm.h>

void md_multipath_helper_memalloc_noio_restore(unsigned int flags)
{
	memalloc_noio_restore(flags);
}

unsigned int md_multipath_helper_memalloc_noio_save(void)
{
	return memalloc_noio_save();
}
