// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The first program of the guest that scripts/vm starts, linked statically into its initramfs: loads the
 * modules listed in /modules/order, lays a writable layer and the layer /run-layer of this run over the
 * image of the build root, and starts /etc/vm/init there.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define IMAGE "/dev/vda"

/* Process 1 ending is a panic: the host sees it and ends the guest. */
static void fail(const char *what)
{
	int error = errno;
	FILE *log = fopen("/dev/kmsg", "w");

	if (log) {
		fprintf(log, "<3>vm-start: FAILED: %s: %s\n", what, strerror(error));
		fclose(log);
	}
	exit(1);
}

static void load_modules(void)
{
	char name[256], path[300];
	FILE *order = fopen("/modules/order", "r");

	if (!order)
		fail("/modules/order");
	while (fscanf(order, "%255s", name) == 1) {
		int fd;

		snprintf(path, sizeof(path), "/modules/%s", name);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd < 0 || (syscall(SYS_finit_module, fd, "", 0) && errno != EEXIST))
			fail(path);
		close(fd);
	}
	fclose(order);
}

static void wait_for(const char *path, int seconds)
{
	const struct timespec pause = { .tv_nsec = 2000000 };
	struct stat st;

	for (int i = 0; stat(path, &st); i++) {
		if (i == seconds * 500)
			fail(path);
		nanosleep(&pause, NULL);
	}
}

int main(void)
{
	mkdir("/dev", 0755);
	mkdir("/image", 0755);
	mkdir("/rw", 0755);
	mkdir("/new", 0755);
	if (mount("dev", "/dev", "devtmpfs", MS_NOSUID, "mode=755") && errno != EBUSY)
		fail("devtmpfs");
	load_modules();
	wait_for(IMAGE, 30);
	if (mount(IMAGE, "/image", "erofs", MS_RDONLY, NULL))
		fail("mount of the image");
	if (mount("rw", "/rw", "tmpfs", 0, "mode=755"))
		fail("tmpfs");
	mkdir("/rw/upper", 0755);
	mkdir("/rw/work", 0755);
	if (mount("root", "/new", "overlay", 0,
		  "lowerdir=/run-layer:/image,upperdir=/rw/upper,workdir=/rw/work"))
		fail("overlay");
	if (mount("/dev", "/new/dev", NULL, MS_MOVE, NULL))
		fail("/dev");
	if (chdir("/new") || mount(".", "/", NULL, MS_MOVE, NULL) || chroot("."))
		fail("change of root");
	execl("/usr/bin/bash", "bash", "/etc/vm/init", NULL);
	fail("/etc/vm/init");
}
