// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * io DEVICE read|write|flush SIZE COUNT BATCHES
 *
 * Issues BATCHES times COUNT direct I/Os of SIZE bytes, one after the other, at scattered places of the
 * first 512 MiB (or of the device), and prints the nanoseconds each batch took. `flush` issues
 * fdatasync() on a device without dirty pages: one flush, nothing else.
 *
 * Around the last batch it executes the two instructions that bench/count.c looks for.
 */
#define _GNU_SOURCE
#include <err.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* nopl with a displacement that no compiler chooses. */
#define MARK_START() asm volatile(".byte 0x0f, 0x1f, 0x80, 0x4d, 0x44, 0x4d, 0x01" ::: "memory")
#define MARK_STOP()  asm volatile(".byte 0x0f, 0x1f, 0x80, 0x4d, 0x44, 0x4d, 0x02" ::: "memory")

enum operation { READ, WRITE, FLUSH };

static int64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void batch(int fd, enum operation operation, void *buffer, size_t size, uint64_t places, long count)
{
	static uint64_t state = 1;
	ssize_t done;
	long i;

	for (i = 0; i < count; i++) {
		off_t at;

		state = state * 6364136223846793005ULL + 1442695040888963407ULL;
		at = (off_t)((state >> 33) % places * size);
		switch (operation) {
		case READ:
			done = pread(fd, buffer, size, at);
			break;
		case WRITE:
			done = pwrite(fd, buffer, size, at);
			break;
		default:
			done = fdatasync(fd) ? -1 : (ssize_t)size;
		}
		if (done != (ssize_t)size)
			err(1, "I/O at %lld", (long long)at);
	}
}

int main(int argc, char **argv)
{
	enum operation operation;
	long count, batches, i;
	int64_t *took;
	size_t size;
	void *buffer = NULL;
	off_t end;
	int fd;

	if (argc != 6)
		errx(2, "usage: io DEVICE read|write|flush SIZE COUNT BATCHES");
	if (!strcmp(argv[2], "read"))
		operation = READ;
	else if (!strcmp(argv[2], "write"))
		operation = WRITE;
	else if (!strcmp(argv[2], "flush"))
		operation = FLUSH;
	else
		errx(2, "'%s' is not an operation", argv[2]);
	size = strtoul(argv[3], NULL, 0);
	count = strtol(argv[4], NULL, 0);
	batches = strtol(argv[5], NULL, 0);
	if (count < 1 || batches < 1 || (operation != FLUSH && (size < 512 || size % 512)))
		errx(2, "SIZE is a multiple of 512, COUNT and BATCHES are at least 1");
	fd = open(argv[1], O_RDWR | O_DIRECT);
	if (fd < 0)
		err(1, "%s", argv[1]);
	end = lseek(fd, 0, SEEK_END);
	if (end > 512 << 20)
		end = 512 << 20;
	if (operation == FLUSH) {
		size = 0;
	} else {
		if (end < (off_t)size)
			errx(1, "%s is smaller than one I/O", argv[1]);
		if (posix_memalign(&buffer, 4096, size))
			errx(1, "no memory");
		memset(buffer, 0x5a, size);
	}
	took = calloc(batches, sizeof(*took));
	if (!took)
		errx(1, "no memory");
	for (i = 0; i < batches; i++) {
		int64_t start = now();

		if (i == batches - 1)
			MARK_START();
		batch(fd, operation, buffer, size, size ? end / size : 1, count);
		if (i == batches - 1)
			MARK_STOP();
		took[i] = now() - start;
	}
	for (i = 0; i < batches; i++)
		printf("%lld\n", (long long)took[i]);
	return 0;
}
