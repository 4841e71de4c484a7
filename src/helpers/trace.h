/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Tracepoints: what becomes of an array's bios, below events/md_multipath in tracefs.
 *
 * Position and length are those of the array's bio, in sectors; a path is named by its slot.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM md_multipath

#if !defined(_MD_MULTIPATH_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define _MD_MULTIPATH_TRACE_H

#include <linux/blktrace_api.h>
#include <linux/tracepoint.h>
#include "md.h"

/* The values of blk_status_t, without their prefix. */
#define md_multipath_show_status(status)	\
	__print_symbolic(status,		\
		{ 0, "OK" },			\
		{ 1, "NOTSUPP" },		\
		{ 2, "TIMEOUT" },		\
		{ 3, "NOSPC" },			\
		{ 4, "TRANSPORT" },		\
		{ 5, "TARGET" },		\
		{ 6, "RESV_CONFLICT" },		\
		{ 7, "MEDIUM" },		\
		{ 8, "PROTECTION" },		\
		{ 9, "RESOURCE" },		\
		{ 10, "IOERR" },		\
		{ 11, "DM_REQUEUE" },		\
		{ 12, "AGAIN" },		\
		{ 13, "DEV_RESOURCE" },		\
		{ 14, "ZONE_OPEN_RESOURCE" },	\
		{ 15, "ZONE_ACTIVE_RESOURCE" },	\
		{ 16, "OFFLINE" },		\
		{ 17, "DURATION_LIMIT" },	\
		{ 19, "INVAL" })

/* What every event has. */
#define md_multipath_bio_fields				\
		__string(array, mdname(mddev))		\
		__field(sector_t, sector)		\
		__field(unsigned int, sectors)		\
		__array(char, rwbs, RWBS_LEN)

#define md_multipath_assign_bio(at)				\
		__assign_str(array);				\
		__entry->sector = (at);				\
		__entry->sectors = bio_sectors(bio);		\
		blk_fill_rwbs(__entry->rwbs, bio->bi_opf)

#define MD_MULTIPATH_BIO_FMT	"%s %s %llu + %u"
#define md_multipath_bio_args					\
		__get_str(array), __entry->rwbs,		\
		(unsigned long long)__entry->sector, __entry->sectors

/* A bio that no path has. */
DECLARE_EVENT_CLASS(md_multipath_bio,
	TP_PROTO(struct mddev *mddev, struct bio *bio),
	TP_ARGS(mddev, bio),
	TP_STRUCT__entry(
		md_multipath_bio_fields
	),
	TP_fast_assign(
		md_multipath_assign_bio(bio->bi_iter.bi_sector);
	),
	TP_printk(MD_MULTIPATH_BIO_FMT, md_multipath_bio_args)
);

/* It waits for a path. */
DEFINE_EVENT(md_multipath_bio, md_multipath_park,
	TP_PROTO(struct mddev *mddev, struct bio *bio),
	TP_ARGS(mddev, bio)
);

/* It waits no longer: it is tried again, or ends. */
DEFINE_EVENT(md_multipath_bio, md_multipath_release,
	TP_PROTO(struct mddev *mddev, struct bio *bio),
	TP_ARGS(mddev, bio)
);

/* A bio that goes down a path. */
DECLARE_EVENT_CLASS(md_multipath_path,
	TP_PROTO(struct mddev *mddev, struct bio *bio, sector_t at, unsigned int slot),
	TP_ARGS(mddev, bio, at, slot),
	TP_STRUCT__entry(
		md_multipath_bio_fields
		__field(unsigned int, slot)
	),
	TP_fast_assign(
		md_multipath_assign_bio(at);
		__entry->slot = slot;
	),
	TP_printk(MD_MULTIPATH_BIO_FMT " path %u", md_multipath_bio_args, __entry->slot)
);

/* Every time; the bio is the clone, with the path's own position. */
DEFINE_EVENT(md_multipath_path, md_multipath_map,
	TP_PROTO(struct mddev *mddev, struct bio *bio, sector_t at, unsigned int slot),
	TP_ARGS(mddev, bio, at, slot)
);

/* Not for the first time. */
DEFINE_EVENT(md_multipath_path, md_multipath_retry,
	TP_PROTO(struct mddev *mddev, struct bio *bio, sector_t at, unsigned int slot),
	TP_ARGS(mddev, bio, at, slot)
);

/* It came back from a path with an error. */
TRACE_EVENT(md_multipath_error,
	TP_PROTO(struct mddev *mddev, struct bio *bio, unsigned int slot, unsigned char status),
	TP_ARGS(mddev, bio, slot, status),
	TP_STRUCT__entry(
		md_multipath_bio_fields
		__field(unsigned int, slot)
		__field(unsigned char, status)
	),
	TP_fast_assign(
		md_multipath_assign_bio(bio->bi_iter.bi_sector);
		__entry->slot = slot;
		__entry->status = status;
	),
	TP_printk(MD_MULTIPATH_BIO_FMT " path %u %s", md_multipath_bio_args, __entry->slot,
		md_multipath_show_status(__entry->status))
);

/* What the driver makes of it. */
TRACE_EVENT(md_multipath_verdict,
	TP_PROTO(struct mddev *mddev, struct bio *bio, unsigned int slot, unsigned char status,
		 const char *verdict),
	TP_ARGS(mddev, bio, slot, status, verdict),
	TP_STRUCT__entry(
		md_multipath_bio_fields
		__field(unsigned int, slot)
		__field(unsigned char, status)
		__string(verdict, verdict)
	),
	TP_fast_assign(
		md_multipath_assign_bio(bio->bi_iter.bi_sector);
		__entry->slot = slot;
		__entry->status = status;
		__assign_str(verdict);
	),
	TP_printk(MD_MULTIPATH_BIO_FMT " path %u %s: %s", md_multipath_bio_args, __entry->slot,
		md_multipath_show_status(__entry->status), __get_str(verdict))
);

#endif /* _MD_MULTIPATH_TRACE_H */

/* Read again for every part of what a tracepoint is made of, so outside of the guard. */
#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
