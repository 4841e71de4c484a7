// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * io DEVICE read|write|flush SIZE COUNT BATCHES [CPUS]
 *
 * Issues BATCHES times COUNT direct I/Os of SIZE bytes, one after the other, at scattered places of the
 * first 512 MiB (or of the device), and prints the nanoseconds each batch took. `flush` issues
 * fdatasync() on a device without dirty pages: one flush, nothing else.
 *
 * With CPUS, as many processes do that at the same time, each on a processor of its own; a batch has
 * taken what the slowest took.
 *
 * Around the last batch it executes the two instructions that bench/count.c looks for.
 */
#define _GNU_SOURCE
#include <err.h>
#include <fcntl.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
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

struct job {
	const char *device;
	enum operation operation;
	size_t size;
	long count;
	/* What open_device() makes. */
	void *buffer;
	uint64_t places;
	int fd;
};

static void open_device(struct job *job)
{
	off_t end;

	job->fd = open(job->device, O_RDWR | O_DIRECT);
	if (job->fd < 0)
		err(1, "%s", job->device);
	if (job->operation == FLUSH) {
		job->size = 0;
		job->places = 1;
		return;
	}
	end = lseek(job->fd, 0, SEEK_END);
	if (end > 512 << 20)
		end = 512 << 20;
	if (end < (off_t)job->size)
		errx(1, "%s is smaller than one I/O", job->device);
	job->places = end / job->size;
	if (posix_memalign(&job->buffer, 4096, job->size))
		errx(1, "no memory");
	memset(job->buffer, 0x5a, job->size);
}

static void run(const struct job *job)
{
	batch(job->fd, job->operation, job->buffer, job->size, job->places, job->count);
}

/* A process on `cpu` that does a batch for each byte it reads, and answers it. */
static int worker(struct job *job, int cpu)
{
	int channel[2];
	cpu_set_t set;
	char byte;

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, channel))
		err(1, "socketpair");
	switch (fork()) {
	case -1:
		err(1, "fork");
	case 0:
		break;
	default:
		close(channel[1]);
		return channel[0];
	}
	close(channel[0]);
	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		err(1, "processor %d", cpu);
	open_device(job);
	while (read(channel[1], &byte, 1) == 1) {
		run(job);
		if (write(channel[1], &byte, 1) != 1)
			err(1, "pipe");
	}
	_exit(0);
}

static void run_all(const int *workers, long cpus)
{
	char byte = 0;
	long i;

	for (i = 0; i < cpus; i++)
		if (write(workers[i], &byte, 1) != 1)
			err(1, "pipe");
	for (i = 0; i < cpus; i++)
		if (read(workers[i], &byte, 1) != 1)
			errx(1, "a process has ended");
}

int main(int argc, char **argv)
{
	long batches, cpus, i;
	struct job job = { 0 };
	int *workers;
	int64_t *took;

	if (argc != 6 && argc != 7)
		errx(2, "usage: io DEVICE read|write|flush SIZE COUNT BATCHES [CPUS]");
	job.device = argv[1];
	if (!strcmp(argv[2], "read"))
		job.operation = READ;
	else if (!strcmp(argv[2], "write"))
		job.operation = WRITE;
	else if (!strcmp(argv[2], "flush"))
		job.operation = FLUSH;
	else
		errx(2, "'%s' is not an operation", argv[2]);
	job.size = strtoul(argv[3], NULL, 0);
	job.count = strtol(argv[4], NULL, 0);
	batches = strtol(argv[5], NULL, 0);
	cpus = argc == 7 ? strtol(argv[6], NULL, 0) : 0;
	if (job.count < 1 || batches < 1 || cpus < 0 || (job.operation != FLUSH && (job.size < 512 || job.size % 512)))
		errx(2, "SIZE is a multiple of 512, COUNT and BATCHES are at least 1");
	took = calloc(batches, sizeof(*took));
	workers = calloc(cpus + 1, sizeof(*workers));
	if (!took || !workers)
		errx(1, "no memory");
	for (i = 0; i < cpus; i++)
		workers[i] = worker(&job, i);
	if (!cpus)
		open_device(&job);
	for (i = 0; i < batches; i++) {
		int64_t start = now();

		if (i == batches - 1)
			MARK_START();
		if (cpus)
			run_all(workers, cpus);
		else
			run(&job);
		if (i == batches - 1)
			MARK_STOP();
		took[i] = now() - start;
	}
	for (i = 0; i < cpus; i++)
		close(workers[i]);
	while (wait(NULL) > 0)
		;
	for (i = 0; i < batches; i++)
		printf("%lld\n", (long long)took[i]);
	return 0;
}
