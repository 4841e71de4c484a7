// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A plugin for qemu's emulator (tcg): counts how often each instruction is executed between the two
 * marks of bench/io.c.
 *
 *     qemu-system-x86_64 -plugin count.so,out=PREFIX[,memory=on] …
 *
 * At each stop mark the counts go to PREFIX.0, PREFIX.1, …: a line for each translated block that was
 * executed, `count address size size …` with the sizes of its instructions. A block that an exception
 * ends early counts as executed whole.
 *
 * With memory=on, PREFIX.N.memory tells what the kernel's instructions did to memory: `place address line
 * kind count`, where line is the address of a cache line and kind is r, w, or a for an access that is
 * atomic between processors. Place tells the processor: it is the address, in units of 256 KiB, that the
 * last access to a static per-CPU variable went to. (The emulator names the wrong processor where they
 * take turns.) This costs much time, so that it begins with the first mark of all, which is not counted
 * itself.
 *
 * Processors have to take turns: nothing here is made for several at once.
 *
 * The few declarations are those of qemu-plugin.h (interface version 3 and later), which Debian does not
 * package with the emulator.
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

typedef uint32_t qemu_plugin_meminfo_t;

enum qemu_plugin_cb_flags { QEMU_PLUGIN_CB_NO_REGS };
enum qemu_plugin_mem_rw { QEMU_PLUGIN_MEM_RW = 3 };

typedef void (*vcpu_tb_trans_cb_t)(qemu_plugin_id_t id, struct qemu_plugin_tb *tb);
typedef void (*vcpu_udata_cb_t)(unsigned int vcpu, void *data);
typedef void (*vcpu_mem_cb_t)(unsigned int vcpu, qemu_plugin_meminfo_t info, uint64_t vaddr, void *data);
typedef void (*simple_cb_t)(qemu_plugin_id_t id);

void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t id, vcpu_tb_trans_cb_t callback);
void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb *tb, vcpu_udata_cb_t callback,
					  enum qemu_plugin_cb_flags flags, void *data);
void qemu_plugin_register_vcpu_insn_exec_cb(struct qemu_plugin_insn *insn, vcpu_udata_cb_t callback,
					    enum qemu_plugin_cb_flags flags, void *data);
void qemu_plugin_register_vcpu_mem_cb(struct qemu_plugin_insn *insn, vcpu_mem_cb_t callback,
				      enum qemu_plugin_cb_flags flags, enum qemu_plugin_mem_rw rw, void *data);
void qemu_plugin_reset(qemu_plugin_id_t id, simple_cb_t callback);
bool qemu_plugin_mem_is_store(qemu_plugin_meminfo_t info);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *tb);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *tb, size_t index);
size_t qemu_plugin_insn_data(const struct qemu_plugin_insn *insn, void *buffer, size_t size);
size_t qemu_plugin_insn_size(const struct qemu_plugin_insn *insn);
uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn *insn);

EXPORT int qemu_plugin_version = 3;

enum { SLOTS = 1 << 21, LINE = 64, PLACE_SHIFT = 18 };
static const uint64_t kernel_space = 1ULL << 63;
/* Where each processor has another view of some of its variables. */
static const uint64_t entry_area = 0xfffffe0000000000;

struct block {
	struct block *next;
	uint64_t address;
	uint64_t executed;
	uint32_t length;
	uint8_t sizes[];
};

/* What one instruction did to one cache line; the address is zero where there is nothing. */
struct access {
	uint64_t address;
	uint64_t line;
	uint64_t place;
	uint32_t count;
	char kind;
};

static const uint8_t mark[] = { 0x0f, 0x1f, 0x80, 0x4d, 0x44, 0x4d };
static struct block *blocks;
static struct access *accesses;
static qemu_plugin_id_t self;
static const char *prefix;
static unsigned int windows;
static uint64_t place;
static bool memory, armed, counting;

static void executed(unsigned int vcpu, void *data)
{
	struct block *block = data;

	(void)vcpu;
	if (counting)
		block->executed++;
}

static void note(uint64_t address, uint64_t line, char kind)
{
	uint64_t slot = (address * 0x9e3779b97f4a7c15ULL ^ line * 0xff51afd7ed558ccdULL ^ place ^ (uint64_t)kind << 40) >> 20;
	unsigned int tries;

	for (tries = 0; tries < SLOTS; tries++, slot++) {
		struct access *access = &accesses[slot % SLOTS];

		if (!access->address) {
			access->address = address;
			access->line = line;
			access->place = place;
			access->kind = kind;
		}
		if (access->address == address && access->line == line && access->place == place &&
		    access->kind == kind) {
			access->count++;
			return;
		}
	}
	fputs("count: too many places are accessed\n", stderr);
	exit(1);
}

static void plain(unsigned int vcpu, qemu_plugin_meminfo_t info, uint64_t vaddr, void *data)
{
	(void)vcpu;
	if (counting && vaddr >= kernel_space)
		note((uintptr_t)data, vaddr / LINE * LINE, qemu_plugin_mem_is_store(info) ? 'w' : 'r');
}

static void atomic(unsigned int vcpu, qemu_plugin_meminfo_t info, uint64_t vaddr, void *data)
{
	(void)vcpu;
	/* There is a load as well. */
	if (counting && vaddr >= kernel_space && qemu_plugin_mem_is_store(info))
		note((uintptr_t)data, vaddr / LINE * LINE, 'a');
}

static void per_cpu(unsigned int vcpu, qemu_plugin_meminfo_t info, uint64_t vaddr, void *data)
{
	if (vaddr >= kernel_space && vaddr < entry_area)
		place = vaddr >> PLACE_SHIFT;
	plain(vcpu, info, vaddr, data);
}

/* The callback for an instruction's accesses to memory. */
static vcpu_mem_cb_t watch(const uint8_t *bytes, size_t size)
{
	bool gs = false;
	size_t i;

	for (i = 0; i + 1 < size; i++) {
		switch (bytes[i]) {
		case 0xf0:
			return atomic;
		case 0x65:
			gs = true;
			continue;
		case 0x26: case 0x2e: case 0x36: case 0x3e: case 0x64: case 0x66: case 0x67:
		case 0xf2: case 0xf3: case 0x40 ... 0x4f:
			continue;
		case 0x86: case 0x87:
			/* An exchange with memory needs no prefix. Per-CPU variables are nobody else's. */
			if (bytes[i + 1] < 0xc0 && !gs)
				return atomic;
			break;
		case 0x0f:
			i++;
			break;
		}
		/* What is pushed from there goes to the stack as well. */
		if (bytes[i] == 0xff && (bytes[i + 1] & 0x38) >= 0x10)
			return plain;
		/* Relative to the instruction: a static variable. */
		return gs && i + 1 < size && (bytes[i + 1] & 0xc7) == 0x05 ? per_cpu : plain;
	}
	return plain;
}

static void translated(qemu_plugin_id_t id, struct qemu_plugin_tb *tb);

static void again(qemu_plugin_id_t id)
{
	qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
}

static void start(unsigned int vcpu, void *data)
{
	struct block *block;

	(void)vcpu;
	(void)data;
	if (memory && !armed) {
		/* All code is translated anew, with the callbacks for memory. */
		armed = true;
		qemu_plugin_reset(self, again);
		return;
	}
	for (block = blocks; block; block = block->next)
		block->executed = 0;
	if (memory)
		memset(accesses, 0, SLOTS * sizeof(*accesses));
	counting = true;
}

static FILE *create(const char *suffix)
{
	char name[4096];
	FILE *file;

	snprintf(name, sizeof(name), "%s.%u%s", prefix, windows, suffix);
	file = fopen(name, "w");
	if (!file) {
		perror(name);
		exit(1);
	}
	return file;
}

static void finish(FILE *file)
{
	if (ferror(file) || fclose(file)) {
		perror(prefix);
		exit(1);
	}
}

static void write_memory(void)
{
	FILE *file = create(".memory");
	int slot;

	for (slot = 0; slot < SLOTS; slot++) {
		const struct access *access = &accesses[slot];

		if (access->address)
			fprintf(file, "%" PRIx64 " %" PRIx64 " %" PRIx64 " %c %u\n", access->place, access->address,
				access->line, access->kind, access->count);
	}
	finish(file);
}

static void stop(unsigned int vcpu, void *data)
{
	struct block *block;
	FILE *file;

	(void)vcpu;
	(void)data;
	if (!counting)
		return;
	counting = false;
	file = create("");
	for (block = blocks; block; block = block->next) {
		uint32_t i;

		if (!block->executed)
			continue;
		fprintf(file, "%" PRIu64 " %" PRIx64, block->executed, block->address);
		for (i = 0; i < block->length; i++)
			fprintf(file, " %u", block->sizes[i]);
		fputc('\n', file);
	}
	finish(file);
	if (memory)
		write_memory();
	windows++;
}

static void translated(qemu_plugin_id_t id, struct qemu_plugin_tb *tb)
{
	size_t length = qemu_plugin_tb_n_insns(tb), i;
	struct block *block = calloc(1, sizeof(*block) + length);

	(void)id;
	if (!block || !length)
		abort();
	block->address = qemu_plugin_insn_vaddr(qemu_plugin_tb_get_insn(tb, 0));
	block->length = length;
	for (i = 0; i < length; i++) {
		struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(tb, i);
		uint8_t bytes[16];
		size_t size = qemu_plugin_insn_data(insn, bytes, sizeof(bytes));

		block->sizes[i] = qemu_plugin_insn_size(insn);
		if (armed && block->address >= kernel_space)
			qemu_plugin_register_vcpu_mem_cb(insn, watch(bytes, size), QEMU_PLUGIN_CB_NO_REGS,
							 QEMU_PLUGIN_MEM_RW,
							 (void *)(uintptr_t)qemu_plugin_insn_vaddr(insn));
		if (block->sizes[i] != sizeof(mark) + 1 || size < sizeof(mark) + 1 || memcmp(bytes, mark, sizeof(mark)))
			continue;
		qemu_plugin_register_vcpu_insn_exec_cb(insn, bytes[sizeof(mark)] == 1 ? start : stop,
						       QEMU_PLUGIN_CB_NO_REGS, NULL);
	}
	qemu_plugin_register_vcpu_tb_exec_cb(tb, executed, QEMU_PLUGIN_CB_NO_REGS, block);
	block->next = blocks;
	blocks = block;
}

EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const struct qemu_info *info, int argc, char **argv)
{
	int i;

	(void)info;
	self = id;
	for (i = 0; i < argc; i++) {
		if (!strncmp(argv[i], "out=", 4)) {
			prefix = strdup(argv[i] + 4);
		} else if (!strcmp(argv[i], "memory=on")) {
			memory = true;
		} else {
			prefix = NULL;
			break;
		}
	}
	if (!prefix) {
		fputs("count: the options are out=PREFIX and memory=on\n", stderr);
		return -1;
	}
	if (memory) {
		accesses = calloc(SLOTS, sizeof(*accesses));
		if (!accesses)
			abort();
	}
	qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
	return 0;
}
