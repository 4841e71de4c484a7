// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A plugin for qemu's emulator (tcg): counts how often each instruction is executed between the two
 * marks of bench/io.c.
 *
 *     qemu-system-x86_64 -plugin count.so,out=PREFIX …
 *
 * At each stop mark the counts go to PREFIX.0, PREFIX.1, …: a line for each translated block that was
 * executed, `count address size size …` with the sizes of its instructions. A block that an exception
 * ends early counts as executed whole.
 *
 * Only one processor is counted. The few declarations are those of qemu-plugin.h (interface version 3
 * and later), which Debian does not package with the emulator.
 */
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))

typedef uint64_t qemu_plugin_id_t;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
struct qemu_info;

enum qemu_plugin_cb_flags { QEMU_PLUGIN_CB_NO_REGS };

typedef void (*vcpu_tb_trans_cb_t)(qemu_plugin_id_t id, struct qemu_plugin_tb *tb);
typedef void (*vcpu_udata_cb_t)(unsigned int vcpu, void *data);

void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t id, vcpu_tb_trans_cb_t callback);
void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb *tb, vcpu_udata_cb_t callback,
					  enum qemu_plugin_cb_flags flags, void *data);
void qemu_plugin_register_vcpu_insn_exec_cb(struct qemu_plugin_insn *insn, vcpu_udata_cb_t callback,
					    enum qemu_plugin_cb_flags flags, void *data);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *tb);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *tb, size_t index);
size_t qemu_plugin_insn_data(const struct qemu_plugin_insn *insn, void *buffer, size_t size);
size_t qemu_plugin_insn_size(const struct qemu_plugin_insn *insn);
uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn *insn);

EXPORT int qemu_plugin_version = 3;

struct block {
	struct block *next;
	uint64_t address;
	uint64_t executed;
	uint32_t length;
	uint8_t sizes[];
};

static const uint8_t mark[] = { 0x0f, 0x1f, 0x80, 0x4d, 0x44, 0x4d };
static struct block *blocks;
static const char *prefix;
static unsigned int windows;
static bool counting;

static void executed(unsigned int vcpu, void *data)
{
	struct block *block = data;

	(void)vcpu;
	if (counting)
		block->executed++;
}

static void start(unsigned int vcpu, void *data)
{
	struct block *block;

	(void)vcpu;
	(void)data;
	for (block = blocks; block; block = block->next)
		block->executed = 0;
	counting = true;
}

static void stop(unsigned int vcpu, void *data)
{
	char name[4096];
	struct block *block;
	uint32_t i;
	FILE *file;

	(void)vcpu;
	(void)data;
	if (!counting)
		return;
	counting = false;
	snprintf(name, sizeof(name), "%s.%u", prefix, windows++);
	file = fopen(name, "w");
	if (!file) {
		perror(name);
		exit(1);
	}
	for (block = blocks; block; block = block->next) {
		if (!block->executed)
			continue;
		fprintf(file, "%" PRIu64 " %" PRIx64, block->executed, block->address);
		for (i = 0; i < block->length; i++)
			fprintf(file, " %u", block->sizes[i]);
		fputc('\n', file);
	}
	if (fclose(file)) {
		perror(name);
		exit(1);
	}
}

static void translated(qemu_plugin_id_t id, struct qemu_plugin_tb *tb)
{
	size_t length = qemu_plugin_tb_n_insns(tb), i;
	struct block *block = malloc(sizeof(*block) + length);

	(void)id;
	if (!block || !length)
		abort();
	block->address = qemu_plugin_insn_vaddr(qemu_plugin_tb_get_insn(tb, 0));
	block->executed = 0;
	block->length = length;
	block->next = blocks;
	blocks = block;
	for (i = 0; i < length; i++) {
		struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(tb, i);
		uint8_t bytes[16];

		block->sizes[i] = qemu_plugin_insn_size(insn);
		if (block->sizes[i] != sizeof(mark) + 1 ||
		    qemu_plugin_insn_data(insn, bytes, sizeof(bytes)) < sizeof(mark) + 1 ||
		    memcmp(bytes, mark, sizeof(mark)))
			continue;
		qemu_plugin_register_vcpu_insn_exec_cb(insn, bytes[sizeof(mark)] == 1 ? start : stop,
						       QEMU_PLUGIN_CB_NO_REGS, NULL);
	}
	qemu_plugin_register_vcpu_tb_exec_cb(tb, executed, QEMU_PLUGIN_CB_NO_REGS, block);
}

EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const struct qemu_info *info, int argc, char **argv)
{
	(void)info;
	if (argc != 1 || strncmp(argv[0], "out=", 4)) {
		fprintf(stderr, "count: the one option is out=PREFIX\n");
		return -1;
	}
	prefix = strdup(argv[0] + 4);
	qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
	return 0;
}
