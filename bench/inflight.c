// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * inflight DEVICE COUNT COMMAND [ARG]...
 *
 * Submits COUNT direct reads of 4 KiB, which the device must not answer yet; runs COMMAND, which makes it
 * answer; waits for all of them. Prints the nanoseconds from the start of COMMAND to the last answer, how
 * many reads failed, and when the last answer came, in nanoseconds of the monotonic clock.
 */
#define _GNU_SOURCE
#include <err.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { SIZE = 4096 };

static int64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

int main(int argc, char **argv)
{
	aio_context_t context = 0;
	struct io_event *events;
	struct iocb *blocks;
	long count, done, failed = 0, i;
	void *buffer;
	int64_t start, end;
	int fd;

	if (argc < 4 || (count = strtol(argv[2], NULL, 0)) < 1)
		errx(2, "usage: inflight DEVICE COUNT COMMAND [ARG]...");
	fd = open(argv[1], O_RDONLY | O_DIRECT);
	if (fd < 0)
		err(1, "%s", argv[1]);
	if (syscall(SYS_io_setup, count, &context))
		err(1, "io_setup");
	events = calloc(count, sizeof(*events));
	blocks = calloc(count, sizeof(*blocks));
	if (!events || !blocks || posix_memalign(&buffer, SIZE, SIZE))
		errx(1, "no memory");
	for (i = 0; i < count; i++) {
		struct iocb *block = &blocks[i];

		block->aio_lio_opcode = IOCB_CMD_PREAD;
		block->aio_fildes = fd;
		block->aio_buf = (uintptr_t)buffer;
		block->aio_nbytes = SIZE;
		block->aio_offset = i * SIZE;
		if (syscall(SYS_io_submit, context, 1, &block) != 1)
			err(1, "io_submit");
	}
	start = now();
	switch (fork()) {
	case -1:
		err(1, "fork");
	case 0:
		execvp(argv[3], argv + 3);
		err(1, "%s", argv[3]);
	}
	for (done = 0; done < count; done += i) {
		i = syscall(SYS_io_getevents, context, count - done, count - done, events + done, NULL);
		if (i < 1)
			err(1, "io_getevents");
	}
	end = now();
	printf("%lld", (long long)(end - start));
	for (i = 0; i < count; i++)
		failed += events[i].res != SIZE;
	printf(" %ld %lld\n", failed, (long long)end);
	wait(NULL);
	return 0;
}
