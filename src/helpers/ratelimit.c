// SPDX-License-Identifier: GPL-2.0-or-later

#include <linux/ratelimit.h>

void md_multipath_helper_ratelimit_default_init(struct ratelimit_state *rs)
{
	ratelimit_default_init(rs);
}
