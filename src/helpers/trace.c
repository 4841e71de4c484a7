// SPDX-License-Identifier: GPL-2.0-or-later

/* This is where the tracepoints are made; bindgen needs their declarations only. */
#ifndef __BINDGEN__
#define CREATE_TRACE_POINTS
#endif
#include "trace.h"
#undef CREATE_TRACE_POINTS

static noinline void trace_map_and_submit(struct bio *bio, struct mddev *mddev, sector_t at,
					  unsigned int slot)
{
	mddev_trace_remap(mddev, bio, at);
	trace_md_multipath_map(mddev, bio, at, slot);
	submit_bio_noacct(bio);
}

/*
 * The bio is remapped, and goes: block_bio_remap is traced with it, as md's personalities do. With
 * neither switched on this saves and moves no registers. What every I/O needs of C at this point is
 * here, so that it is one call.
 */
void md_multipath_helper_count_trace_map_and_submit(struct bio *bio, struct mddev *mddev, sector_t at,
						    unsigned int slot, unsigned long __percpu *count)
{
	this_cpu_inc(*count);
	if (trace_block_bio_remap_enabled() || trace_md_multipath_map_enabled())
		trace_map_and_submit(bio, mddev, at, slot);
	else
		submit_bio_noacct(bio);
}

void md_multipath_helper_trace_error(struct mddev *mddev, struct bio *bio, unsigned int slot,
				     unsigned char status)
{
	trace_md_multipath_error(mddev, bio, slot, status);
}

void md_multipath_helper_trace_park(struct mddev *mddev, struct bio *bio)
{
	trace_md_multipath_park(mddev, bio);
}

void md_multipath_helper_trace_release(struct mddev *mddev, struct bio *bio)
{
	trace_md_multipath_release(mddev, bio);
}

void md_multipath_helper_trace_retry(struct mddev *mddev, struct bio *bio, sector_t at,
				     unsigned int slot)
{
	trace_md_multipath_retry(mddev, bio, at, slot);
}

void md_multipath_helper_trace_verdict(struct mddev *mddev, struct bio *bio, unsigned int slot,
				       unsigned char status, const char *verdict)
{
	trace_md_multipath_verdict(mddev, bio, slot, status, verdict);
}
