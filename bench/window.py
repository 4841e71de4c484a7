# SPDX-License-Identifier: GPL-2.0-or-later
"""What bench/count.c has counted, by the guest's symbols."""

import bisect
import re
import subprocess

KERNEL_SPACE = 1 << 63


class Symbols:
    """The guest's /proc/kallsyms, code only."""

    def __init__(self, path):
        found = {}
        with open(path, encoding="ascii", errors="replace") as file:
            for line in file:
                words = line.split()
                if words[1] not in "tTwW" or words[2].startswith(("__pfx_", ".L", "__cfi_")):
                    continue
                address = int(words[0], 16)
                module = words[3].strip("[]") if len(words) > 3 else ""
                # Of several names the global one; section marks last.
                rank = (words[1] in "tw", words[2] in ("_text", "_stext"))
                if address not in found or rank < found[address][0]:
                    found[address] = (rank, words[2], module)
        self.addresses = sorted(found)
        self.names = [found[address][1:] for address in self.addresses]

    def find(self, address):
        """(start, name, module)"""
        if address < KERNEL_SPACE:
            return 0, "(user space)", ""
        index = bisect.bisect_right(self.addresses, address) - 1
        if index < 0:
            return 0, "(unknown)", ""
        return self.addresses[index], *self.names[index]


def demangle(names):
    names = list(names)
    text = subprocess.run(["c++filt", "--no-params"], input="\n".join(names), stdout=subprocess.PIPE, text=True,
                          check=True).stdout
    # The hash of a crate's name tells a reader nothing.
    return dict(zip(names, (re.sub(r"\[[0-9a-f]{6,}\]", "", line) for line in text.split("\n"))))


class Window:
    """What was executed between two marks."""

    def __init__(self, path, symbols, count):
        self.count = count
        self.instructions = {}
        self.functions = {}
        self.calls = {}
        with open(path, encoding="ascii") as file:
            for line in file:
                words = line.split()
                executed, address = int(words[0]), int(words[1], 16)
                for size in words[2:]:
                    self.instructions[address] = self.instructions.get(address, 0) + executed
                    address += int(size)
        for address, executed in self.instructions.items():
            start, name, module = symbols.find(address)
            key = (name, module)
            self.functions[key] = self.functions.get(key, 0) + executed
            if address == start:
                self.calls[key] = self.calls.get(key, 0) + executed
        self.total = sum(self.functions.values())

    def per_io(self, key):
        return self.functions.get(key, 0) / self.count
