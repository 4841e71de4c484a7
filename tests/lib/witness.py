# SPDX-License-Identifier: GPL-2.0-or-later
"""Reads what it wrote, and knows what a block may hold after a write that failed.

    witness.py direct|buffered FILE OFFSET RATE

Four tasks see to blocks of 4 KiB, 64 in all, from byte OFFSET of FILE on; each takes one RATE times a second, reads it
and, every other time, writes it anew. So each write is read before the next one, and at the end. It is read past the
page cache, and written so as well, or, `buffered`, through it and with fdatasync. A block says which it is, and how
often it was written before. It has to hold what was last written; after a write that failed, that or what was there
before, and, once read, nothing else any more.

Ends at SIGINT, with a line that begins with `right:` or `wrong:` and tells the numbers. Status 1 if it is `wrong`.
"""
import mmap
import os
import random
import signal
import struct
import sys
import threading

SIZE = 4096
BLOCKS = 64
TASKS = 4
RECORD = struct.Struct("<8sQQQ")

buffered = {"direct": False, "buffered": True}[sys.argv[1]]
name, offset, rate = sys.argv[2], int(sys.argv[3]), float(sys.argv[4])
ends = threading.Event()
signal.signal(signal.SIGINT, signal.SIG_DFL)
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
counts = {"reads": 0, "writes": 0, "errors": 0}
lock = threading.Lock()
wrong = []


def content(block, generation):
    return RECORD.pack(b"witness", block, generation, block ^ generation) * (SIZE // RECORD.size)


class Blocks:
    """What one task sees to."""

    def __init__(self, own):
        self.reader = os.open(name, os.O_RDWR | os.O_CREAT | os.O_DIRECT, 0o600)
        self.writer = os.open(name, os.O_RDWR) if buffered else self.reader
        self.page = mmap.mmap(-1, SIZE)
        self.generation = dict.fromkeys(own, 0)
        self.allowed = {block: {0} for block in own}

    def write(self, block):
        self.page[:] = content(block, self.generation[block])
        os.pwritev(self.writer, [self.page], offset + block * SIZE)
        if buffered:
            os.fdatasync(self.writer)

    def write_next(self, block):
        self.generation[block] += 1
        new = self.generation[block]
        # It is not known of a write that fails whether it was done.
        self.allowed[block].add(new)
        self.write(block)
        self.allowed[block] = {new}

    def read(self, block):
        os.preadv(self.reader, [self.page], offset + block * SIZE)
        seen = RECORD.unpack_from(self.page)[2]
        if self.page[:] != content(block, seen) or seen not in self.allowed[block]:
            wrong.append(f"block {block} holds {self.page[:64].hex()}, not one of {sorted(self.allowed[block])}")
            ends.set()
        self.allowed[block] = {seen}

    def attempt(self, kind, block):
        try:
            {"reads": self.read, "writes": self.write_next}[kind](block)
        except OSError:
            kind = "errors"
        with lock:
            counts[kind] += 1

    def run(self):
        choose = random.Random(min(self.generation))
        while not ends.wait(1 / rate):
            block = choose.choice(list(self.generation))
            self.attempt("reads", block)
            if choose.random() < 0.5:
                self.attempt("writes", block)
        for block in self.generation:
            self.attempt("reads", block)


tasks = [Blocks(range(first, BLOCKS, TASKS)) for first in range(TASKS)]
for task in tasks:
    for block in task.generation:
        task.write(block)
print("begins", flush=True)
threads = [threading.Thread(target=task.run) for task in tasks]
for thread in threads:
    thread.start()
# Python's sigtimedwait takes the end of a stop for a signal.
while not ends.wait(0.2):
    if signal.SIGINT in signal.sigpending():
        ends.set()
for thread in threads:
    thread.join()
for line in wrong:
    print(line)
print("wrong:" if wrong else "right:", *(f"{kind} {count}" for kind, count in counts.items()))
sys.exit(bool(wrong))
