// SPDX-License-Identifier: GPL-2.0-or-later

/* This is where the tracepoints are made; bindgen needs their declarations only. */
#ifndef __BINDGEN__
#define CREATE_TRACE_POINTS
#endif
#include "trace.h"
#undef CREATE_TRACE_POINTS

void md_multipath_helper_trace_error(struct mddev *mddev, struct bio *bio, unsigned int slot,
				     unsigned char status)
{
	trace_md_multipath_error(mddev, bio, slot, status);
}

/* The bio is remapped: block_bio_remap is traced with it, as md's personalities do. */
void md_multipath_helper_trace_map(struct mddev *mddev, struct bio *bio, sector_t at,
				   unsigned int slot)
{
	mddev_trace_remap(mddev, bio, at);
	trace_md_multipath_map(mddev, bio, at, slot);
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
